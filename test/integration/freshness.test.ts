import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { reportStatus, type StatusReport } from '../../src/agent/status.ts';
import { createGreetSpare } from '../../src/jobs/greet-spare.ts';
import { peerIn } from '../../src/rules/gate.ts';
import { noteGreeting } from '../../src/drops/greeting-note.ts';
import { createPauseBook } from '../../src/drops/pause-book.ts';
import { createState } from '../../src/system/state.ts';
import { syncFilesOf, updatePassiveFilesOf } from '../helpers/files-pair.ts';
import { createTestSpare, factHash, startPair, type TestMaster, type TestPair } from '../helpers/pair.ts';
import { until } from '../helpers/trees.ts';

let pair: TestPair;
beforeEach(async () => {
  pair = await startPair();
  const secrets = join(pair.a.root, 'etc/puppetlabs/secrets');
  mkdirSync(secrets, { recursive: true });
  writeFileSync(join(secrets, 'keys.json'), '[1]');
  await createTestSpare(pair.a, pair.b.pairing).gate.write({
    role: 'active',
    epoch: pair.epoch,
    peer: pair.b.certname,
    fact: factHash(pair.a),
  });
  await deliver();
});
afterEach(() => pair[Symbol.asyncDispose]());

const seconds = (count: number): Date => new Date(Date.now() + count * 1000);
const ready = (): string => join(pair.b.paths.inbox, 'sync-files/ready');
const confirm = (): string => join(ready(), 'confirm');
/** A pass of the active over a connection of its own: it greets anew. */
const send = (): Promise<unknown> => syncFilesOf(pair.a, pair.sender().delivery).run(pair.context(pair.a));
const take = (): Promise<unknown> => updatePassiveFilesOf(pair.b, pair.spare).run(pair.context(pair.b));
const greet = (): Promise<unknown> =>
  createGreetSpare(
    { greet: pair.sender().greet, newsFor: () => Promise.resolve([]) },
    (words) => noteGreeting(createState(pair.a.paths.streams), words),
    1000,
  ).run(pair.context(pair.a));

async function deliver(): Promise<void> {
  const sending = send();
  await until('the drop', () => readdirSync(ready()).some((name) => name.includes('-')));
  await take();
  await sending;
}

/** As if the files had been delivered that long ago: it is time for a confirmation. */
function age(...files: readonly string[]): void {
  const old = seconds(-600).toISOString();
  for (const path of files) {
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace(/"(capturedAt|confirmedAt|askedAt)": "[^"]*"/g, `"$1": "${old}"`));
  }
}

const statusOf = (master: TestMaster, now = new Date()): Promise<StatusReport> =>
  reportStatus({
    certname: master.certname,
    paths: master.paths,
    spare: master === pair.b ? pair.spare : createTestSpare(pair.a, pair.b.pairing),
    pauses: createPauseBook(createState(master.paths.state), { now: () => now }),
    now,
    streams: [{ name: 'sync-files', limitMs: 300_000 }],
    view: { entered: undefined, changing: undefined, trouble: undefined, jobs: [] },
  });

test("an active calls its spare fresh when the spare's root took the confirmation, not when the gate did", async () => {
  expect((await statusOf(pair.a)).verdict.code).toBe(0);
  age(join(pair.a.paths.streams, 'sync-files.json'));
  await send();
  await greet();
  expect((await statusOf(pair.a)).verdict.text).toMatch(/CRITICAL: sync-files: nothing was confirmed for 10 min/);
  await take();
  await greet();
  expect((await statusOf(pair.a)).verdict).toMatchObject({ code: 0 });
});

test('a spare dates a confirmation by its own greeting that it names: sent again, it makes nothing fresh', async () => {
  age(join(pair.a.paths.streams, 'sync-files.json'));
  await send();
  copyFileSync(confirm(), join(pair.a.root, 'captured'));
  const signedAt = JSON.parse(JSON.parse(readFileSync(confirm(), 'utf8')).body).greeting as string; // eslint-disable-line
  await take();
  const taken = readFileSync(join(pair.b.paths.streams, 'sync-files.confirmed.json'), 'utf8');
  expect(JSON.parse(taken)).toMatchObject({ greeting: signedAt });
  copyFileSync(join(pair.a.root, 'captured'), confirm());
  await take();
  expect(readFileSync(join(pair.b.paths.streams, 'sync-files.confirmed.json'), 'utf8')).toBe(taken);
  const later = await statusOf(pair.b, seconds(400));
  expect(later.verdict.text).toMatch(/CRITICAL: sync-files: nothing was confirmed for/);
});

test('a confirmation of a content that is not the accepted one counts for nothing', async () => {
  age(join(pair.a.paths.streams, 'sync-files.json'));
  await send();
  await pair.spare.book.write({
    ...{ stream: 'sync-files', epoch: pair.epoch, sequence: 2, digest: `sha256:${'7'.repeat(64)}` },
    ...{ state: 'applied', why: 'something newer' },
  });
  await take();
  expect(readdirSync(pair.b.paths.streams)).not.toContain('sync-files.confirmed.json');
  expect(readdirSync(ready())).toEqual([]);
});

test('what becomes of an old drop later does not make the active look alive', async () => {
  const [last] = (await pair.spare.book.all('sync-files')).slice(-1);
  if (last === undefined) throw new Error('no receipt');
  const { stream, epoch, sequence, digest } = last;
  await new Promise((resolve) => setTimeout(resolve, 5));
  await pair.spare.book.write({ stream, epoch, sequence, digest, state: 'applied', why: 'put back' });
  expect((await statusOf(pair.b)).components[0]?.confirmed).toBe(last.at);
});

test('a spare that was suspended takes no confirmation, and its active says so', async () => {
  await pair.spare.gate.write({
    ...{ role: 'suspended', epoch: pair.epoch, fact: factHash(pair.b), closed: 'no mode' },
    ...peerIn(pair.a.pairing),
  });
  age(join(pair.a.paths.streams, 'sync-files.json'));
  await expect(send()).rejects.toThrow('masterb.test is suspended');
  expect(readdirSync(ready())).toEqual([]);
  await greet();
  const { verdict } = await statusOf(pair.a);
  expect(verdict).toEqual({
    code: 2,
    text: 'CRITICAL: the spare takes nothing in: masterb.test is suspended: no mode',
  });
});

test('a time that is still to come is no freshness: the clock was set back', async () => {
  for (const master of [pair.a, pair.b]) {
    const { verdict } = await statusOf(master, seconds(-3600));
    expect(verdict).toMatchObject({ code: 2, text: expect.stringContaining('was set back') as string });
  }
});
