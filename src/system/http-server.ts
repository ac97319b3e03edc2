import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Failure, isErrno, toFailure } from '../errors.ts';
import type { Listen } from '../rules/listen.ts';

export interface WebRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
}

export interface WebAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpServer {
  /** Ends every connection. */
  close(): Promise<void>;
}

const headerBytes = 8 * 1024;
const requestMs = 5_000;
/** From the whole request to the last byte of the answer. */
const answerMs = 15_000;
const connections = 256;

/** One request a connection; its body is not read. Throws `config`, `dependency` for an address that cannot be had. */
export async function serveHttp(
  listen: Listen,
  answer: (request: WebRequest) => Promise<WebAnswer>,
): Promise<HttpServer> {
  const open = new Set<Socket>();
  const limits = { maxHeaderSize: headerBytes, headersTimeout: requestMs, requestTimeout: requestMs };
  const server = createServer({ ...limits, connectionsCheckingInterval: 500 }, (request, response) => {
    request.resume();
    answer(asked(request)).then(
      (given) => send(response, given),
      () => send(response, { status: 500, type: 'text/plain', body: 'This is a mistake of pe-failover.\n' }),
    );
  });
  server.setTimeout(answerMs, (socket) => socket.destroy());
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    // The oldest goes: whoever opens many and says nothing keeps nobody out.
    const [oldest] = open;
    if (open.size > connections) oldest?.destroy();
  });
  await begin(server, listen);
  return {
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Of a URL that is none, nothing is known: no path has an empty name. */
function asked({ method = '', url = '' }: IncomingMessage): WebRequest {
  const parsed = URL.parse(url, 'http://localhost');
  return { method, path: parsed?.pathname ?? '', query: parsed?.searchParams ?? new URLSearchParams() };
}

function send(response: ServerResponse, { status, type, body, headers = {} }: WebAnswer): void {
  response.writeHead(status, {
    'content-type': `${type}; charset=utf-8`,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    connection: 'close',
    ...headers,
  });
  response.end(body);
}

const begin = (server: Server, { host, port }: Listen): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (error) => reject(refusal(error, host, port)));
    server.listen({ host, port }, () => {
      server.removeAllListeners('error').on('error', () => undefined);
      resolve();
    });
  });

function refusal(error: unknown, host: string, port: number): Failure {
  const where = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  const told = (hint: string): Failure =>
    new Failure('config', 'cannot listen there', {
      where,
      why: toFailure(error).why ?? String(error),
      hint,
      cause: error,
    });
  if (isErrno(error, 'EADDRINUSE')) return told(`Look who does, with: ss -ltnp sport = :${port}`);
  if (isErrno(error, 'EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN'))
    return told('This machine does not have that address (yet). Look with: ip address');
  if (isErrno(error, 'EACCES', 'EPERM')) return told('Take a port from 1024 on: the web process is not root');
  return told('Write another address into web.health_listen, and type again: pe-failover install ...');
}
