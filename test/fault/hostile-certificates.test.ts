import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createExpectationBook } from '../../src/drops/expected-deletions.ts';
import { createSyncCerts } from '../../src/jobs/sync-certs/index.ts';
import { createUpdatePassiveCa } from '../../src/jobs/update-passive-ca/index.ts';
import { isOutsideDigest } from '../../src/rules/ca-paths.ts';
import { inventoryWeight, wholeLines } from '../../src/rules/inventory.ts';
import { fileWeight, formatSetDigest } from '../../src/rules/set-digest.ts';
import { openAcceptedSet, type AcceptedSet } from '../../src/system/accepted-set.ts';
import { createState } from '../../src/system/state.ts';
import { openSpare, problemsOf } from '../helpers/ca-pair.ts';
import { createDropBench, left, type DropBench, type Expected } from '../helpers/drop-bench.ts';
import { startPair, type TestPair } from '../helpers/pair.ts';
import { createTestCa, type TestCa } from '../stand-in/ca.ts';

let pair: TestPair;
let bench: DropBench;
let active: TestCa;
let foreign: TestCa;
let spareSet: AcceptedSet;
let unrevoking = '';
let count = 0;

const live = (...parts: string[]): string => join(pair.b.root, 'spare', ...parts);
const textOf = (ca: TestCa, name: string): string => readFileSync(join(ca.directory, name), 'latin1');

beforeAll(async () => {
  pair = await startPair();
  active = await createTestCa(join(pair.a.root, 'ca'), { name: 'lab' });
  foreign = await createTestCa(join(pair.a.root, 'foreign'), { name: 'lab' }); // of the same name, with other keys
  await foreign.sign('evil.lab');
  cpSync(active.directory, live(), { recursive: true });
  for (const name of ['announced', 'work']) mkdirSync(join(pair.a.root, name));
  const { tools, set } = await openSpare(pair.b.root, pair.spare.intake, pair.spare.holds);
  spareSet = set;
  const { delivery } = pair.sender();
  bench = createDropBench({
    pair,
    stream: 'sync-certs',
    delivery,
    send: createSyncCerts({
      cadir: active.directory,
      set: openAcceptedSet(join(pair.a.root, 'active.db')),
      delivery,
      expected: createExpectationBook(createState(join(pair.a.root, 'announced'))),
      spare: 'masterb.test',
      work: join(pair.a.root, 'work'),
      excludeCerts: [],
    }),
    apply: createUpdatePassiveCa(tools),
    change: () => active.sign(`honest-${(count += 1)}.lab`),
    agrees: async () => {
      expect(readdirSync(live('signed')).sort()).toEqual(readdirSync(join(active.directory, 'signed')).sort());
      expect(readFileSync(live('ca_crl.pem'))).toEqual(readFileSync(join(active.directory, 'ca_crl.pem')));
      expect(await problemsOf(live())).toEqual([]);
    },
  });
  await active.signMany(Array.from({ length: 20 }, (_, n) => `node-${n}.lab`));
  unrevoking = textOf(active, 'ca_crl.pem');
  await active.revoke('node-0.lab');
  await bench.expectHonest();
});
afterAll(() => pair[Symbol.asyncDispose]());
afterEach(() => bench.expectHonest());

type Content = readonly [path: string, content: string];
const sha256 = (content: string): string => createHash('sha256').update(content, 'latin1').digest('hex');

/** As the active's root can make it: named, hashed and numbered so that it fits to what the spare has. */
function fitting(contents: readonly Content[], deleted: readonly string[] = [], detail: Record<string, unknown> = {}) {
  const files = contents.map(([path, content]) => ({ path, size: content.length, sha256: sha256(content), mode: 0o644, owner: 'root', group: 'root' })); // prettier-ignore
  const put = files.map((file, n) => ({ ...file, mtimeNs: 0n, weight: weightOf(file, contents[n]?.[1] ?? '') }));
  return {
    kind: 'delta' as const,
    digest: spareSet.digestAfter({ put, remove: deleted }),
    deleted,
    detail,
    pack: (directory: string) => {
      for (const [path, content] of contents) {
        mkdirSync(join(directory, path, '..'), { recursive: true });
        writeFileSync(join(directory, path), content, 'latin1');
      }
      return Promise.resolve(files);
    },
  };
}
function weightOf(
  { path, mode, sha256: hash }: { path: string; mode: number; sha256: string },
  content: string,
): bigint {
  if (isOutsideDigest(path)) return 0n;
  return path === 'inventory.txt' ? inventoryWeight(wholeLines(content)) : fileWeight(path, mode, hash);
}

type Case = [string, () => readonly Content[], RegExp];
const evil =
  (pem: () => string, path = 'signed/evil.lab.pem') =>
  (): readonly Content[] => [[path, pem()]];
const honest = (): string => textOf(active, 'signed/node-1.lab.pem');
const foreignPem = (): string => textOf(foreign, 'signed/evil.lab.pem');

const certificates: Case[] = [
  ['of another CA with the same name', evil(foreignPem), /Skipped signed\/evil.lab.pem: its signature is not the CA's/],
  ['of the CA, of another name', evil(honest), /Skipped signed\/evil.lab.pem: it is of node-1.lab/],
  ['that is the CA itself', evil(() => textOf(active, 'ca_crt.pem')), /Skipped .*: it holds 2 certificates/],
  ['that is a key', evil(() => textOf(foreign, 'ca_key.pem')), /Skipped signed\/evil.lab.pem: no CERTIFICATE in the file/],
  ['that is a CRL', evil(() => textOf(active, 'ca_crl.pem')), /Skipped signed\/evil.lab.pem: no CERTIFICATE in the file/],
  ['that is empty', evil(() => ''), /Skipped signed\/evil.lab.pem: no CERTIFICATE in the file/],
  ['that is noise', evil(() => '\0\xff'.repeat(1000)), /Skipped signed\/evil.lab.pem: no CERTIFICATE in the file/],
  ['that is cut', evil(() => `${honest().slice(0, 300)}\n-----END CERTIFICATE-----\n`), /Skipped signed\/evil.lab.pem: not a certificate/],
  ['that never ends', evil(() => '-----BEGIN CERTIFICATE-----\nAAAA\n'), /Skipped signed\/evil.lab.pem: no CERTIFICATE in the file/],
  ['of 5 MB', evil(() => `-----BEGIN CERTIFICATE-----\n${'A'.repeat(5e6)}\n-----END CERTIFICATE-----\n`), /Skipped signed\/evil.lab.pem: not a certificate/],
  ['with another one behind it', () => [['signed/node-1.lab.pem', honest() + foreignPem()]], /Skipped signed\/node-1.lab.pem: it holds 2 certificates/],
  ['under a name for a shell', evil(foreignPem, 'signed/$(id);`id`.pem'), /Skipped signed\/\$\(id\);`id`.pem: it is of evil.lab/],
  ['under a name like an option', evil(foreignPem, 'signed/-rf.pem'), /Skipped signed\/-rf.pem: it is of evil.lab/],
  ['under the name of the spare', evil(foreignPem, 'signed/spare.lab.pem'), /Skipped signed\/spare.lab.pem: it is of evil.lab/],
]; // prettier-ignore

const accepted = [...left('sync-certs'), /spare\.db$/, /^content\//];

describe('a certificate', () => {
  it.each(certificates)('%s does not go live, and the next honest drop passes', async (_, make, sentence) => {
    await bench.judges(() => bench.deliver(fitting(make())), { sentence, state: 'applied', mayChange: accepted });
  });
});

const strange: [string, Content][] = [
  ['the key of the CA', ['ca_key.pem', 'planted']],
  ['the key of the root', ['root_key.pem', 'planted']],
  ['a certificate deeper', ['signed/deeper/evil.lab.pem', 'planted']],
  ['a certificate without a name', ['signed/.pem', 'planted']],
  ['a temporary file of the server', ['signed/evil.lab.pem123tmp', 'planted']],
  ['a temporary file of ours', ['signed/.pe-failover-evil.pem', 'planted']],
  ['a request', ['requests/evil.lab.pem', 'planted']],
  ['a file of nobody', ['autosign.conf', '*']],
  ['the name of every object', ['constructor', 'planted']],
  ['the CA in capitals', ['CA_CRT.PEM', 'planted']],
];
const refused: [string, () => Parameters<typeof fitting>, RegExp][] = [
  ...strange.map(([what, content]): [string, () => Parameters<typeof fitting>, RegExp] => [what, () => [[content]], /is no file of a CA that travels/]),
  ['an adoption that nobody asked for', () => [[], [], { adoption: 'ab'.repeat(32) }], /nobody asked here for the CA abab/],
]; // prettier-ignore

describe('a drop of the CA with', () => {
  it.each(refused)('%s is refused, and the next honest one passes', async (_, make, sentence) => {
    await bench.judges(() => bench.deliver(fitting(...make())), { sentence, mayChange: left('sync-certs') });
  });

  it('a digest of another set is refused, and the next honest one passes', async () => {
    const goods = { ...fitting([['serial', '0100']]), digest: formatSetDigest(1n) };
    await bench.judges(() => bench.deliver(goods), { sentence: 'does not fit what was accepted before', mayChange: left('sync-certs') });
  }); // prettier-ignore

  it('an inventory that continues another one is refused, and the next honest one passes', async () => {
    const goods = fitting([['inventory.txt', 'tail\n']]);
    const pack = async (directory: string) =>
      (await goods.pack(directory)).map((file) => ({ ...file, size: file.size + 3, append: { from: 3, prefixSha256: sha256('xxx'), tailSha256: file.sha256 } }));
    await bench.judges(() => bench.deliver({ ...goods, pack }), { sentence: 'its inventory does not continue the accepted one', mayChange: left('sync-certs') });
  }); // prettier-ignore
});

const crl = (pem: () => string) => (): readonly Content[] => [['ca_crl.pem', pem()]];
const holding = [...accepted, /state\/holds|\/holds\//, /held\.json$/];
const failed = (why: RegExp): Expected => ({ sentence: why, state: 'failed', mayChange: accepted });
const held = (why: RegExp): Expected => ({ sentence: why, state: 'held', mayChange: holding });
const ignored = (why: RegExp): Expected => ({ sentence: why, state: 'applied', mayChange: accepted });

const others: [string, () => Parameters<typeof fitting>, Expected][] = [
  ['a CRL of another CA with the same name', () => [crl(() => textOf(foreign, 'ca_crl.pem'))()], failed(/ca_crl.pem was not believed: its signature is not the CA's/)],
  ['a CRL that is noise', () => [crl(() => '\0\xff'.repeat(1000))()], failed(/ca_crl.pem was not believed/)],
  ['a CRL that is cut', () => [crl(() => `${unrevoking.slice(0, 200)}\n-----END X509 CRL-----\n`)()], failed(/ca_crl.pem was not believed: not a CRL/)],
  ['a CRL with one of another CA behind it', () => [crl(() => unrevoking + textOf(foreign, 'ca_crl.pem'))()], failed(/ca_crl.pem was not believed/)],
  ['an older CRL, which revokes less', () => [crl(() => unrevoking)()], { ...held(/no longer revokes 1 certificate that it revoked before/), mayChange: [...holding, /^archive/] }],
  ['a CRL for the infrastructure, of another CA', () => [[['infra_crl.pem', textOf(foreign, 'infra_crl.pem')]]], ignored(/Skipped infra_crl.pem: its signature is not the CA's/)],
  ['another CA', () => [[['ca_crt.pem', textOf(foreign, 'ca_crt.pem')]]], { ...held(/the active's CA is another one, with another key/), mayChange: left('sync-certs') }],
  ['a CA that is noise', () => [[['ca_crt.pem', 'planted']]], { ...held(/the active's CA is another one, with another key/), mayChange: left('sync-certs') }],
  ['the CA with another one behind it', () => [[['ca_crt.pem', textOf(active, 'ca_crt.pem') + textOf(foreign, 'ca_crt.pem')]]], held(/The active's CA is another one: ca_crt.pem would be replaced/)],
  ['the public key of another CA', () => [[['ca_pub.pem', textOf(foreign, 'ca_pub.pem')]]], held(/ca_pub.pem would be replaced/)],
  ['a serial that is a word', () => [[['serial', '$(id)']]], ignored(/./)],
  ['a serial below zero', () => [[['serial', '-1']]], ignored(/./)],
  ['a serial that went back', () => [[['serial', '0001']]], ignored(/./)],
  ['a serial of 1,000 digits', () => [[['serial', 'F'.repeat(1000)]]], ignored(/./)],
  ['a serial that no certificate can have', () => [[['serial', 'F'.repeat(40)]]], ignored(/./)],
  ['an inventory of 10 MB that is none', () => [[['inventory.txt', 'x y\n'.repeat(2_500_000)]]], ignored(/./)],
  ['an inventory with lines for a terminal', () => [[['inventory.txt', '\u001b[2J 0x\n0x /CN=\n0xZZ a b /CN=x\n']]], ignored(/./)],
  ['removals of what is no certificate', () => [[], ['ca_crt.pem', 'ca_key.pem', 'serial', 'inventory.txt']], ignored(/./)],
  ['the removal of nearly all', () => [[], nodes(15)], { ...held(/15 certificates of \d+ vanished on the active/), mayChange: [...holding, /vanished/] }],
  ['the removal of all, announced', () => [[], all(), { expectedDeletions: 1e9 }], { ...held(/The active has no certificates left/), mayChange: [...holding, /vanished/] }],
]; // prettier-ignore
const nodes = (n: number): string[] => Array.from({ length: n }, (_, at) => `signed/node-${at}.lab.pem`);
const all = (): string[] => readdirSync(live('signed')).map((name) => `signed/${name}`);

describe('a drop of the CA that brings', () => {
  it.each(others)('%s leaves the live CA as it is, and the next honest one passes', async (_, make, expected) => {
    await bench.judges(() => bench.deliver(fitting(...make())), expected);
  });
});
