import { chmod, lstat, rename, unlink } from 'node:fs/promises';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { exitCodes, Failure, isErrno, toFailure, type ErrorClass, type FailureDetails } from '../errors.ts';

/** One JSON line in, lines out. */
export interface ControlRequest {
  readonly v: 1;
  readonly verb: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** `alive` comes while the agent works on the request: silence means that it hangs. */
type ControlLine =
  | { readonly v: 1; readonly event: 'line'; readonly line: unknown }
  | { readonly v: 1; readonly event: 'result'; readonly result: unknown }
  | { readonly v: 1; readonly event: 'error'; readonly error: FailureDetails & { class: ErrorClass; what: string } }
  | { readonly v: 1; readonly event: 'alive' };

/** Answers a request with its result. `line` tells something meanwhile; the signal fires when the caller is gone. */
export type ControlHandler = (
  request: ControlRequest,
  line: (value: unknown) => void,
  signal: AbortSignal,
) => Promise<unknown>;

export interface ControlServer {
  /** Ends all sessions and removes the socket. */
  close(): Promise<void>;
}

const maxRequestBytes = 64 * 1024;
const maxAnswerBytes = 16 * 1024 * 1024;
const maxBacklogBytes = 1024 * 1024;
const requestMs = 5000;
const aliveMs = 1000;
const silenceMs = 15_000;
const maxSocketPath = 100; // the kernel's limit is 107, and a suffix is needed for a moment

/** Listens at `path`, mode 0600. The socket of a dead agent is replaced, a live agent's is refused. */
export async function serveControl(path: string, handler: ControlHandler): Promise<ControlServer> {
  if (Buffer.byteLength(path) > maxSocketPath) {
    const hint = `Use a path of at most ${maxSocketPath} bytes`;
    throw new Failure('config', 'socket path is too long', { where: path, hint });
  }
  if (await answers(path)) {
    const hint = 'Type: systemctl status pe-failover';
    throw new Failure('refused', 'another agent runs already', { where: path, hint });
  }
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    serveOne(socket, handler);
  });
  // Bound beside and renamed, so that nobody meets it with another mode, and no moment is without one.
  const temporary = `${path}.new`;
  await unlink(temporary).catch(() => undefined);
  await listen(server, temporary);
  await chmod(temporary, 0o600);
  await rename(temporary, path);
  const own = await lstat(path);
  return {
    close: async () => {
      const now = await lstat(path).catch(() => undefined);
      if (now?.ino === own.ino) await unlink(path).catch(() => undefined);
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

export interface AskOptions {
  readonly signal: AbortSignal;
  readonly onLine?: (value: unknown) => void;
}

/** Asks the agent and returns its result. No agent: a Failure of class unreachable; its errors come as they were thrown. */
export async function askControl(
  path: string,
  verb: string,
  args: Readonly<Record<string, unknown>>,
  { signal, onLine }: AskOptions,
): Promise<unknown> {
  signal.throwIfAborted();
  const socket = createConnection({ path, signal });
  socket.setTimeout(silenceMs, () => {
    const why = `it said nothing for ${silenceMs / 1000} s`;
    socket.destroy(new Failure('dependency', 'the agent does not answer', { where: path, why }));
  });
  try {
    socket.end(`${JSON.stringify({ v: 1, verb, args } satisfies ControlRequest)}\n`);
    for await (const text of linesOf(socket, maxAnswerBytes)) {
      const line = JSON.parse(text) as ControlLine;
      if (line.event === 'result') return line.result;
      if (line.event === 'error') throw new Failure(classOf(line.error.class), line.error.what, line.error);
      if (line.event === 'line') onLine?.(line.line);
    }
    throw new Failure('dependency', 'the agent ended before it answered', { where: path });
  } catch (error) {
    throw asFailure(error, path, signal);
  } finally {
    socket.destroy();
  }
}

function serveOne(socket: Socket, handler: ControlHandler): void {
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  socket.on('error', () => socket.destroy()); // the caller left: its signal tells the handler
  const deadline = setTimeout(() => socket.destroy(), requestMs);
  const send = (line: ControlLine): void => {
    if (!socket.writable) return;
    socket.write(`${JSON.stringify(line)}\n`);
    if (socket.writableLength > maxBacklogBytes && line.event === 'line') socket.destroy(); // it does not read
  };
  const answer = async (): Promise<void> => {
    const request = parseRequest(await firstLine(socket, maxRequestBytes));
    clearTimeout(deadline);
    const beat = setInterval(() => send({ v: 1, event: 'alive' }), aliveMs);
    try {
      const result = await handler(request, (value) => send({ v: 1, event: 'line', line: value }), gone.signal);
      send({ v: 1, event: 'result', result: result ?? null });
    } finally {
      clearInterval(beat);
    }
  };
  answer()
    .catch((error: unknown) => send({ v: 1, event: 'error', error: describe(toFailure(error)) }))
    .finally(() => {
      clearTimeout(deadline);
      socket.end(() => socket.destroy());
    });
}

function parseRequest(text: string): ControlRequest {
  const refuse = (why: string): Failure => new Failure('usage', 'request refused', { why });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refuse('it is not JSON');
  }
  const { v, verb, args = {} } = (value ?? {}) as Record<string, unknown>;
  if (v !== 1) throw refuse('its version is not 1; the agent and the command are of different releases');
  if (typeof verb !== 'string' || typeof args !== 'object' || args === null) throw refuse('it names no verb');
  return { v, verb, args: args as Record<string, unknown> };
}

async function firstLine(socket: Socket, limit: number): Promise<string> {
  for await (const line of linesOf(socket, limit)) return line;
  throw new Failure('usage', 'request refused', { why: 'it is empty' });
}

async function* linesOf(socket: Socket, limit: number): AsyncGenerator<string> {
  let rest = Buffer.alloc(0);
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      yield rest.toString('utf8', 0, end);
      rest = rest.subarray(end + 1);
    }
    if (rest.length > limit) throw new Failure('usage', 'request refused', { why: `a line is over ${limit} bytes` });
  }
}

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => {
      if (isErrno(error, 'ENOENT', 'ECONNREFUSED', 'ENOTSOCK')) resolve(false);
      else reject(asFailure(error, path));
    });
  });

const listen = (server: Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (error) => reject(asFailure(error, path)));
    server.listen(path, resolve);
  });

function asFailure(error: unknown, where: string, signal?: AbortSignal): Failure {
  if (error instanceof Failure) return error;
  if (signal?.aborted) return new Failure('interrupted', 'interrupted', { cause: error });
  if (isErrno(error, 'ENOENT', 'ECONNREFUSED')) {
    return new Failure('unreachable', 'no agent runs', {
      where,
      hint: 'Type: systemctl start pe-failover',
      cause: error,
    });
  }
  if (isErrno(error, 'EACCES', 'EPERM'))
    return new Failure('config', 'the agent answers root only', { where, hint: 'Use sudo', cause: error });
  return new Failure('dependency', 'the agent cannot be asked', {
    where,
    why: toFailure(error).why ?? '',
    cause: error,
  });
}

const classOf = (name: string): ErrorClass => (Object.hasOwn(exitCodes, name) ? (name as ErrorClass) : 'bug');

function describe({ class: errorClass, what, where, why, hint }: Failure) {
  return {
    class: errorClass,
    what,
    ...(where !== undefined && { where }),
    ...(why !== undefined && { why }),
    ...(hint !== undefined && { hint }),
  };
}
