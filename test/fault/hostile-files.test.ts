import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, it } from 'vitest';
import type { Goods } from '../../src/drops/delivery.ts';
import { entryOf } from '../../src/jobs/update-passive-files/apply.ts';
import type { ManifestFile } from '../../src/rules/manifest.ts';
import { formatSetDigest } from '../../src/rules/set-digest.ts';
import { openAcceptedSet } from '../../src/system/accepted-set.ts';
import { left, type DropBench, type Expected } from '../helpers/drop-bench.ts';
import { createFilesBench } from '../helpers/files-bench.ts';
import { writeSecret } from '../helpers/files-pair.ts';
import { startPair, type TestPair } from '../helpers/pair.ts';
import { file, payload, plantDeep } from '../helpers/planted-drops.ts';

let pair: TestPair;
let bench: DropBench;

beforeAll(async () => {
  pair = await startPair();
  bench = createFilesBench(pair);
  for (let n = 0; n < 20; n += 1) writeSecret(pair.a, `secret-${n}`, `secret ${n}`);
  await bench.expectHonest();
});
afterAll(() => pair[Symbol.asyncDispose]());
afterEach(() => bench.expectHonest());

const secrets = 'etc/puppetlabs/secrets';
const other = (fields: Readonly<Record<string, unknown>>) => ({ files: [{ ...file(payload), ...fields }] });
const appended = (append: unknown) => other({ append });
const zeros = '0'.repeat(64);

const paths: [string, string, RegExp][] = [
  ['upwards', '../../../../etc/planted', /leaves its directory/],
  ['upwards in the middle', `${secrets}/../../../planted`, /leaves its directory/],
  ['upwards at its end', `${secrets}/..`, /leaves its directory/],
  ['of a dot', '.', /leaves its directory/],
  ['with a dot in the middle', `${secrets}/./x`, /leaves its directory/],
  ['from the root', '/etc/planted', /has an empty part/],
  ['with an empty part', 'etc//planted', /has an empty part/],
  ['that ends as a directory', 'etc/planted/', /has an empty part/],
  ['of nothing', '', /empty or too long/],
  ['with a newline', `${secrets}/a\nb`, /not printable/],
  ['with a NUL', `${secrets}/a\0b`, /not printable/],
  ['with a sequence for the terminal', `${secrets}/\u001b[2J`, /not printable/],
  ['with a control character of eight bits', `${secrets}/\u009b2J`, /not printable/],
  ['with a line separator', `${secrets}/a\u2028b`, /not printable/],
  ['with half a character', `${secrets}/\ud800`, /not printable/],
  ['with a character that stands for any', `${secrets}/\ufffd`, /not printable/],
  ['of 4,100 bytes', Array.from({ length: 41 }, () => 'n'.repeat(99)).join('/'), /empty or too long/],
  ['with a name of 256 bytes', `${secrets}/${'n'.repeat(256)}`, /over 255 bytes/],
  ['with a name of 128 characters and 256 bytes', `${secrets}/${'é'.repeat(128)}`, /over 255 bytes/],
  ["of a drop's own manifest", 'manifest.json', /use a reserved name/],
  ["of a drop's own signature", 'manifest.sig', /use a reserved name/],
]; // prettier-ignore

const fields: [string, Readonly<Record<string, unknown>>, RegExp][] = [
  ['a set-id bit', other({ mode: 0o4755 }), /more than permission bits/],
  ['a sticky bit', other({ mode: 0o1777 }), /more than permission bits/],
  ['the mode of a device', other({ mode: 0o020666 }), /more than permission bits/],
  ['a mode below zero', other({ mode: -1 }), /mode\): is below 0/],
  ['a mode in text', other({ mode: '0644' }), /mode\): is not a whole number/],
  ['a size below zero', other({ size: -1 }), /size\): is below 0/],
  ['a size beyond 2^53', other({ size: 2 ** 53 }), /size\): is not a whole number/],
  ['half a byte', other({ size: 7.5 }), /size\): is not a whole number/],
  ['a size without end', JSON.parse('{"files":[{"path":"x","size":1e999}]}') as Readonly<Record<string, unknown>>, /size\): is not a whole number/],
  ['a smaller size', other({ size: 6 }), /longer than announced/],
  ['a larger size', other({ size: 8 }), /its content is not what the manifest says/],
  ['a size that no disk has', other({ size: 9e15 }), /its content is not what the manifest says/],
  ['a hash in capitals', other({ sha256: file(payload).sha256.toUpperCase() }), /sha256\): is malformed/],
  ['a hash that is cut', other({ sha256: 'abc' }), /sha256\): is malformed/],
  ['a hash of another content', other({ sha256: zeros }), /its content is not what the manifest says/],
  ['an owner that is a path', other({ owner: '../root' }), /owner\): is malformed/],
  ['an owner with a group', other({ owner: 'root:root' }), /owner\): is malformed/],
  ['an owner with a command', other({ owner: '$(id)' }), /owner\): is malformed/],
  ['an owner that is a number', other({ owner: 0 }), /owner\): is not text/],
  ['no owner', other({ owner: '' }), /owner\): is malformed/],
  ['a group with a newline', other({ group: 'root\n' }), /group\): is malformed/],
  ['a path that is a list', other({ path: ['etc'] }), /path\): is not text/],
  ['a file that is null', { files: [null] }, /files\[0\]\): is not an object/],
  ['files by name', { files: { a: file(payload) } }, /files\): is not a list/],
  ['a path twice', { files: [file(payload), file(payload)] }, /stands twice/],
  ['a path that is deleted too', { files: [file(payload)], deleted: [payload] }, /stands twice/],
  ['a file below a file', { files: [file(payload), file(`${payload}/below`)] }, /lies below a file/],
  ['a deletion upwards', { deleted: ['../x'] }, /deleted\[0\]\): leaves its directory/],
  ['a deletion from the root', { deleted: ['/etc/passwd'] }, /deleted\[0\]\): has an empty part/],
  ['a deletion of everything', { deleted: [''] }, /deleted\[0\]\): empty or too long/],
  ['a need upwards', { needs: [{ file: '../x', sha256: zeros }] }, /needs\[0\].file\): leaves its directory/],
  ['101 needs', { needs: Array.from({ length: 101 }, () => ({ file: 'x', sha256: zeros })) }, /needs\): is not a list of at most 100/],
  ['a kind that nobody knows', { kind: 'partial' }, /kind\): is none of whole, delta/],
  ['a digest of another kind', { digest: `md5:${zeros}` }, /digest\): is malformed/],
  ['a detail that is a list', { detail: [] }, /detail\): is not an object/],
  ['a date of 1,000 characters', { capturedAt: 'x'.repeat(1000) }, /capturedAt\): is not text of at most 40/],
  ['a version of 1,000 characters', { program: 'x'.repeat(1000) }, /program\): is not text of at most 40/],
  ['an appendix behind the end', appended({ from: 8, prefixSha256: zeros, tailSha256: zeros }), /lies behind the end of the file/],
  ['an appendix before the beginning', appended({ from: -1, prefixSha256: zeros, tailSha256: zeros }), /from\): is below 0/],
  ['an appendix to nothing', appended({}), /append.prefixSha256\): is not text/],
  ['an appendix to a secret', { files: [{ ...file(payload), size: 10, sha256: zeros, append: { from: 3, prefixSha256: zeros, tailSha256: file(payload).sha256 } }] }, /append.*only the inventory of a CA/],
]; // prettier-ignore

const longName = [secrets.split('/'), Array.from({ length: 41 }, () => 'n'.repeat(98))].flat();

describe('a signed manifest of files', () => {
  it('with a path of 4,080 bytes that lies in the inbox is refused, and the next honest drop passes', () => {
    const plant = {
      manifest: { files: [file(longName.join('/'))] },
      spoil: (d: string) => {
        rmSync(join(d, 'etc'), { recursive: true });
        plantDeep(d, longName.slice(0, -1), longName.at(-1));
      },
    };
    return bench.judges(() => bench.plant(plant), { sentence: /empty or too long/ });
  });

  it.each(paths)('with a path %s is refused, and the next honest drop passes', (_, path, sentence) =>
    bench.judges(
      () =>
        bench.plant({ manifest: { files: [file(path)] }, spoil: (d) => rmSync(join(d, 'etc'), { recursive: true }) }),
      { sentence },
    ),
  );
  it.each(fields)('with %s is refused, and the next honest drop passes', (_, manifest, sentence) =>
    bench.judges(() => bench.plant({ manifest }), { sentence }),
  );
});

const contentOf = (path: string): string => `content of ${path}`;
const described = (path: string, more: Partial<ManifestFile> = {}): ManifestFile => ({
  ...file(path),
  size: Buffer.byteLength(contentOf(path)),
  sha256: createHash('sha256').update(contentOf(path)).digest('hex'),
  ...more,
});

/** What fits to what the spare has, packed and numbered by the active's own program. */
function fitting(
  files: readonly ManifestFile[],
  deleted: readonly string[] = [],
): Partial<Goods> & Pick<Goods, 'pack'> {
  const set = openAcceptedSet(join(pair.b.paths.state, 'sync-files.db'));
  const digest = set.digestAfter({ put: files.map(entryOf), remove: deleted });
  set.close();
  return { kind: 'delta', digest, deleted, pack: packing(files) };
}
const packing = (files: readonly ManifestFile[]) => (directory: string) => {
  for (const { path } of files) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), contentOf(path));
  }
  return Promise.resolve(files);
};

/** What is accepted, though nothing of it is live: the set, and its content by hash. */
const accepted = [...left('sync-files'), /state\/sync-files\.db$/, /store\/sync-files\//, /state\/files-news\.json$/];
const notPlaced = (path: string, sentence: RegExp = /Not placed, because "files" in the configuration of this master does not list them/): [string, () => Partial<Goods> & Pick<Goods, 'pack'>, Expected] =>
  [path, () => fitting([described(path)]), { sentence, state: 'applied', mayChange: accepted }]; // prettier-ignore

const beyond = [
  'etc/cron.d/planted',
  'etc/puppetlabs/secrets-too/planted',
  'etc/puppetlabs/SECRETS/planted',
  'etc/puppetlabs/secrets\\planted',
  'etc/puppetlabs/pe_failover/pe_failover.yaml',
  'etc/puppetlabs/pe_failover/keys/signing.pem',
  'opt/puppetlabs/facter/facts.d/pe_failover.yaml',
  'home/pe-transfer/.ssh/authorized_keys',
  'var/lib/pe_failover/state/gate.json',
  'root/.ssh/authorized_keys',
].map((path) => notPlaced(path));

const deletions: typeof beyond = [
  ['a deletion of what is not listed', () => fitting([], ['etc/hostname', 'var/lib/pe_failover/state/gate.json']), { sentence: /Not placed/, state: 'applied', mayChange: accepted }],
  ['a deletion of a directory', () => fitting([], [secrets]), { sentence: /0 placed, 1 removed/, state: 'applied', mayChange: accepted }],
  ['a deletion of nearly all', () => fitting([], Array.from({ length: 19 }, (_, n) => `${secrets}/secret-${n}`)), { sentence: /19 files of 21 vanished on the active/, state: 'held', mayChange: [...accepted, /holds/] }],
  ['no file at all', () => ({ digest: formatSetDigest(0n), pack: packing([]) }), { sentence: /all 21 files are gone from the active/, state: 'held', mayChange: [...accepted, /holds/] }],
  ['a digest of other files', () => ({ ...fitting([described(`${secrets}/x`)]), digest: `sha256:${zeros}` }), { sentence: /does not fit what was accepted here/, mayChange: left('sync-files') }],
  ['a file for a directory of secrets', () => fitting([described(secrets)]), { sentence: /a directory of this master is in its place/, state: 'failed', mayChange: [...accepted, /files-left-out/] }],
]; // prettier-ignore

describe("a drop that the active's root made with its own program", () => {
  it.each(beyond)('with the file %s, which is not listed: nothing is live of it', (_, goods, expected) =>
    bench.judges(() => bench.deliver(goods()), expected),
  );
  it.each(deletions)('with %s: nothing is live of it', (_, goods, expected) =>
    bench.judges(() => bench.deliver(goods()), expected),
  );
});
