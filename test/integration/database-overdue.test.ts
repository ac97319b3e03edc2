import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDbDump } from '../../src/jobs/db-dump.ts';
import type { Job, Outcome } from '../../src/jobs/job.ts';
import type { RestoreDbsOptions } from '../../src/jobs/restore-dbs/tools.ts';
import { makeSpare, rbacVolatile } from '../helpers/database-spare.ts';
import { createWay, passContext, type Way } from '../helpers/database-way.ts';
import { memoryLog, type MemoryLog } from '../helpers/pair.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { restoreJobOf } from '../helpers/restore-job.ts';
import { startCluster, type Cluster } from '../helpers/postgres-cluster.ts';

const hour = 3_600_000;
const small = { subjects: 10, tokens: 5 };
let active: Cluster;
let passive: Cluster;
let spare: Awaited<ReturnType<typeof makeSpare>>;
let home: string;
let way: Way;
let log: MemoryLog;
let now: number;

beforeAll(async () => {
  [active, passive] = await Promise.all([startCluster(), startCluster()]);
  await buildRbac(active, 'pe-rbac', small);
  home = await mkdtemp(join(tmpdir(), 'pe-failover-overdue-'));
});
afterAll(async () => {
  await Promise.all([active.stop(), passive.stop()]);
  await rm(home, { recursive: true, force: true });
});
beforeEach(async ({ onTestFinished }) => {
  await passive.sql('postgres', 'DROP DATABASE IF EXISTS "pe-rbac" WITH (FORCE)');
  await buildRbac(passive, 'pe-rbac', small);
  await revoke(1);
  way = await createWay(home);
  spare = await makeSpare(passive, 'pe-rbac');
  onTestFinished(() => spare.stop());
  log = memoryLog();
  now = Date.parse('2026-08-01T10:00:00Z');
});

const revoke = (subject: number) =>
  active.sql('pe-rbac', `UPDATE subjects SET is_revoked = login = 'User${subject}', last_login = NULL`);
const clockNow = () => ({
  now: () => new Date(now),
  monotonic: () => now,
  sleep: neverSleeps,
  cron: () => () => undefined,
});
const neverSleeps = (_ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));

const dump = (): Promise<Outcome> =>
  createDbDump({
    postgres: active.admin,
    delivery: way.delivery,
    databases: [{ name: 'pe-rbac', volatile: rbacVolatile, needs: [] }],
    workDirectory: join(home, 'work'),
  }).run(passContext('cron'));

/** As an agent that was started anew. */
const restoring = (more: Partial<RestoreDbsOptions> = {}): Job =>
  restoreJobOf(passive, spare, way, {
    databases: [{ name: 'pe-rbac', services: [], health: [], switch: 'schedule', extensions: [] }],
    limits: { agentRunMs: 0, healthyMs: 0 },
    ...more,
  });
const pass = (job: Job, cause: string): Promise<unknown> =>
  job.run({ ...passContext(cause, clockNow()), log }).catch(String);
const warnings = (): string[] => log.lines.filter((line) => line.startsWith('[WARNING]'));
const closing = (): string[] => log.lines.filter((line) => line.includes('waits no longer'));

test('a switch that is put off again and again is warned of after the limit, once in six hours, and closed when it is live', async () => {
  await dump();
  const job = restoring();
  await pass(job, 'drop');
  const lock = join(spare.places.home, 'agent_catalog_run.lock');
  await writeFile(lock, String(process.pid));
  for (let minute = 0; minute < 6; minute += 1, now += hour) await pass(job, 'cron');
  expect(warnings()).toEqual([]);
  for (let minute = 0; minute < 6; minute += 1, now += hour) await pass(job, 'cron');
  expect(warnings()).toEqual([
    '[WARNING] Database pe-rbac is loaded and checked, and waits since 2026-08-01T10:00:00.000Z to go live: ' +
      'switch put off (pe-rbac): a Puppet agent run did not end within 0 s. ' +
      `Look whether it hangs: ps -ef | grep 'puppet agent'. To try it now, type: pe-failover run restore-dbs`,
  ]);
  await pass(job, 'cron');
  expect(warnings()).toHaveLength(2);
  expect(warnings()[1]).toContain('(6 times since it was last said)');
  await rm(lock);
  await pass(job, 'by hand');
  expect(closing()).toEqual(['[SUCCESS] Database pe-rbac waits no longer, after 12 h: drop 1 is live']);
  now += 9 * hour;
  await pass(job, 'every');
  expect(warnings()).toHaveLength(2);
});

test('a newer drop in its place does not begin the wait anew, nor does an agent that starts anew', async () => {
  for (const subject of [1, 2]) {
    await revoke(subject);
    await dump();
    await pass(restoring(), 'drop');
    now += 4 * hour;
  }
  await pass(restoring(), 'start');
  expect(warnings()).toEqual([
    expect.stringContaining(
      'since 2026-08-01T10:00:00.000Z to go live: its minute, cron "3 * * * *", has not come',
    ) as string,
  ]);
});

test('what waits for a key file, or for adopt, says what to type', async () => {
  await dump();
  await pass(restoring(), 'drop');
  now += 7 * hour;
  await pass(restoring({ adopted: async () => false }), 'cron');
  const missing = async (): Promise<string[]> => ['etc/keys.json'];
  await pass(restoring({ keyFiles: { ...spare.tools.keyFiles, missing } }), 'cron');
  expect(warnings()[0]).toContain('type pe-failover adopt');
  expect(warnings()[1]).toContain('etc/keys.json; on the active, type: pe-failover run sync-files');
});

test('what waits by design is never warned of: a database for promotions, and what changed by use alone', async () => {
  await dump();
  const forPromotion = { name: 'pe-rbac', services: [], health: [], switch: 'promotion', extensions: [] } as const;
  const job = restoring({ databases: [forPromotion] });
  for (const cause of ['drop', 'cron', 'every', 'cron']) {
    await pass(job, cause);
    now += 7 * hour;
  }
  expect(warnings()).toEqual([]);
  await pass(restoring(), 'cron');
  await active.sql('pe-rbac', `UPDATE subjects SET last_login = now()`);
  await way.delivery.catchUp('db-dump.pe-rbac', AbortSignal.timeout(20_000));
  const tomorrow = { ...clockNow(), now: () => new Date(Date.now() + 25 * hour) };
  const dumping = createDbDump({
    postgres: active.admin,
    delivery: way.delivery,
    databases: [{ name: 'pe-rbac', volatile: rbacVolatile, needs: [] }],
    workDirectory: join(home, 'work'),
  });
  await dumping.run(passContext('every', tomorrow));
  expect(way.pushed).toHaveLength(2);
  for (const cause of ['drop', 'every', 'cron', 'every']) {
    await pass(restoring(), cause);
    now += 7 * hour;
  }
  expect(way.verdicts.at(-1)).toMatchObject({ sequence: 2, state: 'staged' });
  expect(log.lines.filter((line) => !line.includes('Completed') && !line.includes('Dropped'))).toEqual([]);
});

test('when the active goes back to what is live here, the wait is over, and said to be', async () => {
  await dump();
  await pass(restoring(), 'cron');
  await revoke(2);
  await dump();
  const job = restoring();
  await pass(job, 'drop');
  now += 7 * hour;
  await pass(job, 'every');
  expect(warnings()).toHaveLength(1);
  await revoke(1);
  await dump();
  await pass(job, 'drop');
  expect(closing()).toEqual(['[SUCCESS] Database pe-rbac waits no longer, after 7 h: nothing is loaded that differs']);
});
