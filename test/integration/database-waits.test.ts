import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { reportStatus } from '../../src/agent/status.ts';
import { createDbDump } from '../../src/jobs/db-dump.ts';
import { createRestoreDbs } from '../../src/jobs/restore-dbs/index.ts';
import type { Outcome } from '../../src/jobs/job.ts';
import { createPauseBook } from '../../src/drops/pause-book.ts';
import { systemClock } from '../../src/system/clock.ts';
import { createState } from '../../src/system/state.ts';
import { createJournal } from '../../src/system/journal.ts';
import { digestsOfDatabase, host, makeSpare, rbacVolatile } from '../helpers/database-spare.ts';
import { startPair, type TestPair } from '../helpers/pair.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { startCluster, type Cluster } from '../helpers/postgres-cluster.ts';

const [database, stream] = ['pe-rbac', 'db-dump.pe-rbac'];
let active: Cluster;
let passive: Cluster;
let pair: TestPair;
let services: Awaited<ReturnType<typeof makeSpare>>;
let adopted: boolean;

beforeAll(async () => {
  [active, passive] = await Promise.all([startCluster(), startCluster()]);
  await buildRbac(active, database);
});
afterAll(() => Promise.all([active.stop(), passive.stop()]));
beforeEach(async ({ onTestFinished }) => {
  await passive.sql('postgres', `DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`);
  await buildRbac(passive, database, { subjects: 10, tokens: 5 });
  adopted = false;
  services = await makeSpare(passive, database);
  onTestFinished(() => services.stop());
  pair = await startPair();
  onTestFinished(() => pair[Symbol.asyncDispose]());
  mkdirSync(join(pair.b.paths.inbox, stream, 'ready'), { recursive: true });
  const pass = { ...pair.context(pair.a), leaving: AbortSignal.abort() }; // does not wait for the word on it
  await createDbDump({
    postgres: active.admin,
    delivery: pair.sender().delivery,
    databases: [{ name: database, volatile: rbacVolatile, needs: [] }],
    workDirectory: pair.a.paths.work,
  }).run(pass);
});

/** One pass of a program that was started for it: nothing is remembered but what is on disk. */
const restore = (cause: string, clock = systemClock): Promise<Outcome> =>
  createRestoreDbs({
    holds: pair.spare.holds,
    ...services.tools,
    restorer: passive.restorer,
    host: { ...host, build: 'test' },
    intake: pair.spare.intake,
    databases: [{ name: database, services: ['console'], health: ['console'], switch: 'schedule', extensions: [] }],
    journalOf: () => createJournal(join(services.places.home, 'journal')),
    stateDirectory: pair.b.paths.state,
    withServicesLock: (work) => work(),
    adopted: async () => adopted,
  }).run(pair.context(pair.b, { cause, clock }));

const taken = (): string => join(pair.b.paths.taken, stream);
const words = async (): Promise<string[]> => (await pair.spare.book.all(stream)).map(({ state }) => state);

/** What the active has heard by its next pass. */
async function heard(): Promise<string | undefined> {
  const { delivery } = pair.sender();
  await delivery.catchUp(stream, AbortSignal.timeout(20_000));
  return (await delivery.acknowledged(stream))?.state;
}

test('a database that waits for adopt keeps its drop through every pass, and both sides hear when it is live', async () => {
  for (const cause of ['drop', 'cron', 'start', 'cron']) await restore(cause);
  expect(await words()).toEqual(['staged', 'held', 'held']);
  expect(await heard()).toBe('held');
  expect(readdirSync(taken())).toHaveLength(1);
  adopted = true;
  await expect(restore('cron')).resolves.toMatchObject({ kind: 'done' });
  expect(await digestsOfDatabase(passive, database)).toEqual(await digestsOfDatabase(active, database));
  expect((await words()).at(-1)).toBe('applied');
  expect(await heard()).toBe('applied');
  expect(readdirSync(taken())).toEqual([]);
});

test('a spare that waits too long to switch says so as its verdict, and as the reason of the stream', async () => {
  const late = { ...systemClock, now: () => new Date(Date.now() + 7 * 3_600_000) };
  await restore('cron');
  await restore('every', late);
  const report = await reportStatus({
    certname: pair.b.certname,
    paths: pair.b.paths,
    spare: pair.spare,
    pauses: createPauseBook(createState(pair.b.paths.state), systemClock),
    now: new Date(),
    streams: [{ name: stream, limitMs: 3_600_000 }],
    view: { entered: undefined, changing: undefined, trouble: undefined, jobs: [] },
  });
  const sentence = /Database pe-rbac .* since .* to go live: .*type pe-failover adopt\. To try it now, type: /;
  expect(report.verdict).toEqual({ code: 1, text: expect.stringMatching(sentence) as string });
  expect(report.components[0]).toMatchObject({ state: 'held', why: expect.stringMatching(sentence) as string });
});

test('a drop that is pushed again while it waits for adopt is the one that waits', async () => {
  const ready = join(pair.b.paths.inbox, stream, 'ready');
  const copy = join(pair.b.root, 'copy');
  cpSync(ready, copy, { recursive: true });
  for (const cause of ['drop', 'cron']) await restore(cause);
  cpSync(copy, ready, { recursive: true });
  await expect(restore('drop')).resolves.toMatchObject({ why: 'pe-rbac: staged already' });
  expect(await words()).toEqual(['staged', 'held']);
  adopted = true;
  await restore('cron');
  expect((await words()).at(-1)).toBe('applied');
  cpSync(copy, ready, { recursive: true });
  await expect(restore('drop')).resolves.toMatchObject({ why: 'pe-rbac: nothing arrived' });
  expect((await words()).at(-1)).toBe('applied');
});

test('a database that went live is reported live, though the files of its drop are gone', async () => {
  for (const cause of ['drop', 'cron']) await restore(cause);
  rmSync(taken(), { recursive: true });
  adopted = true;
  await restore('cron');
  expect((await words()).at(-1)).toBe('applied');
  expect(await heard()).toBe('applied');
});
