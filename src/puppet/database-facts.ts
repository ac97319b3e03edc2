import { statfs } from 'node:fs/promises';
import { Failure } from '../errors.ts';
import { isLeftoverName } from '../rules/database-names.ts';
import { ownersOf, type RestoreFacts } from '../rules/restore-refusals.ts';
import type { Postgres, Session } from '../system/postgres.ts';
import type { DumpDetail } from './database-dump.ts';
import { rolesHere } from './database-roles.ts';

/** Where statements about databases are sent: no database can be renamed or dropped from within. */
export const maintenanceDatabase = 'postgres';

export interface DatabaseFacts {
  readonly name: string;
  /** Stays through a rename. */
  readonly oid: number;
  readonly owner: string;
  readonly encoding: string;
  readonly collate: string;
  readonly ctype: string;
  /** Locale of the ICU provider, where that is used. */
  readonly icuLocale: string | null;
  readonly tablespace: string;
  readonly open: boolean;
}

const factsQuery = `SELECT d.datname AS name, d.oid::bigint::float8 AS oid, pg_get_userbyid(d.datdba) AS owner, pg_encoding_to_char(d.encoding) AS encoding,
  d.datcollate AS collate, d.datctype AS ctype, d.datallowconn AS open, t.spcname AS tablespace,
  CASE WHEN to_jsonb(d) ->> 'datlocprovider' = 'i' THEN coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') END AS "icuLocale"
  FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace`;

export async function findDatabase(session: Session, name: string): Promise<DatabaseFacts | undefined> {
  return (await session.query<DatabaseFacts>(`${factsQuery} WHERE d.datname = $1`, [name]))[0];
}

export async function findByOid(session: Session, oid: number): Promise<DatabaseFacts | undefined> {
  return (await session.query<DatabaseFacts>(`${factsQuery} WHERE d.oid = $1`, [oid]))[0];
}

export async function requireDatabase(session: Session, name: string): Promise<DatabaseFacts> {
  const found = await findDatabase(session, name);
  if (found !== undefined) return found;
  const hint = 'Install the same release as on the other master first: a restore replaces, it does not create';
  throw new Failure('config', 'no such database', { where: name, hint });
}

/** Staging and previous databases of this one, whoever left them: the caller knows which it still needs. */
export async function leftoverDatabases(session: Session, database: string): Promise<DatabaseFacts[]> {
  return (await session.query<DatabaseFacts>(factsQuery)).filter(({ name }) => isLeftoverName(name, database));
}

export interface Host {
  /** PE's build, else versions of what runs here: compared with the drop's. */
  readonly build: string;
  readonly allowedExtensions: readonly string[];
  /** Bytes that no load may use up. */
  readonly freeSpace?: number;
}

/** What is asked of a drop before its database is loaded or switched. */
export interface AskedDrop {
  readonly database: string;
  readonly build: string;
  readonly detail: DumpDetail;
  readonly superseded?: string | undefined;
  /** Role that loads it. */
  readonly restorer: string;
}

/** Everything that `restoreRefusals` wants to know. */
export async function gatherRestoreFacts(
  session: Session,
  postgres: Postgres,
  drop: AskedDrop,
  host: Host,
): Promise<RestoreFacts> {
  const { database, detail, restorer } = drop;
  const extensions = detail.extensions.map(({ name }) => name);
  const about = [database, detail.roles, drop.superseded ?? '', extensions];
  const [row] = await session.query<Gathered>(gatherQuery, about);
  if (row === undefined) throw new Failure('bug', 'PostgreSQL gave no facts', { where: database });
  const allowed = new Set(host.allowedExtensions);
  const ownership = detail.ownership ?? { owners: [], extensionRows: [], givenOn: [] };
  const owners = ownersOf({ ownership, owner: row.owner, database }).map(({ role }) => role);
  const free = postgres.socketIsLocal ? await freeBytes(row.directory) : undefined;
  return {
    database,
    preparedTransactions: row.prepared,
    slots: row.slots,
    subscriptions: row.subscriptions,
    build: drop.build,
    buildHere: host.build,
    major: detail.major,
    majorHere: row.major,
    missingRoles: row.missing,
    foreignExtensions: extensions.filter((name) => !allowed.has(name)),
    absentExtensions: row.absent,
    restorer,
    owner: row.owner,
    ownership,
    rolesHere: await rolesHere(session, [restorer, ...owners], restorer),
    free,
    ...(host.freeSpace === undefined ? {} : { reserve: host.freeSpace }),
    supersededBytes: Number(row.superseded),
    stagingBytes: detail.bytes,
    // What a load writes is logged as well, until two checkpoints have passed.
    walBytes: Math.min(detail.bytes, 2 * Number(row.wal)),
  };
}

interface Gathered {
  readonly prepared: number;
  readonly slots: readonly string[];
  readonly subscriptions: readonly string[];
  readonly missing: readonly string[];
  readonly absent: readonly string[];
  readonly owner: string;
  readonly major: number;
  readonly directory: string;
  readonly wal: string;
  readonly superseded: string;
}

const gatherQuery = `SELECT
  (SELECT count(*)::int FROM pg_prepared_xacts WHERE database = $1) AS prepared,
  ARRAY(SELECT slot_name::text FROM pg_replication_slots WHERE database = $1) AS slots,
  ARRAY(SELECT s.subname::text FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = $1) AS subscriptions,
  ARRAY(SELECT r::text FROM unnest($2::text[]) r WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r)) AS missing,
  ARRAY(SELECT e::text FROM unnest($4::text[]) e WHERE NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = e)) AS absent,
  (SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = $1) AS owner,
  current_setting('server_version_num')::int / 10000 AS major,
  current_setting('data_directory') AS directory,
  pg_size_bytes(current_setting('max_wal_size'))::text AS wal,
  coalesce((SELECT pg_database_size(oid) FROM pg_database WHERE datname = $3), 0)::text AS superseded`;

/** Where PostgreSQL keeps its data, as it says itself. */
export async function dataDirectory(admin: Postgres, signal: AbortSignal): Promise<string | undefined> {
  await using session = await admin.connect(maintenanceDatabase, { signal });
  return (await session.query<{ data_directory: string }>('SHOW data_directory'))[0]?.data_directory;
}

async function freeBytes(directory: string): Promise<number | undefined> {
  const found = await statfs(directory).catch(() => undefined); // another mount namespace: then nothing is known
  return found === undefined ? undefined : found.bavail * found.bsize;
}
