import { Failure } from '../errors.ts';
import { filterArchiveList, parseArchiveList } from '../rules/archive-list.ts';
import { restoreRefusals, supersededIsInTheWay } from '../rules/restore-refusals.ts';
import { parseVolatile } from '../rules/volatile.ts';
import { CommandError } from '../system/exec.ts';
import { loginHint, quoteName, quoteText, type Postgres, type Session } from '../system/postgres.ts';
import { archive, lendArchive, runOnArchive } from './database-archive.ts';
import { readDigests } from './database-digest.ts';
import type { DumpDetail } from './database-dump.ts';
import {
  findDatabase,
  gatherRestoreFacts,
  leftoverDatabases,
  maintenanceDatabase,
  requireDatabase,
  type DatabaseFacts,
  type Host,
} from './database-facts.ts';

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

/**
 * Loads a dump beside the live database and checks it against the sender's digests; the live one is not touched. Returns the
 * OID. What is wrong with the dump is of class bad-data; everything else may pass when tried again or mended.
 */
export async function stageDatabase(tools: StagingTools, staging: Staging): Promise<number> {
  const { admin, signal, timeoutMs } = tools;
  await using session = await admin.connect(maintenanceDatabase, { signal, statementTimeoutMs: timeoutMs });
  const live = await requireDatabase(session, staging.database);
  await refuse(session, tools, staging);
  await prepareRestorer(session, tools.restorer.role, live.owner);
  await dropDatabase(session, staging.name);
  try {
    await createLike(session, staging.name, live);
    const publicIsOwners = await prepareInside(tools, staging, live);
    const filter = { owner: live.owner, publicIsOwners };
    await lendArchive(tools.restorer, staging.directory, () => load(tools, staging, filter));
    await verify(tools, staging);
    await session.query(`ALTER DATABASE ${quoteName(staging.name)} ALLOW_CONNECTIONS false`);
  } catch (error) {
    await dropAfterFailure(admin, staging.name);
    throw error;
  }
  return (await requireDatabase(session, staging.name)).oid;
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

async function refuse(session: Session, { admin, host }: StagingTools, staging: Staging): Promise<void> {
  const facts = await gatherRestoreFacts(session, admin, staging, host);
  const [first, ...others] = restoreRefusals(facts);
  if (first === undefined) {
    if (staging.superseded !== undefined && supersededIsInTheWay(facts))
      await dropDatabase(session, staging.superseded);
    return;
  }
  const why = [first, ...others].map((refusal) => refusal.why).join('; ');
  throw new Failure('config', 'cannot restore database', { where: staging.database, why, hint: first.hint });
}

async function prepareRestorer(session: Session, role: string, owner: string): Promise<void> {
  const [found] = await session.query<{ super: boolean; login: boolean }>(
    'SELECT rolsuper AS super, rolcanlogin AS login FROM pg_roles WHERE rolname = $1',
    [role],
  );
  if (found === undefined)
    await session.query(`CREATE ROLE ${quoteName(role)} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE`);
  const [rights] = await session.query<{ owner: boolean; member: boolean }>(
    `SELECT o.rolsuper AS owner, pg_has_role(r.oid, o.oid, 'USAGE') AS member FROM pg_roles o, pg_roles r WHERE o.rolname = $1 AND r.rolname = $2`,
    [owner, role],
  );
  const where = found?.super === true ? role : owner;
  if (found?.super === true || rights?.owner === true) {
    const why = 'a dump may carry code, and a superuser would run it';
    const hint = `Type in psql: ALTER ROLE ${quoteName(where)} NOSUPERUSER`;
    throw new Failure('config', 'will not restore as a superuser', { where, why, hint });
  }
  if (rights?.member !== true) await session.query(`GRANT ${quoteName(owner)} TO ${quoteName(role)}`);
}

async function createLike(session: Session, name: string, live: DatabaseFacts): Promise<void> {
  const locale = live.icuLocale === null ? '' : ` LOCALE_PROVIDER icu ICU_LOCALE ${quoteText(live.icuLocale)}`;
  await session.query(
    `CREATE DATABASE ${quoteName(name)} OWNER ${quoteName(live.owner)} TEMPLATE template0 ENCODING ${quoteText(live.encoding)}
     LC_COLLATE ${quoteText(live.collate)} LC_CTYPE ${quoteText(live.ctype)}${locale} TABLESPACE ${quoteName(live.tablespace)}`,
  );
  await session.query(`REVOKE ALL ON DATABASE ${quoteName(name)} FROM PUBLIC`);
}

/** Extensions and the schema public, which only a superuser may make. Returns whether the owner may grant on public. */
async function prepareInside({ admin, signal }: StagingTools, staging: Staging, live: DatabaseFacts): Promise<boolean> {
  const owner = await publicOwner(admin, staging.database, signal);
  await using inside = await admin.connect(staging.name, { signal });
  for (const { name } of staging.detail.extensions) {
    await inside.query(`CREATE EXTENSION ${quoteName(name)} WITH SCHEMA public`);
  }
  if (owner === undefined) return true;
  await inside.query(`ALTER SCHEMA public OWNER TO ${quoteName(owner.name)}`);
  if (owner.name === live.owner || owner.name === 'pg_database_owner') return true;
  await inside.query('REVOKE ALL ON SCHEMA public FROM PUBLIC');
  for (const { grantee, privilege } of owner.grants) {
    const whom = grantee === null ? 'PUBLIC' : quoteName(grantee);
    await inside.query(`GRANT ${privilege} ON SCHEMA public TO ${whom}`);
  }
  return false;
}

interface PublicOwner {
  readonly name: string;
  readonly grants: readonly { readonly grantee: string | null; readonly privilege: 'USAGE' | 'CREATE' }[];
}

async function publicOwner(admin: Postgres, database: string, signal: AbortSignal): Promise<PublicOwner | undefined> {
  await using session = await admin.connect(database, { signal });
  const [owner] = await session.query<PublicOwner>(
    `SELECT pg_get_userbyid(nspowner) AS name, (SELECT coalesce(json_agg(json_build_object('grantee', r.rolname, 'privilege', a.privilege_type)), '[]')
     FROM aclexplode(coalesce(nspacl, acldefault('n', nspowner))) a LEFT JOIN pg_roles r ON r.oid = a.grantee) AS grants
     FROM pg_namespace WHERE nspname = 'public'`,
  );
  return owner;
}

async function load(
  { restorer, parallel, timeoutMs, signal }: StagingTools,
  { name, directory, database }: Staging,
  filter: Parameters<typeof filterArchiveList>[1],
): Promise<void> {
  const run = { directory, timeoutMs, signal };
  try {
    const { stdout } = await runOnArchive(restorer, 'pg_restore', { ...run, args: ['-l', archive] });
    const list = filterArchiveList(parseArchiveList(stdout), filter);
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
    /could not connect|connection to server|server closed|terminating connection|No space left|out of memory|could not extend/;
  if (error.exitCode === undefined || error.exitCode > 1 || trouble.test(error.stderr)) {
    return error.toFailure(`cannot load the dump of ${where}`);
  }
  return new Failure('bad-data', 'the dump does not load', details);
}

async function verify({ admin, restorer, signal, timeoutMs }: StagingTools, staging: Staging): Promise<void> {
  const { name, database, detail } = staging;
  const volatile = parseVolatile(detail.volatile);
  {
    await using session = await admin.connect(name, { signal, statementTimeoutMs: timeoutMs });
    const found = await readDigests(session, volatile);
    for (const which of ['digest', 'wholeDigest'] as const) {
      if (found[which] === detail[which]) continue;
      const why = `${which} is ${found[which]}, announced was ${detail[which]}`;
      throw new Failure('bad-data', 'the loaded database is not what was dumped', { where: database, why });
    }
  }
  // As the restorer: statistics evaluate functions of the dump.
  await using session = await restorer.connect(name, { signal, statementTimeoutMs: timeoutMs });
  await session.query('ANALYZE');
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
