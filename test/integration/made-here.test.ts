import { readdirSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseInventoryLine, wholeLines } from '../../src/rules/inventory.ts';
import { readCertificates } from '../../src/system/certificates.ts';
import { createCaPair, revokedIn, type CaPair } from '../helpers/ca-pair.ts';

let pair: CaPair;
beforeEach(async () => {
  pair = await createCaPair();
  await pair.active.signMany(['a.lab', 'b.lab']);
  await pair.sync();
});
afterEach(() => pair[Symbol.asyncDispose]());

type Side = 'active' | 'spare';
const at = (side: Side, ...parts: string[]): string => join(pair.root, side, ...parts);
const signed = (side: Side): string[] => readdirSync(at(side, 'signed')).sort();
const pem = (side: Side, name: string): string => readFileSync(at(side, 'signed', `${name}.pem`), 'utf8');
const inventory = (side: Side): string[] => wholeLines(readFileSync(at(side, 'inventory.txt'), 'utf8')).sort();
const revoked = (side: Side): Promise<bigint[]> => revokedIn(at(side));
const nextSerial = (side: Side): bigint => BigInt(`0x${readFileSync(at(side, 'serial'), 'utf8')}`);

/** Until neither side has anything that the other lacks, as the agents do it. */
async function settle(): Promise<void> {
  await pair.compare();
  await pair.fetch();
  await pair.sync();
  await pair.compare();
}

describe('what a spare made while agents used it', () => {
  test('certificates, inventory and revocations are in the CA of the active, and then on neither side more', async () => {
    await pair.spare.signMany(['own.lab', 'other.lab']);
    await pair.spare.revoke('a.lab');
    await pair.active.revoke('b.lab');
    await pair.compare();
    await expect(pair.fetch()).resolves.toMatchObject({ kind: 'done', why: '2 certificates, 1 revocation' });
    expect(pem('active', 'own.lab')).toBe(pem('spare', 'own.lab'));
    expect(pair.log.at(-1)).toBe('SUCCESS Added what spare.lab made itself: 2 certificates, 1 revocation');
    await pair.sync();
    expect([signed('active'), inventory('active'), await revoked('active')]).toEqual([
      signed('spare'),
      inventory('spare'),
      await revoked('spare'),
    ]);
    expect(await revoked('active')).toHaveLength(2);
    await pair.compare();
    await expect(pair.fetch()).resolves.toMatchObject({ kind: 'unchanged', why: 'spare.lab made nothing itself' });
  });

  test('leaves the serial of the active alone, until that comes near what the spare signed', async () => {
    await pair.spare.sign('own.lab');
    await pair.compare();
    const before = nextSerial('active');
    await pair.fetch();
    expect(nextSerial('active')).toBe(before);
    await writeFile(at('active', 'serial'), (nextSerial('spare') - 10n).toString(16));
    await pair.compare();
    await pair.fetch();
    expect(nextSerial('active')).toBeGreaterThan(nextSerial('spare') + 50_000n);
    await pair.active.sign('far.lab');
    await settle();
    expect(nextSerial('spare')).toBeGreaterThan(nextSerial('active') + 50_000n);
  });

  test("of a name that both signed, the active's own stays and the spare's is kept by serial", async () => {
    await pair.spare.sign('both.lab');
    await pair.compare();
    await pair.active.sign('both.lab');
    const [own, theirs] = [pem('active', 'both.lab'), pem('spare', 'both.lab')];
    await pair.fetch();
    expect(pem('active', 'both.lab')).toBe(own);
    const [kept = ''] = readdirSync(join(pair.root, 'made-by-spare'));
    expect(readFileSync(join(pair.root, 'made-by-spare', kept), 'utf8')).toBe(theirs);
    expect(inventory('active').filter((line) => line.endsWith('CN=both.lab'))).toHaveLength(2);
    expect(pair.log.filter((line) => line.includes('Both masters signed'))).toHaveLength(1);
    await pair.fetch();
    expect(pair.log.filter((line) => line.includes('Both masters signed'))).toHaveLength(1);
  });

  test('and cleaned since on the active does not come back, though the spare says it again', async () => {
    await pair.spare.sign('own.lab');
    await pair.compare();
    await pair.fetch();
    await pair.active.clean('own.lab');
    await pair.fetch();
    expect(signed('active')).not.toContain('own.lab.pem');
    await settle();
    expect(signed('active')).toEqual(['a.lab.pem', 'b.lab.pem']);
    expect(await revoked('spare')).toEqual(await revoked('active'));
  });

  test('is added to what puppetserver signs and revokes in the middle of it', async () => {
    await pair.spare.sign('own.lab');
    await pair.spare.revoke('a.lab');
    await pair.compare();
    pair.duringFetch = async (step) => {
      pair.duringFetch = undefined;
      expect(step).toBe('archive');
      await pair.active.sign('meanwhile.lab');
      await pair.active.revoke('b.lab');
    };
    await pair.fetch();
    expect(signed('active')).toEqual(['a.lab.pem', 'b.lab.pem', 'meanwhile.lab.pem', 'own.lab.pem']);
    expect(await revoked('active')).toHaveLength(2);
  });

  test('that is no certificate of this CA, or of another name, is not believed', async () => {
    await pair.spare.sign('own.lab');
    await pair.compare();
    await pair.fetch();
    const [good] = [pem('active', 'own.lab')];
    const made = {
      format: 1,
      source: 'spare.lab',
      target: 'active.lab',
      at: 'now',
      inventory: [],
      revocations: [],
    } as const;
    pair.madeHere = {
      ...made,
      certificates: [
        { certname: 'evil.lab', pem: good },
        { certname: 'torn.lab', pem: 'x' },
      ],
      more: 0,
    };
    await expect(pair.fetch()).resolves.toMatchObject({ kind: 'unchanged' });
    expect(signed('active')).toEqual(['a.lab.pem', 'b.lab.pem', 'own.lab.pem']);
    expect(pair.log.filter((line) => line.includes('Not added from spare.lab'))).toHaveLength(2);
  });

  test('meant for another master is left alone', async () => {
    await pair.spare.sign('own.lab');
    await pair.compare();
    const made = {
      format: 1,
      source: 'spare.lab',
      target: 'old.lab',
      at: 'now',
      inventory: [],
      revocations: [],
    } as const;
    pair.madeHere = { ...made, certificates: [{ certname: 'own.lab', pem: pem('spare', 'own.lab') }], more: 0 };
    await expect(pair.fetch()).resolves.toMatchObject({ kind: 'waiting' });
    expect(signed('active')).toEqual(['a.lab.pem', 'b.lab.pem']);
  });

  test('without the key of the CA: certificates come in, and revocations wait with a FAILURE', async () => {
    await pair.spare.sign('own.lab');
    await pair.spare.revoke('a.lab');
    await pair.compare();
    await rm(at('active', 'ca_key.pem'));
    await pair.fetch();
    expect([signed('active').length, await revoked('active')]).toEqual([3, []]);
    expect(pair.log.at(-1)).toMatch(/^FAILURE 1 revocation of spare.lab .* key of the CA/);
  });
});

type Act = 'sign' | 'revoke' | 'clean' | 'same' | 'sync' | 'compare' | 'fetch';
const acts: readonly Act[] = ['sign', 'revoke', 'clean', 'same', 'sync', 'compare', 'fetch'];

test('whatever both sides sign, revoke and clean in whatever order, no serial is given out twice and nothing is lost', async () => {
  const step = fc.tuple(fc.constantFrom<Side>('active', 'spare'), fc.constantFrom(...acts));
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async (steps) => {
      await pair[Symbol.asyncDispose]();
      const own = (pair = await createCaPair());
      const given = await own.active.signMany(Array.from({ length: 60 }, (_, n) => `first-${n}.lab`)); // below all brakes
      await own.sync();
      for (const [n, [side, act]] of steps.entries()) await play(own, side, act, n, given);
      for (let n = 0; n < 2; n += 1) await settle();
      expect(new Set(given).size).toBe(given.length);
      for (const side of ['active', 'spare'] as const) {
        const known = inventory(side).map((line) => parseInventoryLine(line)?.serial);
        expect(given.filter((serial) => !known.includes(serial))).toEqual([]);
      }
      expect(await revoked('spare')).toEqual(await revoked('active'));
      expect(await valid('spare')).toEqual(await valid('active'));
    }),
    { numRuns: 15 },
  );
}, 180_000);

/** Names whose certificate is there and not revoked. */
async function valid(side: Side): Promise<string[]> {
  const gone = new Set(await revoked(side));
  const serial = (name: string): bigint =>
    readCertificates(readFileSync(at(side, 'signed', name)), name)[0]?.serial ?? 0n;
  return signed(side).filter((name) => !gone.has(serial(name)));
}

async function play(own: CaPair, side: Side, act: Act, n: number, given: bigint[]): Promise<void> {
  const ca = own[side];
  const names = readdirSync(at(side, 'signed')).map((name) => name.replace(/\.pem$/, ''));
  const some = names[n % Math.max(1, names.length)];
  if (act === 'sign') given.push(await ca.sign(`${side}-${n}.lab`));
  else if (act === 'same') given.push(await ca.sign('same.lab'));
  else if (act === 'sync') await own.sync();
  else if (act === 'compare') await own.compare();
  else if (act === 'fetch') await own.fetch();
  else if (some !== undefined) await ca[act](some);
}
