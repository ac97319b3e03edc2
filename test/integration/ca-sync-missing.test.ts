import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readCrls } from '../../src/system/certificates.ts';
import { createCaPair, type CaPair } from '../helpers/ca-pair.ts';

let pair: CaPair;
beforeEach(async () => {
  pair = await createCaPair();
});
afterEach(() => pair[Symbol.asyncDispose]());

const spare = (...parts: string[]): string => join(pair.root, 'spare', ...parts);
const active = (...parts: string[]): string => join(pair.root, 'active', ...parts);
const bytes = (path: string): Promise<string> => readFile(path, 'latin1');
const signed = (name: string): string => `signed/${name}.pem`;

describe('when something is missing', () => {
  test('a receipt that comes late is taken at the next pass: only what changed since then travels', async () => {
    await pair.sync();
    pair.answers = false;
    await pair.active.sign('a.lab');
    expect(await pair.sync([signed('a.lab')])).toMatchObject({ why: 'published; the spare has not answered yet' });
    pair.answers = true;
    await pair.active.sign('b.lab');
    await pair.sync([signed('b.lab')]);
    expect(pair.drops.at(-1)?.kind).toBe('delta');
    expect(pair.drops.at(-1)?.files.map(({ path }) => path)).toEqual([signed('b.lab'), 'inventory.txt', 'serial']);
    expect(pair.activeSet.digest()).toBe(pair.spareSet.digest());
  });

  test('what a spare lost before its start is put back by it, also when a drop waits', async () => {
    await pair.active.signMany(['a.lab', 'b.lab']);
    await pair.sync();
    pair.sleeps = true;
    await pair.active.sign('c.lab');
    await pair.sync([signed('c.lab')]);
    await rm(spare(signed('a.lab')));
    pair.sleeps = false;
    expect(await pair.compare('start')).toMatchObject({ kind: 'done' });
    for (const name of ['a.lab', 'b.lab', 'c.lab'])
      expect(await bytes(spare(signed(name)))).toBe(await bytes(active(signed(name))));
  });

  test('what a killed apply had placed, and the active cleaned before the next drop, goes, and is not taken for made here', async () => {
    await pair.sync();
    const serial = await pair.active.sign('short.lab');
    await copyFile(active(signed('short.lab')), spare(signed('short.lab'))); // and killed before it was accepted
    await pair.spare.sign('own.lab');
    await pair.active.clean('short.lab');
    await pair.sync();
    expect(await pair.compare()).toMatchObject({ kind: 'done', detail: { certificates: 1, revocations: 0 } });
    expect(await readdir(spare('signed'))).toEqual(['own.lab.pem']);
    expect(pair.log).toContain('WARNING Removed what an interrupted apply had left: signed/short.lab.pem');
    const archived = await readdir(join(pair.root, 'archive'), { recursive: true });
    expect(archived.filter((name) => name.endsWith(`${serial}-short.lab.pem`))).toHaveLength(1);
    expect(await pair.compare()).toMatchObject({ kind: 'unchanged' });
  });

  test('an active that forgot what it sent finds out by comparing, and sends nothing twice', async () => {
    await pair.sync();
    pair.answers = false;
    await pair.active.sign('a.lab');
    await pair.sync();
    pair.restartActive();
    const drops = pair.drops.length;
    expect(await pair.sync()).toMatchObject({ kind: 'unchanged', why: 'as the spare has it; confirmed' });
    expect(pair.drops.length).toBe(drops);
    expect(pair.activeSet.digest()).toBe(pair.spareSet.digest());
  });

  test('a push that fails is made up for by the next pass, whatever that one was hinted at', async () => {
    await pair.sync();
    pair.fence = new Error('no longer passive');
    await pair.active.sign('a.lab');
    await expect(pair.sync([signed('a.lab')])).rejects.toThrow('no longer passive');
    expect(await readdir(spare('signed'))).toEqual([]);
    pair.fence = undefined;
    await pair.active.sign('b.lab');
    await pair.sync([signed('b.lab')]);
    await pair.compare();
    expect((await readdir(spare('signed'))).sort()).toEqual(['a.lab.pem', 'b.lab.pem']);
  });

  test('an excluded certificate does not travel, however it is named', async () => {
    await pair.active.signMany(['excluded.lab', 'a.lab']);
    await pair.sync();
    await pair.active.sign('excluded.lab');
    await pair.sync([active(signed('excluded.lab'))]);
    expect(await readdir(spare('signed'))).toEqual(['a.lab.pem']);
  });

  test("the spare's own certificate does not travel", async () => {
    await pair.active.signMany(['a.lab', 'spare.lab']);
    await pair.sync();
    await pair.sync([active(signed('spare.lab'))]);
    expect(await readdir(spare('signed'))).toEqual(['a.lab.pem']);
  });

  test('a drop that brings a key is refused whole', async () => {
    await pair.sync();
    const before = await bytes(spare('ca_key.pem'));
    await pair.active.sign('a.lab');
    pair.tamper = (drop) => {
      const [file, ...rest] = drop.manifest.files;
      const files = file === undefined ? [] : [{ ...file, path: 'ca_key.pem' }, ...rest];
      return Promise.resolve({ ...drop, manifest: { ...drop.manifest, files } });
    };
    await pair.sync();
    expect(pair.verdicts.at(-1)).toMatchObject({ state: 'refused', why: 'ca_key.pem is no file of a CA that travels' });
    expect(await bytes(spare('ca_key.pem'))).toBe(before);
    expect(await readdir(spare('signed'))).toEqual([]);
  });

  test("without the CA key the spare's own revocations stay, and the active's wait in a hold", async () => {
    const [a, b] = await pair.active.signMany(['a.lab', 'b.lab']);
    await pair.sync();
    await pair.spare.revoke('a.lab');
    await rm(spare('ca_key.pem'));
    await pair.active.revoke('b.lab');
    expect((await pair.sync(['ca_crl.pem'])).kind).toBe('held');
    expect(await pair.spareRevoked()).toEqual([a]);
    expect(pair.holds.at(-1)).toMatchObject({
      rule: 'crl-unmerged',
      difference: ['Puppet CA: lab: not revoked here: 0x0004', 'Puppet CA: lab: revoked here only: 0x0003'],
    });
    expect(b).toBe(4n);

    await pair.compare();
    await pair.fetch(); // the active has the key, and unites both
    await pair.sync(['ca_crl.pem']);
    expect(await pair.spareRevoked()).toEqual([a, b]);
    expect(await pair.kept.list()).toEqual([]);
  });

  test('a spare without a CA takes nothing, and both sides wait for its adoption and say so', async () => {
    await rm(spare('ca_crt.pem'));
    const outcome = await pair.sync();
    expect(outcome.kind).toBe('waiting');
    expect(outcome.why).toMatch(/no CA was adopted here yet.*pe-failover adopt FINGERPRINT/);
  });
});

test.each(['archive', 'certificates', 'crl'])(
  'what the spare revokes while a drop is at its step %s stays',
  async (at) => {
    const [a, b] = await pair.active.signMany(['a.lab', 'b.lab']);
    await pair.sync();
    await pair.active.revoke('a.lab');
    pair.duringApply = async (step) => {
      if (step === at) await pair.spare.revoke('b.lab');
    };
    await pair.sync(['ca_crl.pem']);
    expect(await pair.spareRevoked()).toEqual([a, b]);
  },
);

test.each([
  ['the watch', ['infra_inventory.txt']],
  ['the whole compare', undefined],
])('an infrastructure list that alone changes travels, when %s finds it', async (_, hints) => {
  await writeFile(active('infra_inventory.txt'), 'active.lab\n');
  await pair.sync();
  await writeFile(active('infra_inventory.txt'), 'active.lab\ncompiler.lab\n');
  await pair.sync(hints);
  expect(await bytes(spare('infra_inventory.txt'))).toContain('compiler.lab');
  const drops = pair.drops.length;
  await pair.sync();
  expect(pair.drops.length).toBe(drops);
});

test('an infrastructure list that is pushed while the agent of the spare does not run arrives with a later drop', async () => {
  await writeFile(active('infra_inventory.txt'), 'active.lab\n');
  await pair.sync();
  pair.sleeps = true;
  await writeFile(active('infra_inventory.txt'), 'active.lab\ncompiler.lab\n');
  await pair.sync(['infra_inventory.txt']);
  await pair.sync();
  await pair.active.sign('a.lab');
  pair.sleeps = false;
  await pair.sync([signed('a.lab')]);
  expect(await bytes(spare('infra_inventory.txt'))).toBe('active.lab\ncompiler.lab\n');
});

test.each([true, false])(
  'the lists of revoked infrastructure nodes are united, where the CA key is here: %s',
  async (here) => {
    const [a, b] = await pair.active.signMany(['a.lab', 'b.lab']);
    await pair.sync();
    await pair.spare.revoke('a.lab');
    await copyFile(spare('ca_crl.pem'), spare('infra_crl.pem'));
    if (!here) await rm(spare('ca_key.pem'));
    await pair.active.revoke('b.lab');
    await copyFile(active('ca_crl.pem'), active('infra_crl.pem'));
    await pair.sync(['infra_crl.pem']);
    const [list] = readCrls(await readFile(spare('infra_crl.pem')), '');
    expect([...(list?.revoked.keys() ?? [])].sort()).toEqual(here ? [a, b] : [a]);
    expect(pair.log.some((line) => line.includes("WARNING 1 revocation in infra_crl.pem can't be merged"))).toBe(!here);
  },
);

test('lists of infrastructure nodes are united, and do not count for the agreement', async () => {
  await pair.sync();
  await writeFile(spare('infra_inventory.txt'), 'spare.lab\nactive.lab\n');
  await writeFile(active('infra_inventory.txt'), 'active.lab\ncompiler.lab\n');
  await pair.active.sign('a.lab');
  await pair.sync();
  expect(await bytes(spare('infra_inventory.txt'))).toBe('spare.lab\nactive.lab\ncompiler.lab\n');
  expect((await pair.compare()).kind).toBe('unchanged');
});

test("released, the active's CRL replaces the one that could not be merged", async () => {
  const [, b] = await pair.active.signMany(['a.lab', 'b.lab']);
  await pair.sync();
  await pair.spare.revoke('a.lab');
  await rm(spare('ca_key.pem'));
  await pair.active.revoke('b.lab');
  await pair.sync(['ca_crl.pem']);
  await pair.kept.decide(pair.holds.at(-1)?.id ?? '', 'released');
  await pair.compare();
  expect(await pair.spareRevoked()).toEqual([b]);
});
