import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { ApiError, parseBody } from './classifier-model.ts';
import { prefix, route, type Reply } from './classifier-routes.ts';
import { statusReply } from './classifier-status.ts';
import { notFound, ClassifierTree, type TreeOptions } from './classifier-tree.ts';

export interface StandInOptions extends TreeOptions {
  /** PEM text. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string };
  /** Common names that are let in, read at each request. */
  readonly allowlist: () => readonly string[];
  readonly tokens?: readonly string[];
  readonly port?: number;
  /** Address on which it listens; default: loopback. */
  readonly listen?: string;
  /** PUT /stand-in/faults with a list of faults sets them, without a certificate: for the demo. */
  readonly faultRoute?: boolean;
  /** Says whether the database behind it answers; default: yes. */
  readonly databaseUp?: () => boolean;
}

/** What goes wrong, for requests whose path begins with `path`, `times` times (default: until cleared). */
export interface Fault {
  readonly kind:
    'latency' | 'application-error' | 'hang' | 'garbage' | 'half-closed' | 'unauthenticated' | 'starting' | 'big';
  readonly path?: string;
  readonly times?: number;
  readonly ms?: number;
}

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
}

/** A node classifier as PE has it, as far as its documented behaviour goes. */
export interface ClassifierStandIn {
  readonly port: number;
  readonly origin: string;
  readonly url: string;
  readonly tree: ClassifierTree;
  /** Requests since the last look. */
  readonly seen: Seen[];
  fault(fault: Fault): void;
  clearFaults(): void;
  /** Refuses connections until the returned function is called. */
  refuse(): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

export async function startClassifier(options: StandInOptions): Promise<ClassifierStandIn> {
  const tree = new ClassifierTree(options);
  const seen: Seen[] = [];
  const faults: (Fault & { left: number })[] = [];
  const sockets = new Set<Duplex>();
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response, { options, tree, seen, faults }).catch(() => response.destroy());
  };
  const open = (port: number): Promise<Server> => {
    const { tls } = options;
    const server = createServer({ ...tls, requestCert: true, rejectUnauthorized: false }, answer);
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket)).on('error', () => undefined);
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject).listen(port, options.listen ?? '127.0.0.1', () => resolve(server));
    });
  };
  let server = await open(options.port ?? 0);
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  return {
    port,
    origin: `https://127.0.0.1:${port}`,
    url: `https://127.0.0.1:${port}${prefix}`,
    tree,
    seen,
    fault: (fault) => void faults.push({ ...fault, left: fault.times ?? Infinity }),
    clearFaults: () => void (faults.length = 0),
    refuse: async () => {
      await close();
      return async () => void (server = await open(port));
    },
    close,
  };
}

interface Served {
  readonly options: StandInOptions;
  readonly tree: ClassifierTree;
  readonly seen: Seen[];
  readonly faults: (Fault & { left: number })[];
}

async function serve(request: IncomingMessage, response: ServerResponse, served: Served): Promise<void> {
  const url = new URL(request.url ?? '/', 'https://stand-in');
  const method = request.method ?? 'GET';
  served.seen.push({ method, path: url.pathname, headers: request.headers });
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString('utf8');
  if (served.options.faultRoute === true && url.pathname === '/stand-in/faults') {
    const faults = JSON.parse(text) as Fault[];
    served.faults.splice(0, Infinity, ...faults.map((fault) => ({ ...fault, left: fault.times ?? Infinity })));
    return send(response, undefined, { status: 204 });
  }
  const fault = takeFault(served.faults, url.pathname);
  if (fault?.kind === 'hang') return;
  if (fault?.kind === 'latency') await new Promise((resolve) => setTimeout(resolve, fault.ms ?? 100));
  send(response, fault, await replyTo(served, request, url, text, fault));
}

async function replyTo(
  { options, tree }: Served,
  request: IncomingMessage,
  url: URL,
  text: string,
  fault: Fault | undefined,
): Promise<Reply> {
  try {
    const databaseUp = options.databaseUp?.() ?? true;
    const state = fault?.kind === 'starting' ? 'starting' : 'running';
    if (url.pathname.startsWith('/status/')) return statusReply(url.pathname, url.searchParams, { state, databaseUp });
    if (fault?.kind === 'starting') return { status: 503, text: 'starting' };
    authenticate(options, request, url, fault);
    if (!url.pathname.startsWith(prefix)) throw notFound(url.pathname);
    if (fault?.kind === 'application-error' || !databaseUp)
      throw new ApiError(500, 'application-error', 'ERROR: something broke', { trace: ['...'] });
    return route(tree, {
      method: request.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      body: bodyOf(request, text),
    });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const { status, kind, message: msg, details } = error;
    return { status, json: { kind, msg, ...(details === undefined ? {} : { details }) } };
  }
}

// The certificate is looked at first; a token then takes its place, so a bad one is refused even with a good certificate.
function authenticate(options: StandInOptions, request: IncomingMessage, url: URL, fault: Fault | undefined): void {
  const refuse = (kind: string, msg: string): ApiError => new ApiError(401, `puppetlabs.rbac/${kind}`, msg);
  if (fault?.kind === 'unauthenticated') throw refuse('user-unauthenticated', 'Route requires authentication');
  const header = request.headers['x-authentication'];
  const token = (typeof header === 'string' ? header : url.searchParams.get('token'))?.split('|')[0];
  if (token !== undefined) {
    if (options.tokens?.includes(token)) return;
    throw refuse('invalid-token', 'The token is not valid.');
  }
  const socket = request.socket as TLSSocket;
  const { subject } = socket.getPeerCertificate() as Partial<PeerCertificate>;
  const name = String(subject?.CN ?? '');
  if (!socket.authorized || !options.allowlist().includes(name))
    throw refuse('user-unauthenticated', 'Route requires authentication');
}

function bodyOf(request: IncomingMessage, text: string): unknown {
  if (text === '') return undefined;
  // A form's body is eaten by the parsing of parameters: the route sees an empty one.
  if (request.headers['content-type']?.startsWith('application/x-www-form-urlencoded')) return undefined;
  try {
    return parseBody(text);
  } catch (error) {
    throw new ApiError(400, 'malformed-request', 'The body is not JSON.', {
      body: text.slice(0, 200),
      error: String(error),
    });
  }
}

function send(response: ServerResponse, fault: Fault | undefined, reply: Reply): void {
  const json = reply.json === undefined ? undefined : JSON.stringify(reply.json);
  const garbage = fault?.kind === 'garbage' ? '<html>It works!</html>' : undefined;
  const big = fault?.kind === 'big' ? ' '.repeat(fault.ms ?? 1_000_000) : undefined;
  const body = Buffer.from(garbage ?? big ?? json ?? reply.text ?? '');
  const status = garbage === undefined ? reply.status : 200;
  const type = json === undefined ? 'text/plain' : 'application/json; charset=utf-8';
  const headers = { 'content-type': type, 'content-length': body.length };
  response.writeHead(status, reply.location === undefined ? headers : { ...headers, location: reply.location });
  if (fault?.kind !== 'half-closed') return void response.end(body);
  response.write(body.subarray(0, body.length / 2), () => response.destroy());
}

function takeFault(faults: (Fault & { left: number })[], path: string): Fault | undefined {
  const fault = faults.find((one) => one.left > 0 && path.startsWith(one.path ?? '/'));
  if (fault !== undefined) fault.left -= 1;
  return fault;
}
