import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exec } from '../../src/system/exec.ts';
import { createPostgres, type Postgres, type Session } from '../../src/system/postgres.ts';

/** A real throw-away PostgreSQL: own directory, socket only, peer authentication with a map as PE has it. */
export interface Cluster extends AsyncDisposable {
  readonly socket: string;
  readonly port: number;
  readonly bin: string;
  /** OS user, when that is not who the tests run as. */
  readonly runAs: string | undefined;
  /** Superuser. */
  readonly admin: Postgres;
  /** Unprivileged role of our own. */
  readonly restorer: Postgres;
  as(role: string): Postgres;
  open(database?: string): Promise<Session>;
  sql<Row = Record<string, unknown>>(database: string, text: string): Promise<Row[]>;
  stop(): Promise<void>;
  /** As a crash: no session is told, nothing is written any more. */
  crash(): Promise<void>;
  start(): Promise<void>;
}

export const restoreRole = 'pe_failover_restore';
export const rbacRoles = ['pe-rbac', 'pe-rbac-write'];
const isRoot = process.geteuid?.() === 0;
const osUser = isRoot ? 'postgres' : execFileSync('id', ['-un'], { encoding: 'utf8' }).trim();
const loginRoles = ['postgres', restoreRole, ...rbacRoles];

export async function postgresBin(): Promise<string> {
  const majors = (await readdir('/usr/lib/postgresql')).sort((a, b) => Number(b) - Number(a));
  return `/usr/lib/postgresql/${majors[0] ?? ''}/bin`;
}

/** Below `parent`, which the user who runs PostgreSQL must be able to enter, or the directory for temporary files. */
export async function startCluster(parent = tmpdir()): Promise<Cluster> {
  const bin = await postgresBin();
  const home = await mkdtemp(join(parent, 'pe-failover-pg-'));
  const data = join(home, 'data');
  const ids = userIds();
  if (ids !== undefined) await chown(home, ids.uid, ids.gid);
  const options = { ...ids, cwd: '/', env: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8' } };
  execFileSync(`${bin}/initdb`, ['-D', data, '-U', 'postgres', '-N', '-A', 'peer', '-E', 'UTF8'], {
    ...options,
    stdio: 'pipe',
  });
  await configure(data, home);
  let server: ChildProcess;
  const start = async (): Promise<void> => {
    server = spawn(`${bin}/postgres`, ['-D', data], { ...options, stdio: ['ignore', 'ignore', 'pipe'] });
    await ready(server);
  };
  await start();
  const as = (role: string): Postgres =>
    createPostgres({ host: home, port: 5432, role, bin, ...(isRoot ? { runAs: osUser } : {}) }, exec);
  const stop = async (): Promise<void> => {
    if (server.exitCode === null) {
      const ended = once(server, 'exit');
      server.kill('SIGINT'); // fast shutdown
      await ended;
    }
    await rm(home, { recursive: true, force: true });
  };
  const crash = async (): Promise<void> => {
    execFileSync(`${bin}/pg_ctl`, ['stop', '-D', data, '-m', 'immediate'], { ...options, stdio: 'pipe' });
    if (server.exitCode === null) await once(server, 'exit');
  };
  const open = (database = 'postgres'): Promise<Session> =>
    as('postgres').connect(database, { signal: AbortSignal.timeout(300_000) });
  const sql = async <Row>(database: string, text: string): Promise<Row[]> => {
    await using session = await open(database);
    await session.query('SET search_path = public'); // as an application's own session; ours never have it
    return await session.query<Row>(text);
  };
  const logins = loginRoles.slice(1).map((role) => `CREATE ROLE "${role}" LOGIN;`);
  await sql('postgres', logins.join(' '));
  const runAs = isRoot ? osUser : undefined;
  return {
    socket: home,
    port: 5432,
    bin,
    runAs,
    admin: as('postgres'),
    restorer: as(restoreRole),
    as,
    open,
    sql,
    stop,
    crash,
    start,
    [Symbol.asyncDispose]: stop,
  };
}

function userIds(): { uid: number; gid: number } | undefined {
  if (!isRoot) return undefined;
  const [, , uid, gid] = execFileSync('getent', ['passwd', osUser], { encoding: 'utf8' }).split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

async function configure(data: string, socket: string): Promise<void> {
  const settings = ["listen_addresses = ''", `unix_socket_directories = '${socket}'`, 'fsync = off', 'max_prepared_transactions = 4',
    'wal_level = logical', 'shared_buffers = 32MB', 'max_connections = 60']; // prettier-ignore
  await writeFile(join(data, 'postgresql.auto.conf'), `${settings.join('\n')}\n`);
  await writeFile(join(data, 'pg_hba.conf'), 'local all all peer map=pe\n');
  // The tests' own services and probes connect straight, as the run-time roles.
  const own = rbacRoles.map((role) => `pe "root" "${role}"\n`);
  await writeFile(
    join(data, 'pg_ident.conf'),
    [...loginRoles.map((role) => `pe "${osUser}" "${role}"\n`), ...own].join(''),
  );
}

async function ready(server: ChildProcess): Promise<void> {
  let said = '';
  await new Promise<void>((resolve, reject) => {
    // Listened to for ever: a full pipe would stop every backend at its next line.
    server.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      if (said.length < 65_536) said += chunk;
      if (said.includes('ready to accept connections')) resolve();
    });
    server.once('exit', () => reject(new Error(`PostgreSQL did not start: ${said}`)));
  });
}

/** An empty directory below a place that only we may enter, as the outbox is. */
export async function privateDirectory(cluster: Cluster): Promise<string> {
  const path = join(await mkdtemp(join(cluster.socket, 'private-')), 'payload');
  await mkdir(path, { mode: 0o700 });
  return path;
}
