import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCaPair, type CaPair } from '../helpers/ca-pair.ts';

let pair: CaPair;
const start = new Date('2027-03-01T00:00:00Z'); // what the stand-in signs is months old then
beforeEach(async () => {
  pair = await createCaPair();
  pair.now = start;
  await pair.active.signMany(names(60));
  await pair.sync();
});
afterEach(() => pair[Symbol.asyncDispose]());

const names = (count: number): string[] => Array.from({ length: count }, (_, n) => `n${n}.lab`);
const signed = async (): Promise<number> => (await readdir(join(pair.root, 'spare', 'signed'))).length;
const kept = async (): Promise<string[]> => (await pair.kept.list()).map(({ rule }) => rule);
const remove = async (gone: readonly string[]): Promise<void> => {
  for (const name of gone) await rm(join(pair.root, 'active', 'signed', `${name}.pem`));
  await pair.sync(gone.map((name) => `signed/${name}.pem`));
};
const expectDeletions = (count: number): Promise<void> =>
  pair.expected.announce({ count, until: new Date(start.getTime() + 3_600_000).toISOString() });
const left = async (): Promise<number | undefined> => (await pair.expected.standing(start))?.count;

describe('deletions that were announced', () => {
  test('are not held, at once or one by one, and the announcement is used up by them', async () => {
    await expectDeletions(40);
    await remove(names(30));
    expect([await signed(), await kept(), await left()]).toEqual([30, [], 10]);
    for (const name of names(40).slice(30)) await remove([name]);
    expect([await signed(), await kept(), await left()]).toEqual([20, [], undefined]);
    for (const name of names(43).slice(40)) await remove([name]); // they count from nothing
    expect([await signed(), await kept()]).toEqual([17, []]);
    await remove(names(55).slice(43));
    expect([await signed(), await kept()]).toEqual([17, ['certificates-vanish']]);
  });

  test('are told in the manifest, and only as long as the announcement lasts', async () => {
    await expectDeletions(20);
    await remove(['n0.lab']);
    expect(pair.drops.at(-1)?.detail).toMatchObject({ deleted: 1, expectedDeletions: 20 });
    pair.now = new Date(start.getTime() + 3_600_000);
    await remove(names(20).slice(1));
    expect(pair.drops.at(-1)?.detail).not.toHaveProperty('expectedDeletions');
    expect(await kept()).toEqual(['certificates-vanish']);
  });

  test('are used up once, also by a drop that is acknowledged late, or sent whole after a restart', async () => {
    await expectDeletions(40);
    pair.answers = false;
    await remove(names(5));
    expect(await left()).toBe(40);
    pair.answers = true;
    await pair.sync([]);
    expect(await left()).toBe(35);
    pair.answers = false;
    await remove(names(10).slice(5));
    pair.answers = true;
    pair.restartActive();
    await pair.sync();
    expect([await left(), await signed()]).toEqual([30, 50]);
  });

  test('let nothing through that was held before: that is decided on the spare', async () => {
    await remove(names(20));
    await expectDeletions(20);
    await pair.sync();
    await pair.compare();
    expect([await signed(), await kept()]).toEqual([60, ['certificates-vanish']]);
  });
});
