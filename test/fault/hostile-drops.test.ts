import { execFileSync, spawnSync } from 'node:child_process';
import { linkSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDropBench, later, type DropBench } from '../helpers/drop-bench.ts';
import { secretsOf, syncFilesOf, updatePassiveFilesOf, writeSecret } from '../helpers/files-pair.ts';
import { startPair, type TestPair } from '../helpers/pair.ts';
import { epochId, file, linkTo, payload, pipe, plantDeep, replace, type Plant } from '../helpers/planted-drops.ts';
import { snapshot } from '../helpers/trees.ts';

let pair: TestPair;
let bench: DropBench;
let count = 0;

beforeAll(async () => {
  pair = await startPair();
  const { delivery } = pair.sender();
  bench = createDropBench({
    pair,
    stream: 'sync-files',
    delivery,
    send: syncFilesOf(pair.a, delivery),
    apply: updatePassiveFilesOf(pair.b, pair.spare),
    change: () => writeSecret(pair.a, 'honest', `honest ${(count += 1)}`),
    agrees: () => expect(snapshot(secretsOf(pair.b))).toEqual(snapshot(secretsOf(pair.a))),
  });
  writeSecret(pair.a, 'one', 'one');
  for (const _ of [1, 2]) await bench.expectHonest();
});
afterAll(() => pair[Symbol.asyncDispose]());
afterEach(() => bench.expectHonest());

type Case = [string, () => Plant, RegExp];
const missing = (name: string): Case => [
  `without its ${name}`,
  () => ({ spoil: (d) => rmSync(join(d, name)) }),
  new RegExp(`file is missing \\(${name.replace('.', '\\.')}\\)`),
];
const size = (name: string, bytes: number) => (d: string) => truncateSync(join(d, name), bytes);
const signing = (text: string): Plant => ({
  signature: pair.a.signer.sign('manifest', text),
  spoil: (d) => writeFileSync(join(d, 'manifest.json'), text),
});
const notSigned = /does not carry the signature of mastera.test/;

const signatures: Case[] = [
  ['that another key signed', () => ({ signature: pair.b.signer.sign('manifest', 'x') }), notSigned],
  ['whose signature was made for something else', () => ({ signature: pair.a.signer.sign('receipt', '{}') }), notSigned],
  ['whose signature is of another drop', () => ({ signature: pair.a.signer.sign('manifest', '{}') }), notSigned],
  ['whose signature is empty', () => ({ signature: '' }), notSigned],
  ['whose signature is noise', () => ({ signature: '\0\u0001 not base64' }), notSigned],
  ['whose signature is of 100 MB', () => ({ spoil: size('manifest.sig', 1e8) }), /file is too long \(manifest.sig\)/],
  ['whose signature is a directory', () => ({ spoil: replace('manifest.sig', (path) => mkdirSync(path)) }), /not a regular file/],
  ['whose signed manifest got a byte more', () => ({ spoil: (d) => execFileSync('sh', ['-c', `printf ' ' >> "$0"`, join(d, 'manifest.json')]) }), notSigned],
  missing('manifest.sig'),
  missing('manifest.json'),
]; // prettier-ignore

const manifests: Case[] = [
  ['that is a link', () => ({ spoil: replace('manifest.json', linkTo(() => pair.b.paths.gate)) }), /not a regular file/],
  ['that is a pipe', () => ({ spoil: replace('manifest.json', pipe) }), /not a regular file/],
  ['that is a directory', () => ({ spoil: replace('manifest.json', (path) => mkdirSync(path)) }), /not a regular file/],
  ['that is a device', () => ({ spoil: replace('manifest.json', (path) => void execFileSync('mknod', [path, 'c', '1', '5'])) }), /not a regular file/],
  ['of 100 MB', () => ({ spoil: size('manifest.json', 1e8) }), /file is too long \(manifest.json\): 100000000 bytes/],
  ['of 1 TB with nothing in it', () => ({ spoil: size('manifest.json', 1e12) }), /file is too long/],
  ['of 60 MB of zeros', () => ({ spoil: size('manifest.json', 6e7) }), notSigned],
  ['of 20 MB, signed, with brackets alone', () => signing('['.repeat(2e7)), /is not JSON/],
  ['with 200,001 files, signed', () => ({ manifest: { files: Array.from({ length: 200_001 }, (_, n) => file(`f${n}`)) } }), /files\): is not a list of at most 200000/],
  ['with 200,001 deletions, signed', () => ({ manifest: { deleted: Array.from({ length: 200_001 }, (_, n) => `d${n}`) } }), /deleted\): is not a list of at most 200000/],
  ['that is a list, signed', () => signing('[]'), /is not an object/],
  ['that is null, signed', () => signing('null'), /is not an object/],
  ['that is no JSON, signed', () => signing('{"format":1,'), /is not JSON/],
  ['that is empty, signed', () => signing(''), /is not JSON/],
  ['that hides its fields in a prototype, signed', () => signing('{"__proto__":{"format":1,"stream":"sync-files"}}'), /format.*is not a whole number/],
  ['of another format, signed', () => ({ manifest: { format: 2 } }), /format\): is not 1/],
  ['whose detail is nested 200 deep, signed', () => ({ manifest: { detail: { a: JSON.parse('['.repeat(200) + ']'.repeat(200)) as unknown } } }), /detail.*is nested more than 100 deep/],
]; // prettier-ignore

const places: Case[] = [
  ['for another spare', () => ({ manifest: { target: 'other.test' } }), /made for other.test, and this is masterb.test/],
  ['for this spare in capitals', () => ({ manifest: { target: 'MASTERB.TEST' } }), /made for MASTERB.TEST/],
  ['for several spares', () => ({ manifest: { target: ['masterb.test'] } }), /target\): is not text/],
  ['from another active', () => ({ manifest: { source: 'other.test' } }), /comes from other.test/],
  ['from the spare itself', () => ({ manifest: { source: 'masterb.test' } }), /comes from masterb.test/],
  ['of another stream', () => ({ manifest: { stream: 'sync-certs' } }), /made for sync-certs/],
  ['of a stream that nobody has', () => ({ manifest: { stream: 'sync-files/../x' } }), /stream\): is malformed/],
  ['under the number of another', () => ({ manifest: { sequence: later + 1 } }), new RegExp(`it is drop 1.${epochId}-${later + 1}`)],
  ['under another epoch', () => ({ manifest: { epoch: { number: 2, id: epochId } } }), /it is drop 2\./],
  ['of an epoch beyond 2^53', () => ({ manifest: { epoch: { number: 2 ** 53, id: epochId } } }), /epoch\): is not \{number, id\}/],
  ['of an epoch that is text', () => ({ manifest: { epoch: `1.${epochId}` } }), /is not \{number, id\}/],
  ['of a sequence beyond 2^53', () => ({ manifest: { sequence: 2 ** 53 } }), /sequence\): is not a whole number/],
  ['of the sequence zero', () => ({ manifest: { sequence: 0 } }), /sequence\): is below 1/],
  ['of a lower epoch', () => ({ name: `0.${epochId}-${later}`, manifest: { epoch: { number: 0, id: epochId } } }), /its epoch is 0\..*highest seen here is 1\./],
  ['of a conflicting epoch', () => ({ name: `1.${'f'.repeat(16)}-${later}`, manifest: { epoch: { number: 1, id: 'f'.repeat(16) } } }), /its epoch is 1\.f/],
  ['that forks the sequence', () => ({ name: `1.${epochId}-${settled}`, manifest: { sequence: settled } }), /forked or rolled back/],
  ['that is rolled back', () => ({ name: `1.${epochId}-1`, manifest: { sequence: 1 } }), /settled before/],
]; // prettier-ignore

let settled = 0;
const judged = async (make: () => Plant, sentence: RegExp, state: 'refused' | undefined = 'refused'): Promise<void> => {
  settled = (await pair.spare.book.all('sync-files')).findLast((receipt) => receipt.state === 'applied')?.sequence ?? 0;
  await bench.judges(() => bench.plant(make()), { sentence, state });
};

describe('a drop', () => {
  it.each([...signatures, ...places])('%s is refused, and the next honest one passes', (_, make, why) =>
    judged(make, why),
  );
});
describe('a manifest', () => {
  it.each(manifests)('%s is refused, and the next honest drop passes', (_, make, why) => judged(make, why));
});

/** Bound in its directory: the whole path is too long for a socket. */
const socket = (path: string): void => {
  const bind = `require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', bind, basename(path)], { cwd: dirname(path) });
};

const payloads: Case[] = [
  ['with another content', () => ({ spoil: (d) => writeFileSync(join(d, payload), 'PLANTED') }), /its content is not what the manifest says/],
  ['with a longer content', () => ({ spoil: (d) => writeFileSync(join(d, payload), 'planted, and more') }), /longer than announced/],
  ['with a shorter content', () => ({ spoil: (d) => writeFileSync(join(d, payload), '') }), /its content is not/],
  ['with 1 TB of nothing behind its content', () => ({ spoil: size(payload, 1e12) }), /longer than announced/],
  ['with a hole for its content', () => ({ spoil: (d) => { writeFileSync(join(d, payload), ''); truncateSync(join(d, payload), 7); } }), /its content is not/],
  ['with a missing file', () => ({ spoil: (d) => rmSync(join(d, payload)) }), /file is missing/],
  ['with an extra file', () => ({ spoil: (d) => writeFileSync(join(d, 'etc/extra'), '') }), /etc\/extra.*does not name this file/],
  ['with an extra file whose name is no text', () => ({ spoil: (d) => writeFileSync(Buffer.concat([Buffer.from(`${d}/`), Buffer.from([0xff, 0xfe])]), '') }), /does not name this file/],
  ['with an extra file whose name turns a terminal', () => ({ spoil: (d) => writeFileSync(join(d, '\u001b[2J\u202e'), '') }), /does not name this file/],
  ['with an extra link', () => ({ spoil: (d) => symlinkSync('/etc/passwd', join(d, 'extra')) }), /does not name this file/],
  ['with an extra pipe', () => ({ spoil: (d) => pipe(join(d, 'extra')) }), /does not name this file/],
  ['with a link for a file', () => ({ spoil: replace(payload, linkTo(() => join(secretsOf(pair.b), 'one'))) }), /not a regular file/],
  ['with a link to itself for a file', () => ({ spoil: replace(payload, (path) => symlinkSync(path, path)) }), /not a regular file/],
  ["with a hard link to root's file for a file", () => ({ spoil: replace(payload, (path) => linkSync(join(secretsOf(pair.b), 'one'), path)) }), /its content is not/],
  ['with a link for a directory', () => ({ spoil: replace('etc/puppetlabs', linkTo(() => join(pair.b.root, 'etc/puppetlabs'))) }), /does not name|not a regular file/],
  ['with a link upwards for a directory', () => ({ spoil: replace('etc', linkTo(() => '../../../..')) }), /does not name|not a regular file/],
  ['with a pipe for a file', () => ({ spoil: replace(payload, pipe) }), /not a regular file/],
  ['with a device for a file', () => ({ spoil: replace(payload, (path) => void execFileSync('mknod', [path, 'c', '1', '5'])) }), /not a regular file/],
  ['with a disk for a file', () => ({ spoil: replace(payload, (path) => void execFileSync('mknod', [path, 'b', '7', '0'])) }), /not a regular file/],
  ['with a socket for a file', () => ({ spoil: replace(payload, socket) }), /not a regular file/],
  ['with a directory for a file', () => ({ spoil: replace(payload, (path) => mkdirSync(path)) }), /not a regular file/],
  ['with a file for a directory', () => ({ spoil: replace('etc/puppetlabs', (path) => writeFileSync(path, 'planted')) }), /does not name this file|not a regular file/],
  ['with directories 200 deep', () => ({ spoil: (d) => mkdirSync(join(d, ...Array.from({ length: 200 }, () => 'd')), { recursive: true }) }), /nested too deep/],
  ['with directories of 255 bytes, up to 4,100', () => ({ spoil: (d) => plantDeep(d, Array.from({ length: 17 }, () => 'n'.repeat(255))) }), /nested too deep/],
  ['that is a file', () => ({ spoil: itself((d) => writeFileSync(d, '')) }), /not a regular file/],
  ['that is a pipe', () => ({ spoil: itself(pipe) }), /not a regular file/],
  ["that is a link to the active's", () => ({ spoil: itself((d) => symlinkSync(pair.a.paths.outbox, d)) }), /not a regular file/],
  ["that is a link to root's copies", () => ({ spoil: itself((d) => symlinkSync(join(pair.b.paths.taken, 'sync-files'), d)) }), /not a regular file/],
  ['that is empty', () => ({ spoil: itself((d) => mkdirSync(d)) }), /file is missing/],
]; // prettier-ignore

function itself(make: (directory: string) => void) {
  return (directory: string): void => {
    rmSync(directory, { recursive: true });
    make(directory);
  };
}

describe('a signed drop', () => {
  it.each(payloads)('%s is refused, and the next honest one passes', (_, make, why) => judged(make, why));
});
