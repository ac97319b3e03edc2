import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { switchDatabase } from '../../src/puppet/database-switch.ts';
import { createJournal } from '../../src/system/journal.ts';
import { argsFor, digestsOfDatabase, dumpDatabase, makeSpare, stage } from '../helpers/database-spare.ts';
import { restoreRole, startCluster, type Cluster } from '../helpers/postgres-cluster.ts';
import { belongings, buildSeveral, createFor, makeRoles } from '../helpers/several-owners.ts';

let active: Cluster;
let passive: Cluster;
beforeAll(async () => {
  [active, passive] = await Promise.all([startCluster(), startCluster()]);
  await Promise.all([makeRoles(active), makeRoles(passive)]);
  await Promise.all([buildSeveral(active, 'several'), createFor(passive, 'several', 'app_a')]);
});
afterAll(() => Promise.all([active.stop(), passive.stop()]));

test('a database of several owners is loaded with the owners and rights that it had', async () => {
  const oid = await stage(passive, await dumpDatabase(active, 'several'), 'several', 'several_restore_1_1');
  expect(oid).toBeGreaterThan(0);
  await passive.sql('postgres', 'ALTER DATABASE several_restore_1_1 ALLOW_CONNECTIONS true');
  expect(await belongings(passive, 'several_restore_1_1')).toEqual(await belongings(active, 'several'));
});

test('what was live before is there again, owners and all, when the services are not healthy with the new one', async () => {
  await Promise.all([buildSeveral(active, 'back'), buildSeveral(passive, 'back')]);
  const poisoned = `CREATE TABLE public.roles (display_name text); INSERT INTO public.roles VALUES ('poison')`;
  await active.sql(
    'back',
    `${poisoned}; ALTER TABLE public.roles OWNER TO app_c; GRANT SELECT ON roles TO "pe-rbac-write"`,
  );
  const before = [await belongings(passive, 'back'), await digestsOfDatabase(passive, 'back')];
  const spare = await makeSpare(passive, 'back');
  try {
    const oid = await stage(passive, await dumpDatabase(active, 'back'), 'back', 'back_restore_1_1');
    const journal = createJournal(join(spare.places.home, 'journal'));
    const result = await switchDatabase(spare.tools, journal, await argsFor(passive, 'back', 'back_restore_1_1', oid));
    expect(result).toMatchObject({ kind: 'went back' });
    expect([await belongings(passive, 'back'), await digestsOfDatabase(passive, 'back')]).toEqual(before);
    expect(await passive.sql('postgres', `SELECT FROM pg_database WHERE datname LIKE 'back_%'`)).toEqual([]);
  } finally {
    await spare.stop();
  }
});

const memberships = async (): Promise<string[]> =>
  (
    await passive.sql<{ name: string }>(
      'postgres',
      `SELECT roleid::regrole::text AS name FROM pg_auth_members WHERE member = '${restoreRole}'::regrole ORDER BY 1`,
    )
  ).map(({ name }) => name);

test('the role that loads is a member of the owners of one database, and no longer of those of the one before', async () => {
  for (const [database, owner, other] of [
    ['one', 'app_a', 'app_b'],
    ['two', 'app_c', 'reader'],
  ] as const) {
    for (const cluster of [active, passive]) await createFor(cluster, database, owner);
    await active.sql(database, `CREATE TABLE public.t (x int); ALTER TABLE public.t OWNER TO ${other}`);
    await stage(passive, await dumpDatabase(active, database), database, `${database}_restore_1_1`);
    expect(await memberships()).toEqual([owner, other]);
  }
});

let made = 0;
/** A small database on both sides whose last statement makes what is hard. */
async function dumpWith(statement: string) {
  const database = `hard_${(made += 1)}`;
  for (const cluster of [active, passive]) await createFor(cluster, database, 'app_a');
  await active.sql(database, `CREATE TABLE public.t (x int); ALTER TABLE public.t OWNER TO app_a; ${statement}`);
  const dumped = await dumpDatabase(active, database);
  return { database, dumped, load: () => stage(passive, dumped, database, `${database}_restore_1_1`) };
}
const nothingOf = async (database: string): Promise<void> =>
  expect(await passive.sql('postgres', `SELECT FROM pg_database WHERE datname LIKE '${database}_%'`)).toEqual([]);

test.each([
  [
    'a thing of a superuser, and the statement that gives it away',
    `CREATE TABLE public.stolen (x int)`,
    /postgres, who owns table public\.stolen, is one here\. .*ALTER TABLE public\.stolen OWNER TO "app_a"/,
  ],
  [
    'rights that a role gave on, and how to give them anew',
    `GRANT SELECT ON t TO app_b WITH GRANT OPTION; SET ROLE app_b; GRANT SELECT ON t TO app_c`,
    /rights on table public\.t were given by app_b.*REVOKE ALL ON it FROM "app_b" CASCADE/,
  ],
])('refuses before it loads: %s', async (_what, statement, refusal) => {
  const { database, load } = await dumpWith(statement);
  await expect(load()).rejects.toMatchObject({ class: 'config', message: expect.stringMatching(refusal) as string });
  await nothingOf(database);
});

test('an owner that is missing here is named with the statement that makes it, and then the dump loads', async () => {
  await active.sql('postgres', 'CREATE ROLE newcomer');
  const { database, load } = await dumpWith('ALTER TABLE t OWNER TO newcomer');
  await expect(load()).rejects.toThrow(/no role newcomer.*CREATE ROLE "newcomer"/);
  await nothingOf(database);
  await passive.sql('postgres', 'CREATE ROLE newcomer');
  expect(await load()).toBeGreaterThan(0);
});

test('an owner with more rights than a plain role is not acted as until an admin says so, with the typed statement', async () => {
  for (const cluster of [active, passive])
    await cluster.sql('postgres', 'CREATE ROLE maker CREATEROLE; CREATE ROLE via; GRANT maker TO via');
  const { database, load } = await dumpWith('ALTER TABLE t OWNER TO via');
  const typed = `GRANT "via" TO "${restoreRole}"`;
  await expect(load()).rejects.toMatchObject({
    why: expect.stringContaining('(CREATEROLE)') as string,
    hint: expect.stringContaining(typed) as string,
  });
  await nothingOf(database);
  await passive.sql('postgres', typed);
  expect(await load()).toBeGreaterThan(0);
  await passive.sql('postgres', `GRANT postgres TO via`);
  await expect(load()).rejects.toThrow(/will not restore as a superuser.*via.*may become postgres/);
  await passive.sql('postgres', `REVOKE postgres FROM via; REVOKE via FROM "${restoreRole}"`);
});

test('an extension that is not on the list is refused with the key that allows it, and loaded once it is there', async () => {
  const { database, dumped, load } = await dumpWith(
    'CREATE SCHEMA geo; CREATE EXTENSION cube SCHEMA geo; CREATE EXTENSION earthdistance SCHEMA geo; ALTER TABLE t ADD place geo.earth',
  );
  await expect(load()).rejects.toThrow(
    `not allowed: cube, earthdistance. An extension is code that a superuser installs. If you trust it, ` +
      `write into the configuration: databases: - name: ${database}, extensions: [cube, earthdistance]`,
  );
  await nothingOf(database);
  expect(await stage(passive, dumped, database, `${database}_restore_1_1`, ['cube', 'earthdistance'])).toBeGreaterThan(
    0,
  );
  await passive.sql('postgres', `ALTER DATABASE ${database}_restore_1_1 ALLOW_CONNECTIONS true`);
  expect(await belongings(passive, `${database}_restore_1_1`)).toEqual(await belongings(active, database));
});

test('an extension that is not installed here is said before the load', async () => {
  const { database, dumped } = await dumpWith('CREATE SCHEMA geo; CREATE EXTENSION cube SCHEMA geo');
  const detail = { ...dumped.detail, extensions: [{ name: 'no_such', schema: 'geo' }] };
  const name = `${database}_restore_1_1`;
  await expect(stage(passive, { ...dumped, detail }, database, name, ['no_such'])).rejects.toThrow(
    'PostgreSQL here does not have: no_such. Install their packages',
  );
});

test('a database without the schema public is loaded without it', async () => {
  const own = 'CREATE SCHEMA own AUTHORIZATION app_c; CREATE TABLE own.t (x int); ALTER TABLE own.t OWNER TO app_b';
  const { database, load } = await dumpWith(`DROP SCHEMA public CASCADE; ${own}`);
  await load();
  await passive.sql('postgres', `ALTER DATABASE ${database}_restore_1_1 ALLOW_CONNECTIONS true`);
  expect(await belongings(passive, `${database}_restore_1_1`)).toEqual(await belongings(active, database));
});

test('a dump of an older program, which does not say to whom things belong, is not taken for bad data', async () => {
  const { database, dumped } = await dumpWith('SELECT 1');
  const { ownership: _none, ...detail } = dumped.detail;
  await expect(stage(passive, { ...dumped, detail }, database, `${database}_restore_1_1`)).rejects.toMatchObject({
    class: 'config',
    hint: expect.stringContaining('to the version of this one') as string,
  });
});
