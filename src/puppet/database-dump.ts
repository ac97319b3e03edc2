import { chmod, chown, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArchiveList, sequenceList } from '../rules/archive-list.ts';
import type { ManifestFile } from '../rules/manifest.ts';
import type { Ownership } from '../rules/ownership.ts';
import { sequencesOfScript } from '../rules/table-digest.ts';
import { parseVolatile } from '../rules/volatile.ts';
import { sha256File } from '../system/files.ts';
import { toolFailure, type Postgres, type Session } from '../system/postgres.ts';
import { archive, runOnArchive } from './database-archive.ts';
import { extensionsQuery } from './database-catalog.ts';
import {
  digestsOf,
  pinSettings,
  readContent,
  withSequences,
  type Content,
  type DatabaseDigests,
} from './database-digest.ts';
import { readOwnership, readRoles } from './database-ownership.ts';

/** What the spare must know of a dump before it loads it; stands in the manifest's detail. */
export interface DumpDetail extends DatabaseDigests {
  readonly volatile: readonly string[];
  readonly bytes: number;
  /** Of PostgreSQL. */
  readonly major: number;
  readonly roles: readonly string[];
  /** Missing in what an older version of the program sent. */
  readonly ownership?: Ownership;
  readonly extensions: readonly { readonly name: string; readonly schema: string }[];
  /** Rows by table, for people. */
  readonly tables: Readonly<Record<string, number>>;
}

/** One state of a database, held open so that digest and dump are of the same. Close it soon: it holds back vacuum. */
export interface Capture extends AsyncDisposable {
  readonly digests: DatabaseDigests;
  /** Dumps into an empty directory of ours. The digests in `detail` count the sequences as the dump has them. */
  dump(directory: string): Promise<{ readonly files: readonly ManifestFile[]; readonly detail: DumpDetail }>;
}

export interface CaptureOptions {
  readonly database: string;
  /** Patterns `schema.table` and `schema.table.column`. */
  readonly volatile: readonly string[];
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export async function openCapture(postgres: Postgres, options: CaptureOptions): Promise<Capture> {
  const { signal, timeoutMs, volatile } = options;
  const session = await postgres.connect(options.database, { signal, statementTimeoutMs: timeoutMs });
  try {
    await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await pinSettings(session);
    const [row] = await session.query<{ id: string }>('SELECT pg_export_snapshot() AS id');
    const content = await readContent(session, parseVolatile(volatile));
    return {
      digests: digestsOf(content),
      dump: (directory) => dump(postgres, session, { ...options, snapshot: row?.id ?? '', content, directory }),
      [Symbol.asyncDispose]: () => session.close(),
    };
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** What a dump may take that was never made before, in bytes: indexes are not in it. */
export async function tableBytes(postgres: Postgres, database: string, signal: AbortSignal): Promise<number> {
  await using session = await postgres.connect(database, { signal });
  const [row] = await session.query<{ bytes: string }>(
    `SELECT coalesce(sum(pg_table_size(c.oid)), 0)::text AS bytes FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')`,
  );
  return Number(row?.bytes ?? 0);
}

interface DumpWork extends CaptureOptions {
  readonly snapshot: string;
  readonly content: Content;
  readonly directory: string;
}

// Not compressed: unchanged parts of a file stay where they were, and rsync finds them in the last dump.
const format = ['-Fd', '-Z0', '--no-sync', '-f', archive];
const leftOut = ['--no-publications', '--no-subscriptions', '--exclude-schema=pglogical', '--lock-wait-timeout=60s'];

async function dump(postgres: Postgres, session: Session, work: DumpWork): ReturnType<Capture['dump']> {
  const { database, directory, signal, timeoutMs } = work;
  const user = await postgres.osUser();
  if (user !== undefined) await chown(directory, user.uid, user.gid);
  const args = [...format, ...leftOut, `--snapshot=${work.snapshot}`];
  let script: string;
  try {
    await runOnArchive(postgres, 'pg_dump', { database, args, directory, timeoutMs, signal });
    script = await sequenceScript(postgres, work);
  } catch (error) {
    throw toolFailure(error, 'Failed to dump database', database);
  }
  const digests = digestsOf(withSequences(work.content, sequencesOfScript(script)));
  return { files: await takeOver(directory), detail: { ...digests, ...(await describe(session, work)) } };
}

async function sequenceScript(postgres: Postgres, { directory, signal, timeoutMs }: DumpWork): Promise<string> {
  const run = { directory, signal, timeoutMs };
  const { stdout } = await runOnArchive(postgres, 'pg_restore', { ...run, args: ['-l', archive] });
  const list = sequenceList(parseArchiveList(stdout));
  if (list === '') return '';
  return (await runOnArchive(postgres, 'pg_restore', { ...run, list, args: ['-f', '-', archive] })).stdout;
}

async function describe(session: Session, work: DumpWork): Promise<Omit<DumpDetail, keyof DatabaseDigests>> {
  const [server] = await session.query<{ bytes: string; major: number }>(
    `SELECT pg_database_size(current_database())::text AS bytes, current_setting('server_version_num')::int / 10000 AS major`,
  );
  const ownership = await readOwnership(session);
  return {
    volatile: work.volatile,
    bytes: Number(server?.bytes),
    major: Number(server?.major),
    roles: await readRoles(session, ownership),
    ownership,
    extensions: await session.query(extensionsQuery),
    tables: Object.fromEntries(work.content.whole.tables.map(({ name, rows }) => [name, rows])),
  };
}

// From here on nobody but we can change what will be signed.
async function takeOver(directory: string): Promise<ManifestFile[]> {
  const us = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  await chown(directory, us.uid, us.gid);
  const files: ManifestFile[] = [];
  for (const name of (await readdir(directory)).sort()) {
    const path = join(directory, name);
    await chown(path, us.uid, us.gid);
    await chmod(path, 0o600);
    const { size } = await stat(path);
    files.push({ path: name, size, sha256: await sha256File(path), mode: 0o600, owner: 'root', group: 'root' });
  }
  return files;
}
