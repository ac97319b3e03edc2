import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseInventoryLine, wholeLines } from '../../src/rules/inventory.ts';
import { readCertificates, readCrls } from '../../src/system/certificates.ts';
import { eventually } from './eventually.ts';
import { distrustIfFailed, fullPair } from './full-pair.ts';
import { untilAgreed, type LabMaster, type LabPair } from './pair.ts';
import { exchange } from './turning.ts';

let pair: LabPair;
beforeAll(async () => {
  pair = await fullPair();
}, 900_000);
beforeEach(() => {
  distrustIfFailed();
});

const generate = (master: LabMaster, name: string): Promise<string> =>
  master.sh(`puppetserver ca generate --certname ${name}`, { timeoutMs: 60_000 });
const clean = (master: LabMaster, name: string): Promise<string> =>
  master.sh(`puppetserver ca clean --certname ${name}`, { timeoutMs: 60_000 });
const revoke = (master: LabMaster, name: string): Promise<string> =>
  master.sh(`puppetserver ca revoke --certname ${name}`, { timeoutMs: 60_000 });

const read = (master: LabMaster, name: string): string => readFileSync(join(master.cadir, name), 'utf8');
const inventoryOf = (master: LabMaster): Map<bigint, string> => {
  const lines = wholeLines(read(master, 'inventory.txt')).flatMap((line) => parseInventoryLine(line) ?? []);
  const known = new Map<bigint, string>();
  for (const { serial, name } of lines) {
    expect(known.has(serial), `serial ${serial} stands twice in the inventory of ${master.name}`).toBe(false);
    known.set(serial, name);
  }
  return known;
};
const revokedOn = (master: LabMaster): Set<bigint> => {
  const lists = readCrls(read(master, 'ca_crl.pem'), master.name);
  return new Set(lists.flatMap(({ revoked }) => [...revoked.keys()]));
};
/** Serial by name of the certificates that are there and not revoked. */
const validOn = (master: LabMaster): Record<string, string> => {
  const revoked = revokedOn(master);
  const valid: Record<string, string> = {};
  for (const name of readdirSync(join(master.cadir, 'signed')).sort()) {
    const [certificate] = readCertificates(read(master, `signed/${name}`), name);
    if (certificate !== undefined && !revoked.has(certificate.serial)) valid[name] = String(certificate.serial);
  }
  return valid;
};

/** Until both CAs know the same; what a whole compare finds after five minutes is found at once. */
async function untilSame({ a, b }: LabPair): Promise<void> {
  const spare = (await b.status()).role === 'passive' ? b : a;
  await spare.sh('pe-failover run update-passive-ca || true', { timeoutMs: 60_000 });
  await eventually(
    'both CAs are the same',
    () => {
      expect(validOn(b)).toEqual(validOn(a));
      expect([...revokedOn(b)].sort()).toEqual([...revokedOn(a)].sort());
      expect([...inventoryOf(b)].sort()).toEqual([...inventoryOf(a)].sort());
      return true;
    },
    { withinMs: 60_000, everyMs: 300 },
  );
}

describe('when both masters sign and revoke while they do not see each other', () => {
  it('both have all of it after the heal: no serial twice, nothing lost, nothing un-revoked', async () => {
    const { a, b, lab } = pair;
    for (const name of ['old-1.lab', 'old-2.lab', 'old-3.lab']) await generate(a, name);
    await untilSame(pair);
    await lab.network.apply({ kind: 'cut', from: 'mastera', to: 'masterb' });
    await generate(b, 'by-spare.lab');
    await generate(b, 'gone-by-spare.lab');
    await clean(b, 'gone-by-spare.lab');
    await revoke(b, 'old-1.lab');
    await generate(a, 'by-active.lab');
    await clean(a, 'old-2.lab');
    await lab.network.heal();
    await untilSame(pair);
    expect(Object.keys(validOn(a))).toEqual(
      expect.arrayContaining(['by-active.lab.pem', 'by-spare.lab.pem', 'old-3.lab.pem']),
    );
    expect(Object.keys(validOn(a))).not.toContain('old-1.lab.pem');
    await generate(a, 'after.lab');
    await untilSame(pair);
  }, 300_000);

  it('the same name signed on both: each has a certificate that is valid on both, and the active has its own', async () => {
    const { a, b, lab } = pair;
    await lab.network.apply({ kind: 'cut', from: 'mastera', to: 'masterb' });
    await generate(b, 'same.lab');
    await generate(a, 'same.lab');
    const own = validOn(a)['same.lab.pem'];
    await lab.network.heal();
    await untilSame(pair);
    expect(validOn(a)['same.lab.pem']).toBe(own);
    expect([...inventoryOf(a).values()].filter((name) => name === 'same.lab')).toHaveLength(2);
  }, 300_000);
});

describe('roles exchanged, and back', () => {
  it('carry what each side made: what only the demoted one knew is adopted by the new active', async () => {
    const { a, b, lab } = pair;
    await lab.network.apply({ kind: 'cut', from: 'mastera', to: 'masterb' });
    await generate(a, 'before-demotion.lab');
    await generate(b, 'before-promotion.lab');
    await revoke(a, 'old-3.lab');
    await lab.network.heal();
    await exchange(a, b);
    await untilAgreed(pair, 180_000);
    await generate(b, 'second-epoch.lab');
    await untilSame(pair);
    await generate(a, 'by-new-spare.lab');
    await untilSame(pair);
    await exchange(b, a);
    await untilAgreed(pair, 180_000);
    await generate(a, 'third-epoch.lab');
    await untilSame(pair);
    const names = ['before-demotion', 'before-promotion', 'second-epoch', 'by-new-spare', 'third-epoch'];
    expect(Object.keys(validOn(b))).toEqual(expect.arrayContaining(names.map((name) => `${name}.lab.pem`)));
    expect(Object.keys(validOn(b))).not.toContain('old-3.lab.pem');
  }, 600_000);
});
