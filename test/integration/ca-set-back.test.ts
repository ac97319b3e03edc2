import { readdirSync, readFileSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseInventoryLine, wholeLines } from '../../src/rules/inventory.ts';
import { createCaPair, problemsOf, revokedIn, type CaPair } from '../helpers/ca-pair.ts';

let pair: CaPair;
beforeEach(async () => {
  pair = await createCaPair();
  await pair.active.signMany(['stays.lab', 'goes.lab', 'renewed.lab']);
  await pair.sync();
});
afterEach(() => pair[Symbol.asyncDispose]());

type Side = 'active' | 'spare';
const at = (side: Side, ...parts: string[]): string => join(pair.root, side, ...parts);
const signed = (side: Side): string[] => readdirSync(at(side, 'signed')).sort();
const inventory = (side: Side): string[] => wholeLines(readFileSync(at(side, 'inventory.txt'), 'utf8')).sort();
const pem = (side: Side, name: string): string => readFileSync(at(side, 'signed', `${name}.pem`), 'utf8');

/** What the work did to the active's CA is gone from its disk again. */
async function setBackAfter(work: () => Promise<unknown>): Promise<void> {
  await cp(at('active'), join(pair.root, 'snapshot'), { recursive: true, preserveTimestamps: true });
  await work();
  await pair.sync();
  await rm(at('active'), { recursive: true });
  await cp(join(pair.root, 'snapshot'), at('active'), { recursive: true, preserveTimestamps: true });
  pair.wasSetBack();
}

describe("the CA of an active whose disk was set back, united with the spare's", () => {
  test('loses no certificate, inventory line or revocation on either side, and needs nobody', async () => {
    await setBackAfter(async () => {
      await pair.active.signMany(['since.lab', 'since-too.lab']);
      await pair.active.revoke('stays.lab');
      await pair.active.clean('goes.lab');
    });
    const [before, lines, revoked] = [signed('spare'), inventory('spare'), await revokedIn(at('spare'))];
    await expect(pair.sync()).resolves.toMatchObject({ kind: 'done' });
    expect(pair.holds).toEqual([]);
    expect(signed('spare')).toEqual(expect.arrayContaining(before));
    expect([inventory('spare'), await revokedIn(at('spare'))]).toEqual([lines, revoked]);
    await expect(pair.fetch()).resolves.toMatchObject({ kind: 'done', why: '2 certificates, 2 revocations' });
    expect([signed('active'), inventory('active')]).toEqual([signed('spare'), lines]);
    expect(await revokedIn(at('active'))).toEqual(revoked);
    await pair.sync();
    await pair.compare();
    expect(pair.own).toMatchObject({ certificates: [], inventory: [], revocations: [] });
  });

  test('gives no serial out twice: it leaps over all that the spare knows', async () => {
    await setBackAfter(() => pair.active.signMany(['since-1.lab', 'since-2.lab']));
    await pair.sync();
    await pair.fetch();
    await pair.active.sign('after.lab');
    await pair.sync();
    await pair.spare.sign('by-spare.lab');
    const serials = inventory('spare').flatMap((line) => parseInventoryLine(line)?.serial ?? []);
    expect(new Set(serials).size).toBe(serials.length);
    expect(await problemsOf(at('active'))).toEqual([]);
  });

  test('keeps a certificate that was renewed since, and revokes the one before it again', async () => {
    await setBackAfter(async () => {
      await pair.active.clean('renewed.lab');
      await pair.active.sign('renewed.lab');
    });
    const renewed = pem('spare', 'renewed.lab');
    await pair.sync();
    expect(pem('spare', 'renewed.lab')).toBe(renewed);
    await pair.fetch();
    expect(await revokedIn(at('active'))).toEqual(await revokedIn(at('spare')));
    expect(pem('active', 'renewed.lab')).toBe(renewed);
    await pair.sync();
    await pair.compare();
    expect(pem('spare', 'renewed.lab')).toBe(renewed);
  });

  test('has what both did since: nothing that either revoked becomes valid again', async () => {
    await setBackAfter(() => pair.active.revoke('stays.lab'));
    await pair.active.revoke('goes.lab');
    await pair.sync();
    await pair.fetch();
    await pair.sync();
    expect(await revokedIn(at('active'))).toHaveLength(2);
    expect(await revokedIn(at('spare'))).toEqual(await revokedIn(at('active')));
  });
});
