import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo, type Server } from 'node:net';

/** What waits for pings, on loopback. */
export interface DeadManService extends AsyncDisposable {
  readonly port: number;
  /** Method and path of each ping. */
  readonly pings: string[];
  answer: (request: IncomingMessage, response: ServerResponse) => void;
}

export const well: DeadManService['answer'] = (_, response) => void response.end('OK');

export async function startDeadMan(tls?: { readonly cert: string; readonly key: string }): Promise<DeadManService> {
  const service = { pings: [] as string[], answer: well };
  const hear: RequestListener = (request, response) => {
    service.pings.push(`${request.method} ${request.url}`);
    service.answer(request, response);
  };
  const server = tls === undefined ? createServer(hear) : createTlsServer(tls, hear);
  return Object.assign(service, await listening(server), {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

/** A proxy that knows CONNECT alone, and to where it was asked to connect. */
export async function startProxy(): Promise<AsyncDisposable & { readonly port: number; readonly asked: string[] }> {
  const asked: string[] = [];
  const sockets = new Set<{ destroy(): unknown }>();
  const server = createServer().on('connect', (request, client) => {
    asked.push(String(request.url));
    const [host = '', port] = String(request.url).split(':');
    const target = connect(Number(port), host, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      target.pipe(client).pipe(target);
    });
    for (const socket of [client, target]) sockets.add(socket);
    target.on('error', () => client.destroy());
    client.on('error', () => target.destroy());
  });
  return {
    ...(await listening(server)),
    asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function listening(server: Server): Promise<{ port: number }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port };
}
