// What a load balancer and its agents see of a puppetserver: its certificate, its status API, and whose catalog they get.
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TlsAuthority } from '../helpers/tls-authority.ts';

export interface Puppetserver extends AsyncDisposable {
  readonly port: number;
  /** What its status says, or that it says nothing. */
  state: 'running' | 'starting' | 'silent' | 'without status';
  /** How often its status was asked. */
  readonly asked: () => number;
  /** Ends it, with every connection; `start` brings it back at the same port. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export async function startPuppetserver(authority: TlsAuthority, certname: string): Promise<Puppetserver> {
  const { cert, key } = await authority.issue(certname, ['DNS:puppet.test']);
  const sockets = new Set<Duplex>();
  let asked = 0;
  const server = createServer({ cert, key }, (request, response) => {
    if (request.url !== '/status/v1/simple') return response.end(certname);
    asked += 1;
    if (own.state === 'silent') return undefined;
    const status = own.state === 'running' ? 200 : own.state === 'starting' ? 503 : 404;
    return response.writeHead(status).end(own.state);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
  });
  const listen = async (port: number): Promise<void> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  const own: Puppetserver = {
    ...{ port, state: 'running', asked: () => asked, stop, start: () => listen(port) },
    [Symbol.asyncDispose]: stop,
  };
  return own;
}
