import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDbDump } from '../../src/jobs/db-dump.ts';
import type { Outcome } from '../../src/jobs/job.ts';
import { digestsOfDatabase, makeSpare, rbacVolatile } from '../helpers/database-spare.ts';
import { createWay, passContext, type Way } from '../helpers/database-way.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { startCluster, type Cluster } from '../helpers/postgres-cluster.ts';
import { restoreJobOf } from '../helpers/restore-job.ts';

let active: Cluster;
let passive: Cluster;
let spare: Awaited<ReturnType<typeof makeSpare>>;
let home: string;
let way: Way;
let restore: (cause: string) => Promise<Outcome>;
const small = { subjects: 10, tokens: 5 };

beforeAll(async () => {
  [active, passive] = await Promise.all([startCluster(), startCluster()]);
  await buildRbac(active, 'pe-rbac', small);
  home = await mkdtemp(join(tmpdir(), 'pe-failover-order-'));
});
afterAll(async () => {
  await Promise.all([active.stop(), passive.stop()]);
  await rm(home, { recursive: true, force: true });
});
beforeEach(async ({ onTestFinished }) => {
  await passive.sql('postgres', 'DROP DATABASE IF EXISTS "pe-rbac" WITH (FORCE)');
  await buildRbac(passive, 'pe-rbac', small);
  await revoke(false);
  way = await createWay(home);
  spare = await makeSpare(passive, 'pe-rbac');
  onTestFinished(() => spare.stop());
  const job = restoreJobOf(passive, spare, way);
  restore = (cause) => job.run(passContext(cause));
});

const dump = (): Promise<Outcome> =>
  createDbDump({
    postgres: active.admin,
    delivery: way.delivery,
    databases: [{ name: 'pe-rbac', volatile: rbacVolatile, needs: [] }],
    workDirectory: join(home, 'work'),
  }).run(passContext('cron'));

const revoke = (value: boolean) =>
  active.sql('pe-rbac', `UPDATE subjects SET is_revoked = ${value} WHERE login = 'User3'`);
const liveDigest = async (cluster: Cluster): Promise<string> => (await digestsOfDatabase(cluster, 'pe-rbac')).digest;
const leftovers = () =>
  passive.sql('postgres', `SELECT datname FROM pg_database WHERE datname LIKE 'pe-rbac_%restore%'`);

test('a change that was taken back before the minute never goes live', async () => {
  const before = await liveDigest(passive);
  await revoke(true);
  await dump();
  await restore('drop');
  await revoke(false);
  await dump();
  expect(await restore('drop')).toMatchObject({ kind: 'unchanged', why: 'pe-rbac: live is the same' });
  expect(await leftovers()).toEqual([]);
  expect(await restore('cron')).toMatchObject({ kind: 'unchanged' });
  expect(await liveDigest(passive)).toBe(before);
  expect(before).toBe(await liveDigest(active));
});

test('what is loaded and checked goes live at its minute though a newer drop cannot be loaded', async () => {
  await revoke(true);
  await dump();
  await restore('drop');
  const wanted = await liveDigest(active);
  await active.sql('pe-rbac', 'CREATE ROLE newcomer; GRANT SELECT ON roles TO newcomer');
  try {
    await dump();
    await expect(restore('drop')).rejects.toThrow('no role newcomer');
    await expect(restore('cron')).rejects.toThrow('no role newcomer');
    expect(await liveDigest(passive)).toBe(wanted);
    expect(way.verdicts.at(-1)).toMatchObject({ sequence: 1, state: 'applied' });
  } finally {
    await active.sql('pe-rbac', 'REVOKE ALL ON roles FROM newcomer; DROP ROLE newcomer');
  }
});

test('a spare that was killed before it said that a drop is staged says it at its next pass, and once', async () => {
  await revoke(true);
  await dump();
  await restore('drop');
  const path = join(spare.places.home, 'restore-pe-rbac.json');
  await writeFile(path, (await readFile(path, 'utf8')).replace(',"reported":true', '')); // as the kill leaves it
  way.verdicts.splice(0);
  for (const cause of ['start', 'drop']) expect(await restore(cause)).toMatchObject({ kind: 'unchanged' });
  expect(way.verdicts.map(({ state }) => state)).toEqual(['staged']);
});

test('a switch that was put off at its minute is done by the retry, and no retry switches what has no minute yet', async () => {
  await revoke(true);
  await dump();
  await restore('drop');
  expect(await restore('retry')).toMatchObject({ kind: 'unchanged', why: 'pe-rbac: staged already' });
  const lock = join(spare.places.home, 'agent_catalog_run.lock');
  await writeFile(lock, String(process.pid)); // an agent runs
  await expect(restore('cron')).rejects.toThrow('switch put off');
  await rm(lock);
  expect(await restore('retry')).toMatchObject({ kind: 'done' });
  expect(await liveDigest(passive)).toBe(await liveDigest(active));
});
