import { once } from 'node:events';
import { createConnection } from 'node:net';

/** Resolves when somebody takes the connection there; rejects when nobody does, and when the signal fires. */
export async function knock(host: string, port: number, signal: AbortSignal): Promise<void> {
  const socket = createConnection({ host, port, signal });
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}
