import { spawn, type ChildProcess } from 'node:child_process';
import { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

export interface DatabaseOptions {
  readonly database: string;
  readonly user: string;
  /** A socket's directory or a host. */
  readonly host?: string;
  readonly port?: number;
  readonly password?: string;
  /** Started per connection; its standard input and output are the connection (a relay that runs as another user). */
  readonly command?: readonly string[];
  /** How many connections are held, as a pool of the real service does. */
  readonly connections?: number;
}

/** Connections that a service holds: they stop a DROP DATABASE, end when ended, and come back by themselves. */
export interface HeldDatabase {
  /** True while every connection answers. */
  up(): boolean;
  close(): Promise<void>;
}

const retryMs = 200;
const pingMs = 500;

export function holdDatabase(options: DatabaseOptions): HeldDatabase {
  const stop = new AbortController();
  const alive = new Set<number>();
  const wanted = options.connections ?? 3;
  const keepers = Array.from({ length: wanted }, (_, n) => keep(options, n, alive, stop.signal));
  return {
    up: () => alive.size === wanted,
    close: async () => {
      stop.abort();
      await Promise.all(keepers);
    },
  };
}

async function keep(options: DatabaseOptions, n: number, alive: Set<number>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const relay = options.command === undefined ? undefined : startRelay(options.command);
    const client = new pg.Client({
      database: options.database,
      user: options.user,
      application_name: 'classifier stand-in',
      connectionTimeoutMillis: 5_000,
      ...(options.host === undefined ? {} : { host: options.host }),
      ...(options.port === undefined ? {} : { port: options.port }),
      ...(options.password === undefined ? {} : { password: options.password }),
      ...(relay === undefined ? {} : { stream: () => relay.stream }),
    });
    const lost = new Promise<void>((resolve) => client.once('end', resolve).on('error', () => resolve()));
    try {
      await client.connect();
      alive.add(n);
      await pingUntil(client, lost, signal);
    } catch {
      // said by `up`; tried again below
    }
    alive.delete(n);
    await client.end().catch(() => undefined);
    relay?.child.kill();
    await sleep(retryMs, undefined, { signal }).catch(() => undefined);
  }
}

async function pingUntil(client: pg.Client, lost: Promise<void>, signal: AbortSignal): Promise<void> {
  let ended = false;
  void lost.then(() => (ended = true));
  while (!ended && !signal.aborted) {
    await client.query('SELECT 1');
    await Promise.race([lost, sleep(pingMs, undefined, { signal }).catch(() => undefined)]);
  }
}

function startRelay([file = '', ...args]: readonly string[]): { child: ChildProcess; stream: Duplex } {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const { stdin, stdout } = child;
  stdin.on('error', () => undefined);
  const stream = Duplex.from({ readable: stdout, writable: stdin });
  child.on('error', (error) => stream.destroy(error)).on('exit', () => stream.destroy());
  stream.on('error', () => undefined);
  // What pg asks of a socket, beside reading and writing.
  const socket = Object.assign(stream, {
    connect: () => void setImmediate(() => stream.emit('connect')),
    setNoDelay: () => stream,
    setKeepAlive: () => stream,
    ref: () => stream,
    unref: () => stream,
  });
  return { child, stream: socket };
}
