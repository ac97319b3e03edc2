import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Holds } from '../../src/drops/holds.ts';
import type { Job } from '../../src/jobs/job.ts';
import { countAdministrators } from '../../src/puppet/rbac-administrators.ts';
import { createFollower, type Follower } from '../helpers/database-follower.ts';
import { makeSpare } from '../helpers/database-spare.ts';
import { passContext, type Way } from '../helpers/database-way.ts';
import type { MemoryLog } from '../helpers/pair.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { startCluster, type Cluster } from '../helpers/postgres-cluster.ts';

let active: Cluster;
let passive: Cluster;
let spare: Awaited<ReturnType<typeof makeSpare>>;
let home: string;
let way: Way;
let holds: Holds;
let restoring: Job;
let log: MemoryLog;
let follow: Follower['follow'];

beforeAll(async () => {
  [active, passive] = await Promise.all([startCluster(), startCluster()]);
  home = await mkdtemp(join(tmpdir(), 'pe-failover-brakes-'));
});
afterAll(async () => {
  await Promise.all([active.stop(), passive.stop()]);
  await rm(home, { recursive: true, force: true });
});
/** The spare has what the active has, and has followed it before. */
beforeEach(async ({ onTestFinished }) => {
  for (const cluster of [active, passive])
    await cluster.sql('postgres', 'DROP DATABASE IF EXISTS "pe-rbac" WITH (FORCE)');
  await buildRbac(active, 'pe-rbac');
  await buildRbac(passive, 'pe-rbac', { subjects: 300 });
  spare = await makeSpare(passive, 'pe-rbac');
  onTestFinished(() => spare.stop());
  ({ way, holds, restoring, log, follow } = await createFollower({ active, passive, spare, home }));
  await follow();
  log.lines.length = 0;
});

const rows = async (table: string): Promise<number> => (await passive.sql('pe-rbac', `SELECT FROM ${table}`)).length;
const failures = (): string[] => log.lines.filter((line) => line.startsWith('[FAILURE]'));

test('the first database of all is not held, however little it has: the admin said that it replaces what was here', async () => {
  expect(await rows('subjects')).toBe(200); // of 300
});

test('a table that was emptied on the active is not emptied here; what comes later, and is harmless, lifts it', async () => {
  await active.sql('pe-rbac', 'DELETE FROM subjects_has_roles; DELETE FROM roles_has_permissions; DELETE FROM roles');
  const pid = spare.consolePid();
  expect(await follow()).toMatchObject({ kind: 'held', why: expect.stringContaining('roles 20 -> 0') as string });
  expect(await rows('roles')).toBe(20);
  expect(spare.consolePid()).toBe(pid);
  expect(failures()).toEqual([expect.stringMatching(/3 tables of pe-rbac would lose rows.*pe-failover release/)]);
  expect(await holds.list()).toMatchObject([{ rule: 'rows-vanish', stream: 'db-dump.pe-rbac', decision: 'open' }]);
  expect(way.verdicts.at(-1)).toMatchObject({ state: 'held', waits: true });

  await buildAgain(active);
  expect(await follow()).not.toMatchObject({ kind: 'held' });
  expect(await holds.list()).toEqual([]);
});

test('released, it goes live once, and the next time is held again', async () => {
  await active.sql('pe-rbac', 'TRUNCATE permissions CASCADE');
  expect(await follow()).toMatchObject({ kind: 'held' });
  const [hold] = await holds.list();
  await holds.decide(hold?.id ?? '', 'released');
  expect(await restoring.run(passContext('by hand'))).toMatchObject({ kind: 'done' });
  expect(await rows('permissions')).toBe(0);
  expect(await holds.list()).toEqual([]);
});

test('when all who may do everything were revoked on the active, the spare keeps its own', async () => {
  await active.sql('pe-rbac', 'UPDATE subjects SET is_revoked = true WHERE is_superuser');
  expect(await follow()).toMatchObject({
    kind: 'held',
    why: expect.stringContaining('no account that may do everything is left; this master has 1 account') as string,
  });
  await active.sql('pe-rbac', 'UPDATE subjects SET is_revoked = false WHERE is_superuser');
  expect(await follow()).not.toMatchObject({ kind: 'held' });
  expect(await holds.list()).toEqual([]);
});

test('revoked people and used up tokens are normal life', async () => {
  await active.sql('pe-rbac', 'UPDATE subjects SET is_revoked = true WHERE NOT is_superuser; TRUNCATE tokens');
  expect(await follow()).toMatchObject({ kind: 'done' });
});

test('a schema that is not known is said, and holds nothing', async () => {
  for (const cluster of [active, passive])
    await cluster.sql(
      'pe-rbac',
      'DROP VIEW live_subjects; ALTER TABLE subjects RENAME COLUMN is_revoked TO is_blocked; UPDATE subjects SET is_blocked = true',
    );
  await active.sql('pe-rbac', "INSERT INTO roles (display_name) VALUES ('one more')");
  expect(await follow()).toMatchObject({ kind: 'done' });
  expect(log.lines).toContainEqual(expect.stringMatching(/WARNING.*not as they are known/));
});

test('counting administrators runs no code that came with the dump', async () => {
  await active.sql('pe-rbac', 'DROP VIEW live_subjects');
  const trap = `CREATE TABLE sprung (at timestamptz); CREATE TYPE trap AS (login text);
    CREATE FUNCTION spring(trap) RETURNS text LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.sprung VALUES (now()); RETURN 'admin'; END $$;
    CREATE CAST (trap AS text) WITH FUNCTION spring(trap) AS IMPLICIT;
    ALTER TABLE subjects DROP COLUMN login; ALTER TABLE subjects ADD COLUMN login trap DEFAULT ROW('admin')`;
  await active.sql('pe-rbac', trap);
  await using session = await active.open('pe-rbac');
  expect(await countAdministrators(session)).toBe(1);
  expect(await active.sql('pe-rbac', 'SELECT FROM sprung')).toEqual([]);
});

/** What an admin does who sees it. */
async function buildAgain(cluster: Cluster): Promise<void> {
  await cluster.sql('postgres', 'DROP DATABASE "pe-rbac" WITH (FORCE)');
  await buildRbac(cluster, 'pe-rbac');
}
