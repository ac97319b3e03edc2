import { Failure } from '../errors.ts';
import { filterArchiveList, parseArchiveList } from '../rules/archive-list.ts';
import { ownersOf, refusalOf, supersededIsInTheWay } from '../rules/restore-refusals.ts';
import type { DatabaseShape } from '../rules/brakes-database.ts';
import { parseVolatile } from '../rules/volatile.ts';
import { CommandError } from '../system/exec.ts';
import { fullOfPostgres } from '../system/file-systems.ts';
import type { Ownership } from '../rules/ownership.ts';
import { loginHint, quoteName, quoteText, type Postgres, type Session } from '../system/postgres.ts';
import { archive, lendArchive, runOnArchive } from './database-archive.ts';
import { measureDatabase } from './database-digest.ts';
import type { DumpDetail } from './database-dump.ts';
import {
  dataDirectory,
  findDatabase,
  gatherRestoreFacts,
  leftoverDatabases,
  maintenanceDatabase,
  requireDatabase,
  type DatabaseFacts,
  type Host,
} from './database-facts.ts';
import { furnish, settleRights } from './database-rights.ts';
import { becomeOwners } from './database-roles.ts';

/** Extensions that a dump may ask for. They are made by the superuser beforehand, from this host's own files. */
export const defaultExtensions = [
  'citext',
  'pgcrypto',
  'pg_trgm',
  'hstore',
  'uuid-ossp',
  'btree_gin',
  'btree_gist',
  'unaccent',
];

export interface Staging {
  readonly database: string;
  /** Name of the database to load into. */
  readonly name: string;
  /** pg_dump's directory; only root can write it. */
  readonly directory: string;
  readonly build: string;
  readonly detail: DumpDetail;
  /** Database of an older drop that is loaded: dropped where there is too little space beside it. */
  readonly superseded?: string | undefined;
}

export interface StagingTools {
  /** Superuser. */
  readonly admin: Postgres;
  /** Unprivileged login of ours: what a dump may carry runs as this one. */
  readonly restorer: Postgres;
  readonly host: Host;
  readonly parallel: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** A database that is loaded beside the live one and checked. */
export interface Loaded {
  readonly oid: number;
  readonly shape: DatabaseShape;
}

/**
 * Loads a dump beside the live database and checks it against the sender's digests; the live one is not touched. What is wrong with the dump is of class bad-data; everything else may pass when tried again or mended.
 */
export async function stageDatabase(tools: StagingTools, staging: Staging): Promise<Loaded> {
  const { admin, signal, timeoutMs } = tools;
  await using session = await admin.connect(maintenanceDatabase, { signal, statementTimeoutMs: timeoutMs });
  const ownership = ownershipOf(staging);
  const live = await requireDatabase(session, staging.database);
  await refuse(session, tools, staging);
  const owners = ownersOf({ database: staging.database, owner: live.owner, ownership }).map(({ role }) => role);
  await becomeOwners(session, tools.restorer.role, owners);
  await dropDatabase(session, staging.name);
  let shape: DatabaseShape;
  try {
    await createLike(session, staging.name, live);
    const detail = { ...staging.detail, ownership };
    await inside(tools, staging, (own) => furnish(own, detail, [tools.restorer.role, ...owners]));
    shape = await guarding(tools, staging.database, async () => {
      await lendArchive(tools.restorer, staging.directory, () => load(tools, staging, owners));
      await inside(tools, staging, (own) => settleRights(own, detail));
      return await verify(tools, staging);
    });
    await session.query(`ALTER DATABASE ${quoteName(staging.name)} ALLOW_CONNECTIONS false`);
  } catch (error) {
    await dropAfterFailure(admin, staging.name);
    throw error;
  }
  return { oid: (await requireDatabase(session, staging.name)).oid, shape };
}

/** Drops a database if it is there, ending its sessions first. */
export async function dropDatabase(session: Session, name: string): Promise<void> {
  if ((await findDatabase(session, name)) === undefined) return;
  await session.query(`ALTER DATABASE ${quoteName(name)} ALLOW_CONNECTIONS false`);
  await endSessions(session, [name]);
  await session.query(`DROP DATABASE IF EXISTS ${quoteName(name)}`);
}

/** Drops what a crash left of restores of this database. `needed` are OIDs that somebody still counts on. */
export async function sweepLeftovers(session: Session, database: string, needed: readonly number[]): Promise<string[]> {
  const left = (await leftoverDatabases(session, database)).filter(({ oid }) => !needed.includes(oid));
  for (const { name } of left) await dropDatabase(session, name);
  return left.map(({ name }) => name);
}

/** Ends every session of these databases; they must be closed to new ones. */
export async function endSessions(session: Session, databases: readonly string[]): Promise<void> {
  const names = databases.map(quoteText).join(', ');
  await session.query(`DO $$ BEGIN LOOP PERFORM pg_stat_clear_snapshot();
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (${names});
    EXIT WHEN NOT FOUND; PERFORM pg_sleep(0.002); END LOOP; END $$`);
}

/**
 * INVARIANT: while code of a dump may run, no database, role, membership or setting changes. That code acts as the owner of the
 * live database, who could drop, rename, close and set it, and set himself a password. Whoever tries waits, and is ended.
 */
async function guarding<Value>(
  { admin, restorer, signal, timeoutMs }: StagingTools,
  live: string,
  work: () => Promise<Value>,
): Promise<Value> {
  await using guard = await admin.connect(live, { signal, statementTimeoutMs: timeoutMs });
  await guard.query(`BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0;
    LOCK TABLE pg_catalog.pg_database, pg_catalog.pg_authid, pg_catalog.pg_auth_members, pg_catalog.pg_db_role_setting IN SHARE MODE`);
  let ended = false;
  const look = async (): Promise<void> => {
    await guard.query('SELECT pg_stat_clear_snapshot()'); // else a transaction sees the sessions of its first look
    ended = (await guard.query(endMeddlers, [restorer.role])).length > 0 || ended;
  };
  const watch = setInterval(() => void look().catch(() => undefined), 500); // a guard that is gone is met by the work
  try {
    return await work();
  } catch (error) {
    if (!ended) throw error;
    const why = 'code in it would change databases, roles or settings of this server';
    throw new Failure('bad-data', 'the dump does not load', { where: live, why, cause: error });
  } finally {
    clearInterval(watch);
  }
}

const endMeddlers = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE usename = $1 AND pg_backend_pid() = ANY (pg_blocking_pids(pid))`;

async function refuse(session: Session, { admin, restorer, host }: StagingTools, staging: Staging): Promise<void> {
  const facts = await gatherRestoreFacts(session, admin, { ...staging, restorer: restorer.role }, host);
  const refusal = refusalOf(facts);
  if (refusal !== undefined)
    throw new Failure('config', 'cannot restore database', { where: staging.database, ...refusal });
  if (staging.superseded !== undefined && supersededIsInTheWay(facts)) await dropDatabase(session, staging.superseded);
}

async function createLike(session: Session, name: string, live: DatabaseFacts): Promise<void> {
  const locale = live.icuLocale === null ? '' : ` LOCALE_PROVIDER icu ICU_LOCALE ${quoteText(live.icuLocale)}`;
  await session.query(
    `CREATE DATABASE ${quoteName(name)} OWNER ${quoteName(live.owner)} TEMPLATE template0 ENCODING ${quoteText(live.encoding)}
     LC_COLLATE ${quoteText(live.collate)} LC_CTYPE ${quoteText(live.ctype)}${locale} TABLESPACE ${quoteName(live.tablespace)}`,
  );
  await session.query(`REVOKE ALL ON DATABASE ${quoteName(name)} FROM PUBLIC`);
}

async function inside(
  { admin, signal, timeoutMs }: StagingTools,
  { name }: Staging,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  await using session = await admin.connect(name, { signal, statementTimeoutMs: timeoutMs });
  await work(session);
}

// Not the dump's fault: the same content comes again from the newer program, and must not be refused then.
function ownershipOf({ database, detail }: Staging): Ownership {
  if (detail.ownership !== undefined) return detail.ownership;
  const why = 'the dump does not say to whom its things belong';
  const hint = 'Bring pe-failover on the other master to the version of this one';
  throw new Failure('config', 'cannot restore database', { where: database, why, hint });
}

async function load(
  { admin, restorer, parallel, timeoutMs, signal }: StagingTools,
  { name, directory, database }: Staging,
  owners: readonly string[],
): Promise<void> {
  const run = { directory, timeoutMs, signal };
  try {
    const { stdout } = await runOnArchive(restorer, 'pg_restore', { ...run, args: ['-l', archive] });
    const list = filterArchiveList(parseArchiveList(stdout), owners);
    const args = [
      '-j',
      String(parallel),
      '--exit-on-error',
      '--no-tablespaces',
      '--no-publications',
      '--no-subscriptions',
      archive,
    ];
    await runOnArchive(restorer, 'pg_restore', { ...run, list, database: name, args });
  } catch (error) {
    if (error instanceof CommandError && error.stderr.includes('No space left on device'))
      throw fullOfPostgres(await dataDirectory(admin, signal), database, error.stderr, error);
    throw loadFailure(error, database, restorer.role);
  }
}

// Whatever is not known to be ours or PostgreSQL's trouble is the dump's: it would fail again.
function loadFailure(error: unknown, where: string, role: string): unknown {
  if (!(error instanceof CommandError)) return error;
  const first = error.stderr.split('\n').find((line) => /ERROR:|FATAL:|error:/.test(line));
  const details = { where, why: first ?? error.message, cause: error };
  if (/authentication failed|no pg_hba\.conf entry|not permitted to log in/.test(error.stderr)) {
    return new Failure('config', 'PostgreSQL does not let us in', { ...details, hint: loginHint(role) });
  }
  const trouble =
    /could not connect|connection to server|server closed|terminating connection|could not send data|no connection to the server|No space left|out of memory|could not extend/;
  // A worker that stumbles over the dump says so before it dies.
  const killed = first !== undefined && /worker process died/.test(first);
  if (error.exitCode === undefined || error.exitCode > 1 || killed || trouble.test(error.stderr)) {
    return error.toFailure(`cannot load the dump of ${where}`);
  }
  return new Failure('bad-data', 'the dump does not load', details);
}

async function verify({ admin, restorer, signal, timeoutMs }: StagingTools, staging: Staging): Promise<DatabaseShape> {
  const { name, database, detail } = staging;
  let shape: DatabaseShape;
  {
    await using session = await admin.connect(name, { signal, statementTimeoutMs: timeoutMs });
    const found = await measureDatabase(session, database, parseVolatile(detail.volatile));
    ({ shape } = found);
    for (const which of ['digest', 'wholeDigest'] as const) {
      if (found[which] === detail[which]) continue;
      const why = `${which} is ${found[which]}, announced was ${detail[which]}`;
      throw new Failure('bad-data', 'the loaded database is not what was dumped', { where: database, why });
    }
  }
  // As the restorer: statistics evaluate functions of the dump.
  await using session = await restorer.connect(name, { signal, statementTimeoutMs: timeoutMs });
  await session.query('ANALYZE');
  return shape;
}

// The session of the attempt may have ended with its signal.
async function dropAfterFailure(admin: Postgres, name: string): Promise<void> {
  try {
    await using session = await admin.connect(maintenanceDatabase, { signal: AbortSignal.timeout(60_000) });
    await dropDatabase(session, name);
  } catch {
    // The next pass finds it by its name.
  }
}
