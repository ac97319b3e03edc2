import { Duplex } from 'node:stream';
import { Client, DatabaseError } from 'pg';
import { Failure, toFailure } from '../errors.ts';
import { withoutRows, withoutValue } from '../rules/postgres-words.ts';
import { CommandError, startChild, type Exec, type LongChild, type Result } from './exec.ts';
import { fullOfPostgres } from './file-systems.ts';

export interface PostgresOptions {
  /** A socket directory when it starts with "/", else a host name. */
  readonly host: string;
  readonly port: number;
  /** OS user who connects and runs the tools; absent: we ourselves. */
  readonly runAs?: string;
  /** Role to log in as. */
  readonly role: string;
  /** Directory of pg_dump and pg_restore. */
  readonly bin: string;
}

export interface ConnectOptions {
  readonly signal: AbortSignal;
  /** Limit of each statement; 60 s unless told. */
  readonly statementTimeoutMs?: number;
}

/** One connection. `await using` closes it. Rows are typed by the caller, who wrote the statement. */
export interface Session extends AsyncDisposable {
  query<Row = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}

export interface ToolRun {
  /** Connection arguments are added. */
  readonly database?: string;
  readonly args: readonly string[];
  readonly descriptors?: readonly number[];
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface OsUser {
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL as one role. */
export interface Postgres {
  readonly role: string;
  readonly socketIsLocal: boolean;
  connect(database: string, options: ConnectOptions): Promise<Session>;
  /** Runs a tool to its end. Throws CommandError. */
  tool(name: 'pg_dump' | 'pg_restore', run: ToolRun): Promise<Result>;
  /** Who the tools run as, where that is not who we are. */
  osUser(): Promise<OsUser | undefined>;
}

export function createPostgres(options: PostgresOptions, exec: Exec): Postgres {
  const { host, port, role, bin } = options;
  const socketIsLocal = host.startsWith('/');
  let known: OsUser | undefined;
  const osUser = async (): Promise<OsUser | undefined> => {
    if (options.runAs === undefined) return undefined;
    known ??= await lookUp(options.runAs, exec);
    return known.uid === process.geteuid?.() ? undefined : known;
  };
  return {
    role,
    socketIsLocal,
    osUser,
    connect: async (database, settings) => {
      settings.signal.throwIfAborted();
      return connect({ ...options, database, user: await osUser() }, settings);
    },
    tool: async (name, run) => {
      const user = await osUser();
      const server = ['-h', host, '-p', String(port), '-U', role, '-w', '-d', run.database ?? ''];
      const words = [`${bin}/${name}`, ...(run.database === undefined ? [] : server), ...run.args];
      const ids = user === undefined ? [] : ['--reuid', String(user.uid), '--regid', String(user.gid)];
      const whole = user === undefined ? words : ['setpriv', ...ids, '--clear-groups', '--', ...words];
      const { database: _, args: __, ...rest } = run;
      return exec({ file: whole[0] ?? name, args: whole.slice(1), name, sayable: withoutRows, ...rest });
    },
  };
}

/** A name as it stands in SQL. */
export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A text as it stands in SQL. */
export function quoteText(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`;
  return text.includes('\\') ? ` E${quoted}` : quoted;
}

/** The SQLSTATE of what a Session threw, such as "3D000"; undefined where PostgreSQL did not say one. */
export function sqlState(error: unknown): string | undefined {
  const cause = error instanceof Failure ? error.cause : error;
  return cause instanceof DatabaseError ? cause.code : undefined;
}

async function lookUp(name: string, exec: Exec): Promise<OsUser> {
  const line = await exec({ file: 'getent', args: ['passwd', name], timeoutMs: 10_000 }).catch((cause: unknown) => {
    const hint = 'Set postgres.run_as to the user who runs PostgreSQL, such as pe-postgres or postgres';
    throw new Failure('config', 'no such OS user', { where: `postgres.run_as: ${name}`, hint, cause });
  });
  const [, , uid, gid] = line.stdout.split(':');
  if (process.geteuid?.() !== 0 && Number(uid) !== process.geteuid?.()) {
    const hint = 'Run as root, or as that user';
    throw new Failure('config', 'cannot act as another OS user', { where: `postgres.run_as: ${name}`, hint });
  }
  return { uid: Number(uid), gid: Number(gid) };
}

type Target = Omit<PostgresOptions, 'runAs'> & { readonly database: string; readonly user: OsUser | undefined };

// A startup option, which goes before the settings of role and database. A schema that the application may write would take
// our calls: a function there with the very types of a call goes before the server's own, and would run as a superuser.
// (pg_dump and pg_restore see to it themselves.)
const ownPath = '-c search_path=pg_catalog,pg_temp';

async function connect(target: Target, { signal, statementTimeoutMs = 60_000 }: ConnectOptions): Promise<Session> {
  const relay = startRelay(target, signal);
  const client = new Client({
    user: target.role,
    database: target.database,
    stream: () => relay.stream,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + 10_000, // a server that answers nothing at all
    connectionTimeoutMillis: 15_000,
    application_name: 'pe-failover',
    options: ownPath,
  });
  client.on('error', () => undefined); // the next statement tells it
  try {
    await client.connect();
  } catch (error) {
    await relay.stop();
    signal.throwIfAborted();
    throw connectFailure(error, relay.said(), target);
  }
  return sessionOf(client, relay, target, signal);
}

function sessionOf(client: Client, relay: Relay, target: Target, signal: AbortSignal): Session {
  let closed = false;
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await client.end().catch(() => undefined);
    await relay.stop();
  };
  return {
    query: async <Row>(text: string, values?: readonly unknown[]) => {
      signal.throwIfAborted();
      try {
        return (await client.query(text, values === undefined ? undefined : [...values])).rows as Row[];
      } catch (cause) {
        signal.throwIfAborted();
        const why = withoutValue(cause instanceof Error ? cause.message : String(cause));
        if (noSpace.test(why)) throw await fullDisk(client, target.database, why, cause);
        throw new Failure('dependency', 'PostgreSQL could not do a statement', { where: target.database, why, cause });
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

const noSpace = /No space left on device/;

/** The file is named as below the data directory; it may be on a file system of its own. */
async function fullDisk(client: Client, where: string, why: string, cause: unknown): Promise<Failure> {
  const shown = await client.query<{ data_directory: string }>('SHOW data_directory').catch(() => undefined);
  const directory = shown?.rows[0]?.data_directory;
  return fullOfPostgres(directory, where, why, cause);
}

interface Relay {
  readonly stream: RelayStream;
  said(): string;
  stop(): Promise<void>;
}

const relayProgram = (import.meta.filename ?? '').replace(/postgres\.([jt]s)$/, 'postgres-relay.$1');

function startRelay({ host, port, user }: Target, signal: AbortSignal): Relay {
  const place = host.startsWith('/') ? [`${host}/.s.PGSQL.${port}`] : [host, String(port)];
  const who = user === undefined ? ['-', '-'] : [String(user.uid), String(user.gid)];
  const child = startChild({ file: process.execPath, args: [relayProgram, ...who, ...place], signal });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-2000)));
  const stream = new RelayStream(child);
  return {
    stream,
    said: () => said.trim(),
    stop: async () => {
      stream.destroy();
      await child.stop();
    },
  };
}

/** What pg takes for a socket. Bytes wait in the relay's pipe until it is connected. */
class RelayStream extends Duplex {
  readonly #child: LongChild;

  constructor(child: LongChild) {
    super();
    this.#child = child;
    child.stdout?.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) child.stdout?.pause();
    });
    void child.ended.then((how) => {
      if (!this.writableEnded) this.destroy(new Error(`the relay to PostgreSQL ${how}`));
      else this.push(null);
    });
  }

  connect(): this {
    queueMicrotask(() => this.emit('connect'));
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  override _read(): void {
    this.#child.stdout?.resume();
  }
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#child.stdin === null || !this.#child.stdin.writable) return done(new Error('the relay has ended'));
    this.#child.stdin.write(chunk, (error) => done(error ?? null));
  }
  override _final(done: () => void): void {
    this.#child.stdin?.end();
    done();
  }
}

/** What lets a role in, for an admin to type. */
export const loginHint = (role: string): string =>
  `Let it in: a line "local all ${role} peer map=pe_failover" at the top of pg_hba.conf, in pg_ident.conf ` +
  `"pe_failover OS-USER ${role}" (OS-USER is who runs PostgreSQL), then: SELECT pg_reload_conf()`;

/** By SQLSTATE, or by the relay's errno. */
function connectFailure(cause: unknown, said: string, target: Target): Failure {
  const place = target.host.startsWith('/')
    ? `${target.host}/.s.PGSQL.${target.port}`
    : `${target.host}:${target.port}`;
  const where = `database ${target.database} as ${target.role} at ${place}`;
  const why = said === '' ? (cause instanceof Error ? cause.message : String(cause)) : said;
  const details = { where, why, cause };
  const state = sqlState(cause) ?? '';
  if (state === '3D000') {
    return new Failure('config', 'no such database', { ...details, hint: 'Look with: psql -l' });
  }
  if (state === '28000' || state === '28P01' || /password/.test(why)) {
    const missing = /role .* does not exist/.test(why);
    const hint = missing ? `Make it: CREATE ROLE ${quoteName(target.role)} LOGIN` : loginHint(target.role);
    return new Failure('config', missing ? 'no such role' : 'PostgreSQL does not let us in', { ...details, hint });
  }
  if (/^(ENOENT|EACCES)/.test(said)) {
    const hint =
      'Is PostgreSQL running, and is postgres.host its socket directory? Ask it: SHOW unix_socket_directories';
    return new Failure('dependency', 'PostgreSQL is not there', { ...details, hint });
  }
  return new Failure('dependency', 'PostgreSQL cannot be reached', details);
}

/** A tool's bad end: the admin's to mend, or to be tried again. Whether the data are at fault is the caller's to judge. */
export function toolFailure(error: unknown, what: string, where: string): Failure {
  if (error instanceof CommandError) {
    if (noSpace.test(error.stderr)) return toFailure(Object.assign(new Error(error.message), { code: 'ENOSPC' }));
    const failure = error.toFailure(what);
    return new Failure(failure.class, what, { where, why: error.message, cause: error });
  }
  throw error;
}
