import { copyFile, cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createCaPair, type CaPair } from '../helpers/ca-pair.ts';

let pair: CaPair;
beforeEach(async () => {
  pair = await createCaPair();
});
afterEach(() => pair[Symbol.asyncDispose]());

const spare = (...parts: string[]): string => join(pair.root, 'spare', ...parts);
const active = (...parts: string[]): string => join(pair.root, 'active', ...parts);
const kept = async (): Promise<string[]> => (await pair.kept.list()).map(({ rule, decision }) => `${rule} ${decision}`);
const decide = async (decision: 'released' | 'discarded'): Promise<void> =>
  void (await pair.kept.decide(pair.holds.at(-1)?.id ?? '', decision));

const vanishing = Array.from({ length: 12 }, (_, n) => `n${n}.lab`);
const vanish = async (): Promise<void> => {
  for (const name of vanishing) await rm(active('signed', `${name}.pem`));
};

test('a release is for what it showed: the same certificates that vanish a second time are held again', async () => {
  await pair.active.signMany([...vanishing, 'a.lab', 'b.lab']);
  await pair.sync();
  await cp(active('signed'), join(pair.root, 'backup'), { recursive: true });
  await vanish();
  expect((await pair.sync()).kind).toBe('held');
  await decide('released');
  await pair.compare();
  expect([(await readdir(spare('signed'))).length, await kept()]).toEqual([2, []]);
  await cp(join(pair.root, 'backup'), active('signed'), { recursive: true });
  await pair.sync();
  await vanish();
  expect((await pair.sync()).kind).toBe('held');
  expect([(await readdir(spare('signed'))).length, await kept()]).toEqual([14, ['certificates-vanish open']]);
});

test('a loss of revocations that was released once is held when it happens again', async () => {
  const serial = await pair.active.sign('a.lab');
  await pair.sync();
  await copyFile(active('ca_crl.pem'), join(pair.root, 'older.pem'));
  for (const decision of ['released', 'discarded'] as const) {
    await pair.active.revoke('a.lab');
    await pair.sync(['ca_crl.pem']);
    await copyFile(join(pair.root, 'older.pem'), active('ca_crl.pem'));
    expect((await pair.sync(['ca_crl.pem'])).kind).toBe('held');
    expect([await pair.spareRevoked(), await kept()]).toEqual([[serial], ['crl-lost open']]);
    await decide(decision);
    await pair.compare();
  }
  expect([await pair.spareRevoked(), await kept()]).toEqual([[serial], ['crl-lost discarded']]);
});

test.each(['open', 'discarded'] as const)(
  'a hold that is %s is closed when the active mends its CRL',
  async (state) => {
    await pair.active.sign('a.lab');
    await pair.sync();
    await copyFile(active('ca_crl.pem'), join(pair.root, 'older.pem'));
    await pair.active.revoke('a.lab');
    await pair.sync(['ca_crl.pem']);
    await copyFile(active('ca_crl.pem'), join(pair.root, 'good.pem'));
    await copyFile(join(pair.root, 'older.pem'), active('ca_crl.pem'));
    await pair.sync(['ca_crl.pem']);
    if (state === 'discarded') await decide(state);
    await pair.active.sign('b.lab');
    await pair.sync(); // of something else: what is held still stands
    expect(await kept()).toEqual([`crl-lost ${state}`]);
    await copyFile(join(pair.root, 'good.pem'), active('ca_crl.pem'));
    await pair.sync(['ca_crl.pem']);
    expect(await kept()).toEqual([]);
  },
);
