import { readdir, readFile, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Failure } from '../../src/errors.ts';
import { openCapture } from '../../src/puppet/database-dump.ts';
import { mayHaveChanged, probeChange } from '../../src/puppet/database-probe.ts';
import { sweepLeftovers } from '../../src/puppet/database-staging.ts';
import { digestsOfDatabase, dumpDatabase, rbacVolatile, stage } from '../helpers/database-spare.ts';
import { expressions } from '../helpers/expressions.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { privateDirectory, restoreRole, startCluster, type Cluster } from '../helpers/postgres-cluster.ts';

let active: Cluster;
let passive: Cluster;
beforeAll(async () => {
  [active, passive] = await Promise.all([startCluster(), startCluster()]);
  await Promise.all([buildRbac(active, 'pe-rbac'), buildRbac(passive, 'pe-rbac', { subjects: 10 })]);
});
afterAll(async () => {
  await Promise.all([active.stop(), passive.stop()]);
});

const staging = 'pe-rbac_restore_1_1';
const names = () => passive.sql('postgres', `SELECT datname FROM pg_database WHERE datname LIKE 'pe-rbac%' ORDER BY 1`);

test('two clusters that hold the same data have the same digests, also after a second dump and restore', async () => {
  await stage(passive, await dumpDatabase(active, 'pe-rbac'), 'pe-rbac', staging);
  await passive.sql('postgres', `ALTER DATABASE "${staging}" ALLOW_CONNECTIONS true`);
  const wanted = await digestsOfDatabase(active, 'pe-rbac');
  expect(await digestsOfDatabase(passive, staging)).toEqual(wanted);
  const again = await dumpDatabase(passive, staging);
  expect(again.detail).toMatchObject(wanted);
  await stage(active, again, 'pe-rbac', staging);
  await using session = await active.open();
  expect(await sweepLeftovers(session, 'pe-rbac', [])).toEqual([staging]);
});

const changes: [string, string][] = [
  ['one row', `UPDATE roles SET description = 'other' WHERE id = 3`],
  ['a deleted row', `DELETE FROM audit`],
  ['a truncated table', `TRUNCATE salt`],
  ['a grant', `GRANT SELECT ON salt TO PUBLIC`],
  ['a column grant', `GRANT SELECT (login) ON subjects TO PUBLIC`],
  ['a constraint', `ALTER TABLE roles ADD CHECK (display_name <> 'x')`],
  [
    'a function body',
    `CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$`,
  ],
  [
    'a blank in a literal of a function',
    `CREATE OR REPLACE FUNCTION spaced() RETURNS text LANGUAGE sql AS 'SELECT ''ab'''`,
  ],
  [
    'a bracket in a view',
    `CREATE OR REPLACE VIEW nested AS SELECT id FROM subjects WHERE is_revoked OR (is_group AND is_superuser)`,
  ],
  ['a disabled trigger', `ALTER TABLE subjects DISABLE TRIGGER subjects_touch`],
  ['a sequence', `SELECT nextval('roles_id_seq')`],
  ['an enum label', `ALTER TYPE audit_kind ADD VALUE 'gone'`],
  ['an owner', `ALTER TABLE salt OWNER TO "pe-rbac-write"`],
  ['a comment', `COMMENT ON TABLE roles IS 'new'`],
];
test.each(changes)('%s changes the digest, and the probe sees it', async (_what, statement) => {
  await active.sql('postgres', `DROP DATABASE IF EXISTS changing`);
  await active.sql('postgres', `CREATE DATABASE changing OWNER "pe-rbac" TEMPLATE "pe-rbac"`);
  await active.sql('changing', `CREATE FUNCTION spaced() RETURNS text LANGUAGE sql AS 'SELECT ''a b''';
    CREATE VIEW nested AS SELECT id FROM subjects WHERE (is_revoked OR is_group) AND is_superuser`); // prettier-ignore
  const before = await digestsOfDatabase(active, 'changing');
  await using watching = await active.open('changing');
  const probe = await probeChange(watching);
  expect(mayHaveChanged(probe, await probeChange(watching))).toBe(false);
  await active.sql('changing', statement); // its connection ends, so its counters are told
  await expect.poll(async () => mayHaveChanged(probe, await probeChange(watching)), { timeout: 5000 }).toBe(true);
  await watching.close();
  const after = await digestsOfDatabase(active, 'changing');
  expect(after.digest).not.toBe(before.digest);
  expect(after.wholeDigest).not.toBe(before.wholeDigest);
});

test('definitions come back from a dump and restore with the digest that they had, casts and brackets included', async () => {
  for (const cluster of [active, passive]) await cluster.sql('postgres', 'CREATE DATABASE expressions OWNER "pe-rbac"');
  for (const statement of expressions) {
    await active.sql('expressions', `GRANT ALL ON SCHEMA public TO "pe-rbac"; SET ROLE "pe-rbac"; ${statement}`);
  }
  await passive.sql('expressions', 'GRANT ALL ON SCHEMA public TO "pe-rbac"');
  await stage(passive, await dumpDatabase(active, 'expressions'), 'expressions', 'expressions_restore_1_1');
});

test('a change by use alone changes only the whole digest', async () => {
  const before = await digestsOfDatabase(active, 'pe-rbac');
  await active.sql(
    'pe-rbac',
    `UPDATE subjects SET last_login = now(), failed_login_attempts = 9; DELETE FROM tokens WHERE id < 5`,
  );
  await active.sql('pe-rbac', `SELECT nextval('tokens_id_seq')`);
  const after = await digestsOfDatabase(active, 'pe-rbac');
  expect(after.digest).toBe(before.digest);
  expect(after.wholeDigest).not.toBe(before.wholeDigest);
});

test('dump and digest are of one moment, whatever is written meanwhile', async () => {
  const signal = AbortSignal.timeout(60_000);
  const options = { database: 'pe-rbac', volatile: rbacVolatile, timeoutMs: 60_000, signal };
  await using capture = await openCapture(active.admin, options);
  await active.sql('pe-rbac', `INSERT INTO roles (display_name) VALUES ('meanwhile')`); // moves a sequence as well
  const directory = await privateDirectory(active);
  const { detail } = await capture.dump(directory);
  await stage(passive, { directory, detail }, 'pe-rbac', staging);
});

test('two dumps of one schema have the same file names, and the files of unchanged tables are the same to the byte', async () => {
  const [one, two] = [await dumpDatabase(active, 'pe-rbac'), await dumpDatabase(active, 'pe-rbac')];
  const files = await readdir(one.directory);
  expect(await readdir(two.directory)).toEqual(files);
  for (const file of files.filter((name) => name !== 'toc.dat')) {
    expect(await readFile(`${two.directory}/${file}`)).toEqual(await readFile(`${one.directory}/${file}`));
  }
});

const evil = `CREATE FUNCTION evil(x text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
  IF current_database() LIKE '%restore%' THEN BEGIN RESET ROLE; RESET SESSION AUTHORIZATION; END; EXECUTE 'COPY public.loot FROM PROGRAM ''id''';
  END IF; RETURN true; END $$`;
const owned = (statement: string): string => `SET ROLE "pe-rbac"; ${statement}`;
const hostile: [string, string[], RegExp][] = [
  [
    'that runs a program by a check of a table',
    [
      `CREATE TABLE loot (t text)`,
      evil,
      `CREATE TABLE trap (x text CHECK (public.evil(x)))`,
      `INSERT INTO trap VALUES ('x')`,
    ].map(owned),
    /to COPY to or from an external program/,
  ],
  [
    'with a function in a language that only superusers use',
    [
      `CREATE FUNCTION peek(citext, citext) RETURNS boolean LANGUAGE c AS 'citext', 'citext_eq'`,
      `ALTER FUNCTION peek OWNER TO "pe-rbac"`,
    ],
    /permission denied for language c/,
  ],
];
test.each(hostile)('a dump %s does not load, and nothing of it stays', async (_what, statements, refusal) => {
  await active.sql('postgres', `DROP DATABASE IF EXISTS hostile`);
  await active.sql('postgres', `CREATE DATABASE hostile OWNER "pe-rbac" TEMPLATE "pe-rbac"`);
  for (const statement of statements) await active.sql('hostile', statement);
  const dumped = await dumpDatabase(active, 'hostile');
  await expect(stage(passive, dumped, 'pe-rbac', 'pe-rbac_restore_1_9')).rejects.toThrow(refusal);
  await expect(stage(passive, dumped, 'pe-rbac', 'pe-rbac_restore_1_9')).rejects.toMatchObject({ class: 'bad-data' });
  expect(await names()).not.toContainEqual({ datname: 'pe-rbac_restore_1_9' });
});

// The exact types of calls of ours: without care these go before the functions of the server, which take any.
const planted: [string, string][] = [
  ['concat_ws', 'text, timestamptz, oid, timestamptz, text, text, text'],
  ['json_build_object', 'text, name, text, text'],
];
const plant = ([name, types]: [string, string]): string =>
  `CREATE FUNCTION public.${name}(${types}) RETURNS ${name === 'concat_ws' ? 'text' : 'json'} LANGUAGE plpgsql AS
   $$ BEGIN INSERT INTO public.loot VALUES (session_user); RETURN NULL; END $$`;

test("functions that the application named like the server's own are never called by us, on either side", async () => {
  for (const cluster of [active, passive]) {
    await cluster.sql('postgres', `CREATE DATABASE planted OWNER "pe-rbac"`);
    for (const statement of ['CREATE TABLE loot (who text)', ...planted.map(plant)]) {
      await cluster.sql('planted', `GRANT ALL ON SCHEMA public TO "pe-rbac"; ${owned(statement)}`);
    }
    await cluster.sql('postgres', `ALTER DATABASE planted SET search_path = public, pg_catalog`);
  }
  await using watching = await active.open('planted');
  expect(await probeChange(watching)).not.toBe('');
  await stage(passive, await dumpDatabase(active, 'planted'), 'planted', 'planted_restore_1_1');
  for (const cluster of [active, passive]) expect(await cluster.sql('planted', 'SELECT * FROM loot')).toEqual([]);
});

test('an event trigger, a publication and what pglogical made do not reach the spare', async () => {
  await active.sql('postgres', `CREATE DATABASE extras OWNER "pe-rbac" TEMPLATE "pe-rbac"`);
  await active.sql('extras', `CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
    ALTER FUNCTION on_ddl() OWNER TO "pe-rbac"; CREATE EVENT TRIGGER spy ON ddl_command_end EXECUTE FUNCTION on_ddl();
    CREATE PUBLICATION everything FOR TABLE roles; CREATE SCHEMA pglogical; CREATE TABLE pglogical.node (id int)`); // prettier-ignore
  await stage(passive, await dumpDatabase(active, 'extras'), 'pe-rbac', 'pe-rbac_restore_1_5');
  await passive.sql('postgres', `ALTER DATABASE "pe-rbac_restore_1_5" ALLOW_CONNECTIONS true`);
  const [found] = await passive.sql(
    'pe-rbac_restore_1_5',
    `SELECT (SELECT count(*)::int FROM pg_event_trigger) AS triggers,
    (SELECT count(*)::int FROM pg_publication) AS publications, (SELECT count(*)::int FROM pg_namespace WHERE nspname = 'pglogical') AS schemas`,
  );
  expect(found).toEqual({ triggers: 0, publications: 0, schemas: 0 });
});

test('a tampered table is told from what was dumped', async () => {
  const dumped = await dumpDatabase(active, 'pe-rbac');
  const detail = { ...dumped.detail, digest: `sha256:${'0'.repeat(64)}` };
  await expect(stage(passive, { ...dumped, detail }, 'pe-rbac', staging)).rejects.toThrow('is not what was dumped');
});

test('refuses a dump whose role is missing here, with the statement that makes it', async () => {
  await active.sql('postgres', 'CREATE ROLE auditor');
  await active.sql('pe-rbac', 'GRANT SELECT ON audit TO auditor');
  const dumped = await dumpDatabase(active, 'pe-rbac');
  await expect(stage(passive, dumped, 'pe-rbac', staging)).rejects.toThrow(/no role auditor.*CREATE ROLE "auditor"/);
  await active.sql('pe-rbac', 'REVOKE ALL ON audit FROM auditor');
});

test('refuses while the live database has a prepared transaction or a replication slot, naming it', async () => {
  const dumped = await dumpDatabase(active, 'pe-rbac');
  await passive.sql('pe-rbac', `BEGIN; INSERT INTO salt VALUES ('x'); PREPARE TRANSACTION 'open'`);
  await expect(stage(passive, dumped, 'pe-rbac', staging)).rejects.toThrow('1 prepared transaction');
  await passive.sql('pe-rbac', `ROLLBACK PREPARED 'open'`);
  await passive.sql('pe-rbac', `SELECT pg_create_logical_replication_slot('replica', 'pgoutput')`);
  await expect(stage(passive, dumped, 'pe-rbac', staging)).rejects.toThrow('replication slot(s): replica');
  await passive.sql('pe-rbac', `SELECT pg_drop_replication_slot('replica')`);
});

test('never restores with a superuser, whichever of the two roles it is', async () => {
  const dumped = await dumpDatabase(active, 'pe-rbac');
  for (const role of [restoreRole, 'pe-rbac']) {
    await passive.sql('postgres', `ALTER ROLE "${role}" SUPERUSER`);
    const refusal = new RegExp(
      `will not restore as a superuser, and ${role}.* Type in psql: ALTER ROLE "${role}" NOSUPERUSER`,
    );
    await expect(stage(passive, dumped, 'pe-rbac', staging)).rejects.toThrow(refusal);
    await passive.sql('postgres', `ALTER ROLE "${role}" NOSUPERUSER`);
  }
});

test('what the README writes into the two files of PostgreSQL lets the role that loads in, and nothing less does', async () => {
  const readme = await readFile(join(import.meta.dirname, '../../README.md'), 'utf8');
  const [, hba = '', ident = ''] = /^(local +all .*)\n(pe_failover +pe-postgres .*)$/m.exec(readme) ?? [];
  await using own = await startCluster();
  const user = own.runAs ?? userInfo().username;
  const write = async (hbaLine: string, identLine: string): Promise<void> => {
    await writeFile(
      join(own.socket, 'data/pg_hba.conf'),
      `${hbaLine}\nlocal all postgres peer map=pe\nlocal all all peer\n`,
    );
    await writeFile(join(own.socket, 'data/pg_ident.conf'), `pe ${user} postgres\n${identLine}\n`);
    await own.sql('postgres', 'SELECT pg_reload_conf()');
  };
  const enter = async (): Promise<string> => {
    await using session = await own.restorer.connect('postgres', { signal: AbortSignal.timeout(30_000) });
    return (await session.query<{ who: string }>('SELECT current_user::text AS who'))[0]?.who ?? '';
  };
  const entered = () => enter().catch((error: unknown) => (error instanceof Failure ? error.what : 'failed'));
  await write('', '');
  await expect.poll(entered, { timeout: 10_000 }).toBe('PostgreSQL does not let us in');
  await write(hba, ident.replace('pe-postgres', user));
  await expect.poll(entered, { timeout: 10_000 }).toBe(restoreRole);
});

test('says how to let a role in that PostgreSQL refuses', async () => {
  const signal = AbortSignal.timeout(30_000);
  await expect(passive.as('stranger').connect('pe-rbac', { signal })).rejects.toThrow(/pg_hba\.conf.*pg_ident\.conf/);
});
