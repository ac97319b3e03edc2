import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDbDump } from '../../src/jobs/db-dump.ts';
import type { Job } from '../../src/jobs/job.ts';
import type { RestoreDbsOptions } from '../../src/jobs/restore-dbs/tools.ts';
import type { DropReference } from '../../src/rules/receipt.ts';
import { systemClock } from '../../src/system/clock.ts';
import { digestsOfDatabase, makeSpare, rbacVolatile } from '../helpers/database-spare.ts';
import { createWay, epoch, passContext, type Way } from '../helpers/database-way.ts';
import { memoryLog } from '../helpers/pair.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { restoreJobOf } from '../helpers/restore-job.ts';
import { startCluster, type Cluster } from '../helpers/postgres-cluster.ts';

let active: Cluster;
let passive: Cluster;
let spare: Awaited<ReturnType<typeof makeSpare>>;
let home: string;
let way: Way;
let needs: string[];

beforeAll(async () => {
  [active, passive] = await Promise.all([startCluster(), startCluster()]);
  await buildRbac(active, 'pe-rbac');
  home = await mkdtemp(join(tmpdir(), 'pe-failover-jobs-'));
});
afterAll(async () => {
  await Promise.all([active.stop(), passive.stop()]);
  await rm(home, { recursive: true, force: true });
});
beforeEach(async ({ onTestFinished }) => {
  await passive.sql('postgres', 'DROP DATABASE IF EXISTS "pe-rbac" WITH (FORCE)');
  await buildRbac(passive, 'pe-rbac', { subjects: 10, tokens: 5 });
  way = await createWay(home);
  needs = [];
  spare = await makeSpare(passive, 'pe-rbac');
  onTestFinished(() => spare.stop());
});

const dump = (names: readonly string[] = ['pe-rbac']): Job =>
  createDbDump({
    postgres: active.admin,
    delivery: way.delivery,
    databases: names.map((name) => ({ name, volatile: rbacVolatile, needs })),
    workDirectory: join(home, 'work'),
  });

const both = ['console', 'idle'];
const restore = (more: Partial<RestoreDbsOptions> = {}): Job =>
  restoreJobOf(passive, spare, way, {
    databases: [{ name: 'pe-rbac', services: both, health: both, switch: 'schedule', extensions: [] }],
    ...more,
  });

test('a dump is staged on arrival and live at the minute, and the same data afterwards only confirms', async () => {
  const [dumping, restoring] = [dump(), restore()];
  const pid = spare.consolePid();
  expect(await dumping.run(passContext('start'))).toMatchObject({ kind: 'done' });
  expect(await restoring.run(passContext('drop'))).toMatchObject({ kind: 'done' });
  expect(way.verdicts.map(({ state }) => state)).toEqual(['staged']);
  expect(spare.consolePid()).toBe(pid);
  expect(await restoring.run(passContext('cron'))).toMatchObject({ kind: 'done' });
  expect(way.verdicts.map(({ state }) => state)).toEqual(['staged', 'applied']);
  expect(await digestsOfDatabase(passive, 'pe-rbac')).toEqual(await digestsOfDatabase(active, 'pe-rbac'));
  expect(spare.consolePid()).not.toBe(pid);

  const after = spare.consolePid();
  for (const [cause, kind] of [
    ['every', 'done'], // hears that it went live
    ['cron', 'unchanged'],
    ['start', 'unchanged'],
  ] as const)
    expect(await dumping.run(passContext(cause))).toMatchObject({ kind });
  expect(way.pushed).toHaveLength(1);
  expect(way.confirmed).toHaveLength(3);
  expect(await restoring.run(passContext('cron'))).toMatchObject({ kind: 'unchanged' });
  expect(spare.consolePid()).toBe(after);
});

test('a change by use alone is not shipped, until a day has passed, and then stops no service', async () => {
  const [dumping, restoring] = [dump(), restore()];
  await dumping.run(passContext('start'));
  await restoring.run(passContext('cron'));
  expect(await dumping.run(passContext('every'))).toMatchObject({ kind: 'done' });
  const pid = spare.consolePid();
  await active.sql(
    'pe-rbac',
    `UPDATE subjects SET last_login = now(); DELETE FROM tokens WHERE id = (SELECT max(id) FROM tokens)`,
  );
  expect(await dumping.run(passContext('cron'))).toMatchObject({ kind: 'unchanged' });
  expect(way.pushed).toHaveLength(1);
  const tomorrow = { ...systemClock, now: () => new Date(Date.now() + 25 * 3600_000) };
  expect(await dumping.run(passContext('every', tomorrow))).toMatchObject({ kind: 'done' });
  expect(way.pushed).toHaveLength(2);
  expect(await restoring.run(passContext('cron'))).toMatchObject({ kind: 'unchanged' });
  expect(spare.consolePid()).toBe(pid);
  expect(way.verdicts.at(-1)).toMatchObject({ state: 'staged' });
});

test('what was staged does not go live any more when the active has gone back to what is live here', async () => {
  const [dumping, restoring] = [dump(), restore()];
  const pass = async (cause: string): Promise<unknown> => [
    await dumping.run(passContext('cron')),
    await restoring.run(passContext(cause)),
  ];
  await pass('cron');
  const before = await digestsOfDatabase(active, 'pe-rbac');
  await active.sql('pe-rbac', `UPDATE roles SET display_name = display_name || '!'`);
  await pass('drop');
  await active.sql('pe-rbac', `UPDATE roles SET display_name = left(display_name, -1)`);
  await pass('drop');
  expect(way.verdicts.map(({ state }) => state).slice(-2)).toEqual(['staged', 'unchanged']);
  await pass('cron');
  expect(await digestsOfDatabase(passive, 'pe-rbac')).toEqual(before);
  expect(way.verdicts.at(-1)).toMatchObject({ state: 'unchanged' });
});

test('after a refusal the dump is sent anew, also where the data are back at what was acknowledged before', async () => {
  const dumping = dump();
  await dumping.run(passContext('start'));
  await restore().run(passContext('drop'));
  const { deliver } = way.delivery;
  // As the delivery does while a whole drop is asked for: nothing is confirmed.
  const anew = { needsWhole: async () => true, deliver: (goods, context) => deliver({ ...goods, evenIfUnchanged: true }, context) } satisfies Partial<Way['delivery']>; // prettier-ignore
  Object.assign(way.delivery, anew);
  for (const cause of ['every', 'cron']) expect(await dumping.run(passContext(cause))).toMatchObject({ kind: 'done' });
  expect(way.pushed).toHaveLength(3);
});

test('the first restore over other data waits for adopt', async () => {
  await dump().run(passContext('start'));
  const before = await digestsOfDatabase(passive, 'pe-rbac');
  const outcome = await restore({ adopted: async () => false }).run(passContext('cron'));
  expect(outcome).toMatchObject({ kind: 'held', why: expect.stringContaining('adopt') as string });
  expect(way.verdicts.at(-1)).toMatchObject({ state: 'held' });
  expect(await digestsOfDatabase(passive, 'pe-rbac')).toEqual(before);
});

test('waits for the key file that the database needs, and puts it in its place with the switch', async () => {
  const keys = join(home, 'keys.json');
  await writeFile(keys, 'new key');
  needs = [keys];
  await dump().run(passContext('start'));
  const restoring = restore();
  expect(await restoring.run(passContext('cron'))).toMatchObject({
    kind: 'waiting',
    why: expect.stringContaining('keys.json') as string,
  });
  const [live, waiting] = ['root', 'waiting'].map((place) => join(spare.places.home, place, keys)) as [string, string];
  await mkdir(join(waiting, '..'), { recursive: true });
  await writeFile(waiting, 'new key');
  expect(await restoring.run(passContext('cron'))).toMatchObject({ kind: 'done' });
  expect(await readFile(live, 'utf8')).toBe('new key');
});

test('a content that made services unhealthy is quarantined: told once, and not tried again', async () => {
  await active.sql('pe-rbac', `INSERT INTO roles (display_name) VALUES ('poison')`);
  const [dumping, restoring] = [dump(), restore()];
  try {
    const before = await digestsOfDatabase(passive, 'pe-rbac');
    await dumping.run(passContext('start'));
    await expect(restoring.run(passContext('cron'))).rejects.toThrow('switched back');
    expect(way.verdicts.at(-1)).toMatchObject({ state: 'failed' });
    expect(await digestsOfDatabase(passive, 'pe-rbac')).toEqual(before);
    const pid = spare.consolePid();
    expect(pid).toBeDefined();
    await way.delivery.deliver(
      { ...(way.pushed[0] ?? neverGoods), evenIfUnchanged: true, pack: async () => [] },
      passContext('x'),
    );
    expect(await restoring.run(passContext('cron'))).toMatchObject({ kind: 'unchanged' });
    expect(way.verdicts.at(-1)).toMatchObject({
      state: 'failed',
      why: expect.stringContaining('quarantined') as string,
    });
    expect(spare.consolePid()).toBe(pid);
  } finally {
    await active.sql('pe-rbac', `DELETE FROM roles WHERE display_name = 'poison'`);
  }
});
const neverGoods = { stream: '', digest: '', kind: 'whole', pack: async () => [] } as const;

test('what only a promotion may bring live is staged, and live at promotion', async () => {
  await dump().run(passContext('start'));
  const restoring = restore({
    databases: [{ name: 'pe-rbac', services: ['console'], health: ['console'], switch: 'promotion', extensions: [] }],
  });
  expect(await restoring.run(passContext('cron'))).toMatchObject({
    kind: 'unchanged',
    why: expect.stringContaining('promotion') as string,
  });
  expect(await restoring.run(passContext('promotion'))).toMatchObject({ kind: 'done' });
  expect(await digestsOfDatabase(passive, 'pe-rbac')).toEqual(await digestsOfDatabase(active, 'pe-rbac'));
});

test('what the configuration allows one database beyond the list is loaded, and only there', async () => {
  await active.sql('pe-rbac', 'CREATE EXTENSION cube');
  try {
    await dump().run(passContext('start'));
    const allowing = (extensions: string[]) =>
      restore({ databases: [{ name: 'pe-rbac', services: [], health: [], switch: 'schedule', extensions }] });
    await expect(allowing([]).run(passContext('drop'))).rejects.toThrow('name: pe-rbac, extensions: [cube]');
    expect(await allowing(['cube']).run(passContext('cron'))).toMatchObject({ kind: 'done' });
    expect(await digestsOfDatabase(passive, 'pe-rbac')).toEqual(await digestsOfDatabase(active, 'pe-rbac'));
  } finally {
    await active.sql('pe-rbac', 'DROP EXTENSION cube');
  }
});

test('a database that fails does not stop the others', async () => {
  await expect(dump(['no-such', 'pe-rbac']).run(passContext('start'))).rejects.toThrow('no such database');
  expect(way.pushed.map(({ stream }) => stream)).toEqual(['db-dump.pe-rbac']);
});

const said = (): { readonly lines: string[]; readonly context: (cause: string) => ReturnType<typeof passContext> } => {
  const log = memoryLog();
  return { lines: log.lines, context: (cause) => ({ ...passContext(cause), log }) };
};
const dropOf = (): DropReference => ({ ...(way.pushed[0] ?? neverGoods), epoch, sequence: 1 });

test('while the spare still loads a dump, a poll makes no other; that it went live is said when it is heard, once', async () => {
  const dumping = dump();
  const { lines, context } = said();
  await dumping.run(context('start'));
  for (const cause of ['every', 'retry']) expect(await dumping.run(context(cause))).toMatchObject({ kind: 'waiting' });
  expect(way.pushed).toHaveLength(1);
  await way.intake.report(dropOf(), { state: 'staged', why: 'checked' });
  expect(await dumping.run(context('every'))).toMatchObject({ kind: 'done' });
  await way.intake.report(dropOf(), { state: 'applied', why: 'switched' });
  expect(await dumping.run(context('every'))).toMatchObject({ kind: 'done' });
  expect(await dumping.run(context('every'))).toMatchObject({ kind: 'unchanged' });
  expect(lines.filter((line) => line.includes('Completed sync of database: pe-rbac'))).toHaveLength(1);
  expect(way.pushed).toHaveLength(1);
});

test.each([
  ['failed', 'incomplete'],
  ['refused', 'bad-data'],
] as const)(
  'that the spare says %s of a dump fails the pass, also when it is heard late, and dumps nothing anew',
  async (state, errorClass) => {
    const dumping = dump();
    await dumping.run(passContext('start'));
    await way.intake.report(dropOf(), { state, why: 'another build' });
    for (const cause of ['every', 'retry'])
      await expect(dumping.run(passContext(cause))).rejects.toMatchObject({
        class: errorClass,
        why: expect.stringContaining('another build') as string,
      });
    expect(way.pushed).toHaveLength(1);
  },
);

test('that the spare holds a dump is the outcome of each pass', async () => {
  const dumping = dump();
  await dumping.run(passContext('start'));
  await way.intake.report(dropOf(), { state: 'held', why: 'waits for adopt' });
  for (const cause of ['every', 'cron']) expect(await dumping.run(passContext(cause))).toMatchObject({ kind: 'held' });
});
