import { copyFile, cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { exec } from '../../src/system/exec.ts';
import { whyCaIsForeign, type Receipt } from '../../src/rules/receipt.ts';
import { createTestCa } from '../stand-in/ca.ts';
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

test.each(['released', 'discarded'] as const)(
  'a compare says "held" to the active as long as a hold is open, and no longer when it is %s',
  async (decision) => {
    await pair.active.signMany([...vanishing, 'a.lab']);
    await pair.sync();
    await vanish();
    await pair.sync();
    await pair.compare();
    const holdId = pair.holds.at(-1)?.id ?? '';
    expect(pair.verdicts.at(-1)).toMatchObject({ state: 'held', holdId, why: 'held by certificates-vanish' });
    await decide(decision);
    await pair.compare();
    expect(pair.verdicts.at(-1)).toMatchObject({ state: 'unchanged' });
  },
);

test('a CA of which no certificate is left removes none, and is held no more when they are back', async () => {
  await pair.active.signMany(vanishing);
  await pair.sync();
  await cp(active('signed'), join(pair.root, 'backup'), { recursive: true });
  await vanish();
  expect((await pair.sync()).kind).toBe('held');
  expect([(await readdir(spare('signed'))).length, await kept()]).toEqual([12, ['ca-source-empty open']]);
  await cp(join(pair.root, 'backup'), active('signed'), { recursive: true });
  await pair.sync();
  expect([(await readdir(spare('signed'))).length, await kept()]).toEqual([12, []]);
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

async function treeOf(directory: string): Promise<Record<string, string>> {
  const names = (await readdir(directory, { recursive: true })).filter((name) => /[.]|serial/.test(name)).sort();
  const read = async (name: string): Promise<[string, string]> => [
    name,
    await readFile(join(directory, name), 'latin1'),
  ];
  return Object.fromEntries(await Promise.all(names.map(read)));
}

test("nothing of the active's goes into a CA of another key, such as the installer's, and no release lets it", async () => {
  await rm(spare(), { recursive: true });
  await createTestCa(spare(), { name: 'lab' });
  const before = await treeOf(spare());
  await pair.active.signMany(['a.lab', 'b.lab']);
  const outcome = await pair.sync();
  expect(outcome).toMatchObject({
    kind: 'waiting',
    why: expect.stringContaining('pe-failover adopt FINGERPRINT') as string,
  });
  await pair.active.sign('c.lab');
  await pair.sync(['signed/c.lab.pem', 'serial', 'inventory.txt']);
  await pair.compare();
  expect([await treeOf(spare()), await kept()]).toEqual([before, []]);
  expect(whyCaIsForeign(pair.verdicts as unknown as Receipt[])).toMatch(/adopt FINGERPRINT/);
});

test('a CA that somebody replaced here after it was accepted is left alone, and said on both sides', async () => {
  await pair.active.sign('a.lab');
  await pair.sync();
  await rm(spare(), { recursive: true });
  await createTestCa(spare(), { name: 'lab' });
  const before = await treeOf(spare());
  expect((await pair.compare()).kind).toBe('held');
  expect(pair.verdicts.at(-1)).toMatchObject({ state: 'held', why: expect.stringContaining('another key') as string });
  await pair.active.sign('b.lab');
  expect((await pair.sync()).kind).toBe('waiting');
  expect(await treeOf(spare())).toEqual(before);
});

test('a CA certificate of the same key that left its chain waits for a release', async () => {
  await pair.active.sign('a.lab');
  await pair.sync();
  const renew = ['x509', '-in', active('ca_crt.pem'), '-signkey', active('ca_key.pem'), '-days', '900'];
  await exec({ file: 'openssl', args: [...renew, '-out', active('ca_crt.pem.new')], timeoutMs: 30_000 });
  await copyFile(active('ca_crt.pem.new'), active('ca_crt.pem'));
  await pair.active.sign('b.lab');
  expect((await pair.sync()).kind).toBe('held');
  expect(await kept()).toEqual(['ca-changed open']);
  expect((await readdir(spare('signed'))).length).toBe(2);
  await decide('released');
  await pair.compare();
  expect(await readFile(spare('ca_crt.pem'), 'utf8')).toBe(await readFile(active('ca_crt.pem'), 'utf8'));
  expect(await kept()).toEqual([]);
});

test('a certificate that the spare renewed itself stays, and counts as made here', async () => {
  await pair.active.sign('a.lab');
  await pair.sync();
  await pair.spare.sign('a.lab');
  const renewed = await readFile(spare('signed/a.lab.pem'), 'utf8');
  await pair.compare();
  expect(await readFile(spare('signed/a.lab.pem'), 'utf8')).toBe(renewed);
  expect(pair.verdicts.at(-1)).toMatchObject({ live: { ok: true }, madeHere: { certificates: 1 } });
  expect(pair.log.filter((line) => line.startsWith('WARNING'))).toEqual([]);
  await pair.spare.revoke('a.lab');
  await pair.compare();
  expect(await readFile(spare('signed/a.lab.pem'), 'utf8')).toBe(await readFile(active('signed/a.lab.pem'), 'utf8'));
});

test('what a compare cannot put back is a failure with its path, until it is as it was', async () => {
  await pair.active.sign('a.lab');
  await pair.sync();
  const good = await readFile(spare('signed/a.lab.pem'));
  await rm(join(pair.root, 'content'), { recursive: true });
  await rm(spare('signed/a.lab.pem'));
  await pair.compare();
  const why = 'Not put back: signed/a.lab.pem differs, and its content is not kept here intact';
  expect(pair.verdicts.at(-1)).toMatchObject({ state: 'failed', why });
  expect(pair.log.at(-1)).toBe(`FAILURE ${why}`);
  await writeFile(spare('signed/a.lab.pem'), good);
  await pair.compare();
  expect(pair.verdicts.at(-1)).toMatchObject({ state: 'unchanged', live: { ok: true } });
});
