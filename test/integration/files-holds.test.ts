import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Job, Outcome } from '../../src/jobs/job.ts';
import { passOfBoth, secretsOf, syncFilesOf, updatePassiveFilesOf, writeSecret } from '../helpers/files-pair.ts';
import { startPair, type TestPair } from '../helpers/pair.ts';

let pair: TestPair;
let sync: Job;
let update: Job;
const names = Array.from({ length: 30 }, (_, n) => `secret-${String(n).padStart(2, '0')}`);
const [gone, stay] = [names.slice(0, 12), names.slice(12)];
beforeEach(async () => {
  pair = await startPair();
  sync = syncFilesOf(pair.a, pair.sender().delivery);
  update = updatePassiveFilesOf(pair.b, pair.spare);
  for (const name of names) writeSecret(pair.a, name, name);
  await pass();
});
afterEach(() => pair[Symbol.asyncDispose]());

const pass = (): Promise<Outcome> => passOfBoth(pair, sync, () => update.run(pair.context(pair.b)));
const remove = (which: readonly string[]): void => {
  for (const name of which) rmSync(join(secretsOf(pair.a), name));
};
const onSpare = (): string[] => readdirSync(secretsOf(pair.b)).sort();
const held = async (): Promise<string[]> => (await pair.spare.holds.list()).map(({ rule }) => rule);
const failures = (): string[] => pair.b.log.lines.filter((line) => line.startsWith('[FAILURE]'));

test('12 files of 30 that vanish on the active stay on the spare, and new ones go live; when they are back nothing is held', async () => {
  remove(gone);
  writeSecret(pair.a, 'new', 'new');
  await pass();
  expect(onSpare()).toEqual([...names, 'new'].sort());
  expect(await held()).toEqual(['files-vanish']);
  expect(failures()).toEqual([expect.stringMatching(/12 files of 30 vanished on the active.*pe-failover release/)]);

  for (const name of gone) writeSecret(pair.a, name, name);
  await pass();
  expect(await held()).toEqual([]);
  expect(onSpare()).toEqual([...names, 'new'].sort());
});

test('released, they are removed, but for those that the active has again', async () => {
  remove(gone);
  await pass();
  const [hold] = await pair.spare.holds.list();
  writeSecret(pair.a, gone[0] ?? '', 'again');
  await pass();
  expect(await held()).toEqual(['files-vanish']);
  await pair.spare.holds.decide(hold?.id ?? '', 'released');
  await update.run(pair.context(pair.b));
  expect(onSpare()).toEqual([gone[0], ...stay].sort());
  expect(await held()).toEqual([]);
});

test('when the active has none left, a file system may not be mounted there: all stay', async () => {
  remove(names);
  expect(existsSync(secretsOf(pair.a))).toBe(true);
  await pass();
  expect(onSpare()).toEqual(names);
  expect(await held()).toEqual(['files-source-empty']);

  for (const name of names) writeSecret(pair.a, name, name); // mounted again
  await pass();
  expect(await held()).toEqual([]);
});

test('a few that go are normal life', async () => {
  remove(gone.slice(0, 6));
  await pass();
  expect(onSpare()).toEqual(names.slice(6));
  expect(await held()).toEqual([]);
});
