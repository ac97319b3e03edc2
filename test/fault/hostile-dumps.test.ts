import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDbDump } from '../../src/jobs/db-dump.ts';
import { defaultExtensions } from '../../src/puppet/database-staging.ts';
import { digestsOfDatabase, dumpDatabase, makeSpare, rbacVolatile, type Dumped } from '../helpers/database-spare.ts';
import { createDropBench, left, type DropBench, type Expected } from '../helpers/drop-bench.ts';
import { startPair, type TestPair } from '../helpers/pair.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { restoreRole, startCluster, type Cluster } from '../helpers/postgres-cluster.ts';
import { restoreJobOf } from '../helpers/restore-job.ts';

const stream = 'db-dump.pe-rbac';
let pair: TestPair;
let active: Cluster;
let passive: Cluster;
let spare: Awaited<ReturnType<typeof makeSpare>>;
let bench: DropBench;
let count = 0;

beforeAll(async () => {
  [pair, active, passive] = await Promise.all([startPair(), startCluster(), startCluster()]);
  await Promise.all([active, passive].map((cluster) => buildRbac(cluster, 'pe-rbac', { subjects: 20, tokens: 20 })));
  spare = await makeSpare(passive, 'pe-rbac');
  const { delivery } = pair.sender();
  for (const name of ['', 'ready']) mkdirSync(join(pair.b.paths.inbox, stream, name), { recursive: true, mode: 0o700 });
  const { intake } = pair.spare;
  bench = createDropBench({
    pair,
    stream,
    delivery,
    send: createDbDump({
      postgres: active.admin,
      delivery,
      databases: [{ name: 'pe-rbac', volatile: rbacVolatile, needs: [] }],
      workDirectory: join(pair.a.paths.work, 'db-dump'),
    }),
    apply: restoreJobOf(passive, spare, { intake }, {
      host: { build: 'test', allowedExtensions: defaultExtensions },
    }),
    change: () => active.sql('pe-rbac', `INSERT INTO roles (display_name) VALUES ('honest ${(count += 1)}')`),
    agrees: async () => expect(await digestsOfDatabase(passive, 'pe-rbac')).toEqual(await digestsOfDatabase(active, 'pe-rbac')),
    elsewhere: stateOfCluster,
  });
  await bench.expectHonest();
  plain = await dumped([]);
}); // prettier-ignore
afterAll(async () => {
  await spare.stop();
  await Promise.all([active.stop(), passive.stop()]);
  await pair[Symbol.asyncDispose]();
});

/** Databases, roles, settings and who is whose member; the live database by its digest. */
async function stateOfCluster(): Promise<unknown> {
  const queries = [
    `SELECT datname, pg_get_userbyid(datdba) AS owner, datallowconn, datconnlimit, datacl::text FROM pg_database ORDER BY 1`,
    `SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit, rolpassword FROM pg_authid ORDER BY 1`,
    `SELECT roleid::regrole::text, member::regrole::text, admin_option FROM pg_auth_members ORDER BY 1, 2`,
    `SELECT setdatabase, setrole::regrole::text, setconfig FROM pg_db_role_setting ORDER BY 1, 2`,
    `SELECT spcname FROM pg_tablespace ORDER BY 1`,
  ];
  const rows = await Promise.all(queries.map((query) => passive.sql('postgres', query)));
  const settings = ['postgresql.auto.conf', 'pg_hba.conf'].map((name) => readFileSync(join(passive.socket, 'data', name), 'utf8'));
  return { rows, settings, live: await digestsOfDatabase(passive, 'pe-rbac'), console: spare.consolePid() };
} // prettier-ignore

interface Hostile {
  /** Statements of the active's superuser. */
  readonly made?: readonly string[];
  /** What is done to the directory of the dump. */
  readonly spoil?: (directory: string) => void;
  readonly detail?: Readonly<Record<string, unknown>>;
}

let plain: Dumped;
async function dumped(made: readonly string[]): Promise<Dumped> {
  await active.sql('postgres', `DROP DATABASE IF EXISTS hostile`);
  await active.sql('postgres', `CREATE DATABASE hostile OWNER "pe-rbac" TEMPLATE "pe-rbac"`);
  await active.sql('hostile', `INSERT INTO roles (display_name) VALUES ('hostile')`);
  for (const statement of made) await active.sql('hostile', statement);
  return await dumpDatabase(active, 'hostile');
}

/** A real dump of the active's database with something in it. */
async function goodsOf({ made, spoil, detail }: Hostile) {
  const dump = made === undefined ? plain : await dumped(made);
  const directory = mkdtempSync(join(pair.a.root, 'hostile-'));
  cpSync(dump.directory, directory, { recursive: true });
  spoil?.(directory);
  return {
    digest: `sha256:${createHash('sha256').update(directory).digest('hex')}`,
    detail: JSON.parse(JSON.stringify({ ...dump.detail, ...detail })) as Record<string, unknown>,
    bulk: true,
    pack: (target: string) =>
      Promise.resolve(
        readdirSync(directory).map((path) => {
          const bytes = readFileSync(join(directory, path));
          writeFileSync(join(target, path), bytes);
          const sha256 = createHash('sha256').update(bytes).digest('hex');
          return { path, size: bytes.length, sha256, mode: 0o600, owner: 'root', group: 'root' };
        }),
      ),
  };
}

/** One that waited before is superseded. */
const changes = [...left(stream), /archive\/db-dump\.pe-rbac(\/|$)/, /taken\/db-dump\.pe-rbac\//];
const failed = (sentence: RegExp): Expected => ({ sentence, state: 'failed', mayChange: changes });
const waits = (sentence: RegExp): Expected => ({
  sentence,
  state: undefined,
  waits: true,
  mayChange: changes,
});
const asOwner = (statement: string): string => `SET ROLE "pe-rbac"; ${statement}`;

/** A function that does it where it is loaded, and is called there by what `trap` makes. */
const trapped = (body: string, trap: string, kind = 'VOLATILE'): string[] =>
  [
    `CREATE FUNCTION evil(x text) RETURNS boolean LANGUAGE plpgsql ${kind} AS $f$ BEGIN
     IF current_database() LIKE '%restore%' THEN ${body} END IF; RETURN true; END $f$`,
    `CREATE TABLE trap (x text)`,
    `INSERT INTO trap VALUES ('x')`,
    trap,
  ].map(asOwner);
const program = `EXECUTE 'COPY public.salt FROM PROGRAM ''touch /tmp/pe-failover-hostile''';`;
const check = `ALTER TABLE trap ADD CHECK (public.evil(x))`;

const armed: [string, Hostile, Expected][] = [
  ['a check that runs a program', { made: trapped(program, check) }, failed(/to COPY to or from an external program/)],
  ['an index that runs a program', { made: trapped(program, `CREATE INDEX ON trap (public.evil(x))`, 'IMMUTABLE') }, failed(/COPY is not allowed in a non-volatile function/)],
  ['a materialized view that runs a program', { made: trapped(program, `CREATE MATERIALIZED VIEW seen AS SELECT public.evil(x) FROM trap`) }, failed(/to COPY to or from an external program/)],
  ['a check that becomes a superuser', { made: trapped(`SET SESSION AUTHORIZATION postgres;`, check) }, failed(/permission denied to set session authorization/)],
  ['a check that leaves its role', { made: trapped(`RESET ROLE; ${program}`, check) }, failed(/to COPY to or from an external program/)],
  ['a check that writes a file', { made: trapped(`PERFORM lo_export(lo_from_bytea(0, 'x'), '/tmp/pe-failover-hostile');`, check) }, failed(/permission denied for function lo_export/)],
  ['a check that reads a file', { made: trapped(`PERFORM pg_read_file('/etc/passwd');`, check) }, failed(/permission denied for function pg_read_file/)],
  ['a check that sets the server', { made: trapped(`EXECUTE 'ALTER SYSTEM SET archive_command = ''id''';`, check) }, failed(/ALTER SYSTEM cannot run inside a transaction block/)],
  ['a check that makes a role', { made: trapped(`CREATE ROLE evil SUPERUSER;`, check) }, failed(/must be superuser to create superusers|permission denied to create role|would change databases/)],
  ['a check that raises the role that loads', { made: trapped(`ALTER ROLE ${restoreRole} SUPERUSER;`, check) }, failed(/must be superuser|permission denied/)],
  ["a check that ends the server's sessions", { made: trapped(`PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres';`, check) }, failed(/must be a superuser to terminate superuser process/)],
  ['a function in C', { made: [`CREATE FUNCTION peek(citext, citext) RETURNS boolean LANGUAGE c AS 'citext', 'citext_eq'`, `ALTER FUNCTION peek OWNER TO "pe-rbac"`] }, failed(/permission denied for language c/)],
  ['an extension that is not allowed', { made: [`CREATE EXTENSION dblink`] }, waits(/extension\(s\) that are not allowed: dblink/)],
  ['a table that belongs to a superuser', { made: [`CREATE TABLE owned (x int)`] }, waits(/will not restore as a superuser, and postgres/)],
]; // prettier-ignore

describe('a dump of the database with', () => {
  it.each(armed)('%s is not live, and nothing of it stays', async (_, hostile, expected) => {
    const goods = await goodsOf(hostile);
    await bench.judges(() => bench.deliver(goods), expected);
  });
  it('keeps out no honest one afterwards', () => bench.expectHonest());
});

/** Another statement in place of a comment that the archive sets; each text of a table of contents has its length before it. */
const saying = (statement: string) => (directory: string): void => {
  const toc = readFileSync(join(directory, 'toc.dat'));
  const at = toc.indexOf('COMMENT ON TABLE public.subjects IS');
  const length = toc.readUInt32LE(at - 4);
  const text = Buffer.from(`${statement};\n`);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(text.length);
  writeFileSync(join(directory, 'toc.dat'), Buffer.concat([toc.subarray(0, at - 4), size, text, toc.subarray(at + length)]));
}; // prettier-ignore

const statements: [string, string, RegExp][] = [
  ['COPY FROM PROGRAM', `COPY public.salt FROM PROGRAM 'touch /tmp/pe-failover-hostile'`, /to COPY to or from an external program/],
  ['COPY to a file', `COPY public.salt TO '/tmp/pe-failover-hostile'`, /to COPY to a file/],
  ['an event trigger', `CREATE FUNCTION public.spy() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER spy ON ddl_command_end EXECUTE FUNCTION public.spy()`, /permission denied to create event trigger/],
  ['another session role', `SET SESSION AUTHORIZATION postgres`, /permission denied to set session authorization/],
  ['the role of a superuser', `SET ROLE postgres`, /permission denied to set role "postgres"/],
  ['ALTER SYSTEM', `ALTER SYSTEM SET archive_command = 'id'`, /permission denied/],
  ['a language of the server', `CREATE EXTENSION plperlu`, /permission denied|not available|could not open/],
  ['a role', `CREATE ROLE evil`, /permission denied to create role/],
  ['a right to be a superuser', `GRANT postgres TO ${restoreRole}`, /must be superuser|permission denied|must have admin option/],
  ['a tablespace', `CREATE TABLESPACE evil LOCATION '/tmp'`, /permission denied to create tablespace/],
  ['a library', `LOAD '/tmp/pe-failover-hostile.so'`, /access to library|could not access/],
  ['a command of psql', `\\! touch /tmp/pe-failover-hostile`, /syntax error/],
  ['a drop of the live database', `DROP DATABASE "pe-rbac" WITH (FORCE)`, /would change databases, roles or settings of this server/],
  ['a closed live database', `ALTER DATABASE "pe-rbac" ALLOW_CONNECTIONS false`, /would change databases, roles or settings of this server/],
  ['another password for the owner', `SET ROLE "pe-rbac"; ALTER ROLE "pe-rbac" PASSWORD 'evil'`, /would change databases, roles or settings of this server/],
]; // prettier-ignore

describe('an archive that says', () => {
  it.each(statements)('%s is not live, and nothing of it stays', async (_, statement, sentence) => {
    const goods = await goodsOf({ spoil: saying(statement) });
    await bench.judges(() => bench.deliver(goods), failed(sentence));
  });
  it('keeps out no honest one afterwards', () => bench.expectHonest());
});

const data = (directory: string): string =>
  join(directory, readdirSync(directory).find((name) => name.endsWith('.dat') && name !== 'toc.dat') ?? '');
const edited =
  (name: (directory: string) => string, edit: (bytes: Buffer) => Buffer) =>
  (directory: string): void =>
    writeFileSync(name(directory), edit(readFileSync(name(directory))));
const toc = (directory: string): string => join(directory, 'toc.dat');
const flipped = (bytes: Buffer): Buffer => {
  const at = bytes.indexOf('CREATE TABLE');
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
};

const archives: [string, Hostile, Expected][] = [
  ['a table of contents that is cut', { spoil: edited(toc, (bytes) => bytes.subarray(0, 500)) }, failed(/the dump does not load/)],
  ['an empty table of contents', { spoil: edited(toc, () => Buffer.alloc(0)) }, failed(/the dump does not load/)],
  ['noise for a table of contents', { spoil: edited(toc, () => Buffer.from('\0\xff'.repeat(5000), 'latin1')) }, failed(/the dump does not load/)],
  ['no table of contents', { spoil: (d) => rmSync(toc(d)) }, failed(/the dump does not load/)],
  ['a bit flipped in its table of contents', { spoil: edited(toc, flipped) }, failed(/the dump does not load/)],
  ['a table of contents that names a file outside', { spoil: edited(toc, (bytes) => Buffer.from(bytes.toString('latin1').replace(/\d{4}\.dat/, '../x.dat'), 'latin1')) }, failed(/the dump does not load/)],
  ['data that is cut', { spoil: edited(data, (bytes) => bytes.subarray(0, bytes.length / 2)) }, failed(/the dump does not load|is not what was dumped/)],
  ['data that is noise', { spoil: edited(data, () => Buffer.from('\0\xff'.repeat(500), 'latin1')) }, failed(/the dump does not load/)],
  ['data that is gone', { spoil: (d) => rmSync(data(d)) }, failed(/the dump does not load/)],
  ['a digest of other data', { detail: { digest: `sha256:${'0'.repeat(64)}` } }, failed(/is not what was dumped/)],
  ['another major version', { detail: { major: 99 } }, waits(/is of PostgreSQL 99/)],
  ['a size that no disk has', { detail: { bytes: 9e15 } }, waits(/too little space/)],
  ['a role that is not here', { detail: { roles: ['x"; DROP ROLE postgres; --'] } }, waits(/PostgreSQL here has no role/)],
  ['no description', { detail: { digest: 1 } }, failed(/it does not describe a database dump/)],
  ['a pattern with a statement', { detail: { volatile: [`public.x'; DROP TABLE roles; --`] } }, failed(/it does not describe a database dump/)],
  ['a right with a statement', { detail: { ownership: ownershipWith({ schemas: [{ name: 'public', owner: 'pe-rbac', comment: null, rights: [{ grantee: null, privilege: 'USAGE; DROP', grantable: false }] }] }) } }, failed(/it does not describe a database dump/)],
  ['default rights of no kind', { detail: { ownership: ownershipWith({ defaultRights: [{ role: 'pe-rbac', schema: null, kind: 'constructor', rights: [] }] }) } }, failed(/it does not describe a database dump/)],
  ['an owner who is a superuser', { detail: { ownership: ownershipWith({ owners: [{ role: 'postgres', things: 1, first: 'table public.x' }] }) } }, waits(/will not restore as a superuser/)],
  ['an owner who may run programs', { detail: { ownership: ownershipWith({ owners: [{ role: 'pg_execute_server_program', things: 1, first: 'table public.x' }] }) } }, waits(/may do more here than a plain role/)],
]; // prettier-ignore

function ownershipWith(more: Readonly<Record<string, unknown>>): unknown {
  const schemas = [{ name: 'public', owner: 'pe-rbac', comment: null, rights: [] }];
  return { owners: [], schemas, extensionRights: [], extensionRows: [], defaultRights: [], givenOn: [], ...more };
}

describe('a drop of the database with', () => {
  it.each(archives)('%s is not live, and nothing of it stays', async (_, hostile, expected) => {
    const goods = await goodsOf(hostile);
    await bench.judges(() => bench.deliver(goods), expected);
  });
  it('keeps out no honest one afterwards', () => bench.expectHonest());
});
