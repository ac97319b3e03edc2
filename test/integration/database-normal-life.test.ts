import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createFollower, type Follower } from '../helpers/database-follower.ts';
import { digestsOfDatabase, makeSpare } from '../helpers/database-spare.ts';
import { buildRbac, type RbacSize } from '../helpers/pe-rbac.ts';
import { startCluster, type Cluster } from '../helpers/postgres-cluster.ts';

let active: Cluster;
let passive: Cluster;
let home: string;
let pair: Follower;

beforeAll(async () => {
  [active, passive] = await Promise.all([startCluster(), startCluster()]);
  home = await mkdtemp(join(tmpdir(), 'pe-failover-life-'));
});
afterAll(async () => {
  await Promise.all([active.stop(), passive.stop()]);
  await rm(home, { recursive: true, force: true });
});
beforeEach(async () => {
  for (const cluster of [active, passive]) await rebuild(cluster);
  pair = await followerOf(active, passive);
});

async function rebuild(cluster: Cluster, size: RbacSize = {}): Promise<void> {
  await cluster.sql('postgres', 'DROP DATABASE IF EXISTS "pe-rbac" WITH (FORCE)');
  await buildRbac(cluster, 'pe-rbac', size);
}

async function followerOf(from: Cluster, to: Cluster): Promise<Follower> {
  const spare = await makeSpare(to, 'pe-rbac');
  onTestFinished(() => spare.stop());
  return await createFollower({ active: from, passive: to, spare, home });
}

const kept = async (of = pair): Promise<string[]> =>
  (await of.holds.list()).map(({ rule, decision }) => `${rule} ${decision}`);
const owner = (cluster: Cluster, sql: string) => cluster.sql('pe-rbac', `SET ROLE "pe-rbac"; ${sql}`);
const rows = async (cluster: Cluster, table: string): Promise<number> =>
  (await cluster.sql('pe-rbac', `SELECT FROM ${table}`)).length;
const expectSame = async (): Promise<void> =>
  expect((await digestsOfDatabase(passive, 'pe-rbac')).digest).toBe(
    (await digestsOfDatabase(active, 'pe-rbac')).digest,
  );
const saying = (status: string, of = pair): string[] => of.log.lines.filter((line) => line.startsWith(`[${status}]`));

/** What a later release may make of a schema: new, dropped, renamed and rewritten tables, new rows; each step is noted. */
const migrate = (cluster: Cluster) =>
  owner(
    cluster,
    `ALTER TABLE permissions RENAME TO permissions_by_type;
     CREATE TABLE role_permissions AS SELECT * FROM roles_has_permissions; DROP TABLE roles_has_permissions;
     CREATE TABLE sessions (id bigserial PRIMARY KEY, started timestamptz DEFAULT now());
     CREATE TABLE settings (name text PRIMARY KEY, value jsonb); INSERT INTO settings SELECT 's' || n, '1' FROM generate_series(1, 40) n;
     INSERT INTO permissions_by_type SELECT md5('new' || n)::uuid, 'plans', 'run', '*' FROM generate_series(1, 60) n;
     ALTER TABLE subjects ADD COLUMN preferences jsonb DEFAULT '{}';
     ALTER TABLE directory_settings ALTER COLUMN port TYPE bigint;
     UPDATE roles SET description = 'rewritten';
     INSERT INTO schema_migrations VALUES (2, '2026-11-01', 'second'), (3, '2026-11-01', 'third')`,
  );

describe('holds nothing', () => {
  afterEach(async () => {
    expect(await kept()).toEqual([]);
    expect(saying('FAILURE')).toEqual([]);
  });

  test('while the active is of a later release than the spare, and when the spare follows', async () => {
    await pair.follow();
    await migrate(active);
    pair.origin.build = '2025.9.0';
    for (let n = 0; n < 2; n += 1) await expect(pair.follow()).rejects.toThrow('the dump is of build 2025.9.0');
    expect(await rows(passive, 'roles_has_permissions')).toBe(100);
    await migrate(passive); // by its own installer
    await owner(active, "INSERT INTO roles (display_name) VALUES ('after the upgrade')");
    pair.here.build = '2025.9.0';
    expect(await pair.follow()).toMatchObject({ kind: 'done' });
    await expectSame();
  });

  test('while the spare is of a later release, also with what was loaded before its upgrade', async () => {
    await pair.follow();
    await owner(active, "INSERT INTO roles (display_name) VALUES ('before the upgrade')");
    await pair.dump();
    expect(await pair.restore('drop')).toMatchObject({ kind: 'done' });
    expect(pair.way.verdicts.at(-1)).toMatchObject({ state: 'staged' });
    await migrate(passive);
    pair.here.build = '2025.9.0';
    for (let n = 0; n < 2; n += 1)
      await expect(pair.restore('cron')).rejects.toThrow('Bring both masters to the same release');
    expect(await rows(passive, 'settings')).toBe(40);
    await migrate(active);
    pair.origin.build = '2025.9.0';
    expect(await pair.follow()).toMatchObject({ kind: 'done' });
    await expectSame();
  });

  test('of a schema that moved on alone, within one release', async () => {
    await pair.follow();
    await migrate(active);
    expect(await pair.follow()).toMatchObject({ kind: 'done' });
    await expectSame();
  });

  test.each([
    ['a stock one', { subjects: 2, tokens: 0 }],
    ['one with much more', { subjects: 900, tokens: 900 }],
  ])('at first: %s on the spare is replaced, and a second dump is followed', async (_title, size) => {
    await rebuild(passive, size);
    await owner(passive, 'CREATE TABLE used_before (n int); INSERT INTO used_before SELECT generate_series(1, 5000)');
    expect(await pair.follow()).toMatchObject({ kind: 'done' });
    await owner(active, "INSERT INTO roles (display_name) VALUES ('one more')");
    expect(await pair.follow()).toMatchObject({ kind: 'done' });
    await expectSame();
  });

  test('of tables that were vacuumed, indexed anew, written anew or emptied by use', async () => {
    await pair.follow();
    await active.sql('pe-rbac', 'VACUUM FULL');
    await active.sql('pe-rbac', 'REINDEX DATABASE "pe-rbac"');
    await active.sql('pe-rbac', 'TRUNCATE tokens');
    expect(await pair.follow()).toMatchObject({ kind: 'unchanged' });
    expect(pair.way.pushed).toHaveLength(1);
    await owner(
      active,
      "UPDATE subjects SET email = 'x'; ALTER TABLE roles ALTER COLUMN description TYPE varchar(500)",
    );
    expect(await pair.follow()).toMatchObject({ kind: 'done' });
    await expectSame();
  });

  test('of people and roles that come and go, and of a backup with a third fewer rows', async () => {
    await pair.follow();
    await owner(
      active,
      `DELETE FROM tokens; DELETE FROM subjects WHERE login::text ~ '^User1?[2-5]$';
       DELETE FROM subjects_has_roles WHERE role_id IN (3, 4); DELETE FROM roles WHERE id IN (3, 4);
       INSERT INTO subjects (id, login, display_name) SELECT md5('new' || n)::uuid, 'New' || n, 'New' FROM generate_series(1, 50) n;
       INSERT INTO roles (display_name) SELECT 'New role ' || n FROM generate_series(1, 5) n`,
    );
    expect(await pair.follow()).toMatchObject({ kind: 'done' });
    await rebuild(active, { subjects: 140, tokens: 100 });
    expect(await pair.follow()).toMatchObject({ kind: 'done' });
    expect(await rows(passive, 'subjects')).toBe(140);
  });

  test('of rows that the spare made itself while it served: they are replaced with a WARNING', async () => {
    await pair.follow();
    await owner(
      passive,
      `INSERT INTO audit SELECT now(), 'created', NULL, '{}' FROM generate_series(1, 60);
       INSERT INTO roles (display_name) SELECT 'Made here ' || n FROM generate_series(1, 90) n`,
    );
    await owner(active, "INSERT INTO roles (display_name) VALUES ('one more')");
    expect(await pair.follow()).toMatchObject({ kind: 'done' });
    const made =
      'Rows that were made on this spare in pe-rbac were replaced: public.audit 61 -> 1, public.roles 110 -> 21';
    expect(saying('WARNING')).toEqual([`[WARNING] ${made}`]);
    await expectSame();
  });

  test('when the roles are exchanged and exchanged back, with what each side made meanwhile', async () => {
    const back = await followerOf(passive, active);
    await pair.follow();
    for (const [turn, one] of [back, pair, back].entries()) {
      const [from, to] = one === pair ? [active, passive] : [passive, active];
      await owner(from, `INSERT INTO roles (display_name) SELECT 'Turn ${turn} ' || n FROM generate_series(1, 30) n`);
      await owner(to, `INSERT INTO roles (display_name) SELECT 'Lost ${turn} ' || n FROM generate_series(1, 8) n`);
      one.origin.epoch = { number: turn + 2, id: '0123456789abcdef' };
      expect(await one.follow()).toMatchObject({ kind: 'done' });
      await expectSame();
      expect([await kept(back), saying('FAILURE', back)]).toEqual([[], []]);
    }
    expect(await rows(active, 'roles')).toBe(20 + 3 * 30);
  }, 240_000);

  test('when the built-in administrator is revoked and others are left, said or not by the tables', async () => {
    await owner(active, "UPDATE subjects SET login = 'admin' WHERE is_superuser");
    await pair.follow();
    await owner(
      active,
      "UPDATE subjects SET is_superuser = true WHERE login = 'User2'; UPDATE subjects SET is_revoked = true WHERE login = 'admin'",
    );
    expect(await pair.follow()).toMatchObject({ kind: 'done' });
    expect(saying('WARNING')).toEqual([]);
    for (const cluster of [active, passive]) await owner(cluster, 'ALTER TABLE subjects DROP COLUMN is_superuser');
    await owner(passive, "UPDATE subjects SET is_revoked = false WHERE login = 'admin'");
    await owner(active, "INSERT INTO roles (display_name) VALUES ('one more')");
    expect(await pair.follow()).toMatchObject({ kind: 'done' });
    expect(saying('WARNING')).toEqual([expect.stringContaining('whether an administrator is left cannot be told')]);
  });
});

describe('holds', () => {
  beforeEach(() => pair.follow());

  test.each([
    ['a table that is dropped, though the schema did not move on', 'DROP TABLE roles_has_permissions', 'rows-vanish'],
    [
      'more than half of the people gone',
      `DELETE FROM subjects WHERE get_byte(uuid_send(id), 0) < 170 AND NOT is_superuser`,
      'rows-vanish',
    ],
    ['the last administrator gone', 'DELETE FROM subjects WHERE is_superuser', 'administrators-vanish'],
  ])('%s', async (_title, mistake, rule) => {
    await owner(active, `DELETE FROM tokens; ${mistake}`);
    expect(await pair.follow()).toMatchObject({ kind: 'held' });
    expect([await kept(), saying('FAILURE').length]).toEqual([[`${rule} open`], 1]);
  });

  test('everybody revoked, where the tables do not say who may do everything', async () => {
    for (const cluster of [active, passive])
      await owner(
        cluster,
        `UPDATE subjects SET login = 'admin' WHERE is_superuser; ALTER TABLE subjects DROP COLUMN is_superuser`,
      );
    await owner(active, 'UPDATE subjects SET is_revoked = true');
    expect(await pair.follow()).toMatchObject({ kind: 'held' });
    expect(await kept()).toEqual(['administrators-vanish open']);
  });

  test('what the active loses after the spare made much itself, and says a discarded one no more', async () => {
    await owner(passive, "INSERT INTO roles (display_name) SELECT 'Made here ' || n FROM generate_series(1, 90) n");
    await owner(
      active,
      'DELETE FROM subjects_has_roles; DELETE FROM roles_has_permissions; DELETE FROM roles WHERE id > 8',
    );
    expect(await pair.follow()).toMatchObject({
      kind: 'held',
      why: expect.stringContaining('roles 20 -> 8') as string,
    });
    const [hold] = await pair.holds.list();
    await pair.holds.decide(hold?.id ?? '', 'discarded');
    expect(await pair.restore('cron')).toMatchObject({ kind: 'held' });
    expect([await kept(), saying('FAILURE').length]).toEqual([['rows-vanish discarded'], 1]);
  });
});
