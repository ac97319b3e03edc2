import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Failure } from '../../src/errors.ts';
import { parseRequest } from '../../src/receiver/request.ts';
import { parseConfirmation } from '../../src/rules/confirm.ts';
import { compareEpochs, formatEpoch, isEpoch, parseEpoch } from '../../src/rules/epoch.ts';
import { parseHello } from '../../src/rules/hello.ts';
import { parseManifest } from '../../src/rules/manifest.ts';
import { formatPairing, parsePairing } from '../../src/rules/pairing.ts';
import { parseServerWords, serverArguments } from '../../src/rules/push-options.ts';
import { parseReceipt } from '../../src/rules/receipt.ts';
import * as some from '../helpers/arbitrary-drops.ts';

const asJson = (parse: (value: unknown) => unknown) => (text: string) => parse(JSON.parse(text));
const push = (words: string): string =>
  `push sync-files 1.00c0ffee00c0ffee 1 sha256:${'0'.repeat(64)} ${'a'.repeat(32)} ${words}`;
const aRequest = fc.oneof(
  fc.constantFrom('hello', 'status', 'confirm', 'message').map((verb) => `${verb} ${'a'.repeat(16)}`),
  fc.constant(`receipts sync-certs 7 ${'a'.repeat(16)} 30`),
  fc.boolean().map((bulk) => push(serverArguments({ letters: 'iLsfxCIvu', bulk }).join(' '))),
);

const parsers: readonly (readonly [string, (text: string) => unknown, fc.Arbitrary<string>])[] = [
  ['a request', parseRequest, aRequest],
  ['a manifest', parseManifest, some.aManifest.map((value) => JSON.stringify(value))],
  ['a pairing line', parsePairing, some.aPairing.map(formatPairing)],
  ['a receipt', asJson(parseReceipt), some.aReceipt.map((value) => JSON.stringify(value))],
  ['a confirmation', asJson(parseConfirmation), some.aConfirmation.map((value) => JSON.stringify(value))],
  ['a greeting', asJson(parseHello), some.aHello.map((value) => JSON.stringify(value))],
];

describe.each(parsers)('%s', (_, parse, right) => {
  const onlyFailures = (text: string): void => {
    try {
      parse(text);
    } catch (error) {
      if (error instanceof SyntaxError && parse !== parseManifest) return; // JSON is read by who verified the signature
      expect(error).toBeInstanceOf(Failure);
    }
  };

  it('is read as it was written', () => {
    fc.assert(fc.property(right, (text) => void parse(text)));
  });

  it('mutated or made up, is read or refused in words, and nothing else', () => {
    const pool = fc.constantFrom(...fc.sample(right, 20));
    fc.assert(fc.property(some.mutated(some.mutated(pool)), onlyFailures), { numRuns: 300 });
    fc.assert(fc.property(fc.string(), onlyFailures));
    fc.assert(fc.property(fc.json(), onlyFailures));
  });
});

describe('formats round-trip', () => {
  const roundTrip = <Value>(values: fc.Arbitrary<Value>, through: (value: Value) => unknown): void =>
    fc.assert(
      fc.property(values, (value) => {
        expect(through(value)).toEqual(value);
      }),
    );
  it('manifests', () => roundTrip(some.aManifest, (value) => parseManifest(JSON.stringify(value))));
  it('receipts', () => roundTrip(some.aReceipt, parseReceipt));
  it('confirmations', () => roundTrip(some.aConfirmation, parseConfirmation));
  it('greetings', () => roundTrip(some.aHello, parseHello));
  it('pairing lines', () => roundTrip(some.aPairing, (value) => parsePairing(formatPairing(value))));
  it('epochs', () => roundTrip(some.anEpoch, (value) => parseEpoch(formatEpoch(value))));

  it.each([
    ['receipt', parseReceipt, some.aReceipt],
    ['confirm', parseConfirmation, some.aConfirmation],
    ['hello', parseHello, some.aHello],
  ] as const)('a %s of a later format is refused, not misread', (what, parse, right) => {
    for (const value of fc.sample<object>(right, 1))
      expect(() => parse({ ...value, format: 2 })).toThrow(`${what} refused (${what}.format)`);
  });
});

describe('epochs', () => {
  const [low, high] = [
    { number: 1, id: 'f'.repeat(16) },
    { number: 2, id: '0'.repeat(16) },
  ];
  it('are ordered by number; two ids of one number are a conflict', () => {
    expect(compareEpochs(low, high)).toBe('lower');
    expect(compareEpochs(high, low)).toBe('higher');
    expect(compareEpochs(low, { ...low })).toBe('same');
    expect(compareEpochs(low, { ...low, id: 'e'.repeat(16) })).toBe('conflict');
  });
  it.each([
    '',
    '1',
    '01.00c0ffee00c0ffee',
    '-1.00c0ffee00c0ffee',
    '1.00C0FFEE00C0FFEE',
    '1.00c0ffee00c0ffee ',
    '1.00c0ffee00c0ffe',
  ])('are not %j', (text) => expect(parseEpoch(text)).toBeUndefined());
  it('are a number and a text, not what only looks like it', () => {
    const id = '0'.repeat(16);
    expect(isEpoch({ number: 1, id })).toBe(true);
    for (const value of [
      { number: '1', id },
      { number: [1], id },
      { number: 1, id: [id] },
      { number: 1 },
      null,
      'x',
      1.5,
    ])
      expect(isEpoch(value), JSON.stringify(value)).toBe(false);
  });
});

describe('a manifest', () => {
  const file = { path: 'a/b', size: 1, sha256: '0'.repeat(64), mode: 0o640, owner: 'root', group: 'root' };
  const manifest = {
    ...{ format: 1, stream: 'sync-files', epoch: { number: 1, id: '0'.repeat(16) }, sequence: 1 },
    ...{ source: 'a.test', target: 'b.test', capturedAt: '', platform: 'pe', build: '', kind: 'whole' },
    ...{ digest: `sha256:${'0'.repeat(64)}`, files: [file], deleted: [], needs: [], detail: {} },
  };
  const withFile = (change: object): object => ({ ...manifest, files: [{ ...file, ...change }] });
  it.each([
    ['another format', { ...manifest, format: 2 }, 'format'],
    ['no format', { ...manifest, format: undefined }, 'format'],
    ['an unknown stream', { ...manifest, stream: 'db-dump.PE' }, 'manifest.stream'],
    ['a stream with a path', { ...manifest, stream: 'db-dump.../../etc' }, 'manifest.stream'],
    ['sequence 0', { ...manifest, sequence: 0 }, 'manifest.sequence'],
    ['half a sequence', { ...manifest, sequence: 1.5 }, 'manifest.sequence'],
    ['an epoch of text', { ...manifest, epoch: '1.0' }, 'epoch'],
    ['an unknown kind', { ...manifest, kind: 'most' }, 'manifest.kind'],
    ['a short digest', { ...manifest, digest: 'sha256:00' }, 'manifest.digest'],
    ['files that are no list', { ...manifest, files: { length: 1 } }, 'manifest.files'],
    ['a path upwards', withFile({ path: 'a/../../etc/passwd' }), 'files[0].path'],
    ['an absolute path', withFile({ path: '/etc/passwd' }), 'files[0].path'],
    ['an empty path', withFile({ path: '' }), 'files[0].path'],
    ['a path that is a dot', withFile({ path: './a' }), 'files[0].path'],
    ['a name with a newline', withFile({ path: 'a\nb' }), 'files[0].path'],
    ['a name with an escape', withFile({ path: 'a\u001b[2Jb' }), 'files[0].path'],
    ['a name with NUL', withFile({ path: 'a\0b' }), 'files[0].path'],
    ['a part of over 255 bytes', withFile({ path: 'ä'.repeat(128) }), 'files[0].path'],
    ['a set-id bit', withFile({ mode: 0o4755 }), 'files[0].mode'],
    ['a negative size', withFile({ size: -1 }), 'files[0].size'],
    ['an owner with a space', withFile({ owner: 'root root' }), 'files[0].owner'],
    ['an owner that is an option', withFile({ owner: '-R' }), 'files[0].owner'],
    ['the same file twice', { ...manifest, files: [file, file] }, 'a/b'],
    ['a file that is deleted too', { ...manifest, deleted: ['a/b'] }, 'a/b'],
    ['a file below a file', { ...manifest, files: [file, { ...file, path: 'a' }] }, 'a/b'],
    ['a file named as the manifest', withFile({ path: 'manifest.json' }), 'files'],
    ['a deletion of the signature', { ...manifest, deleted: ['manifest.sig'] }, 'files'],
    ['a needed file outside', { ...manifest, needs: [{ file: '../x', sha256: '0'.repeat(64) }] }, 'needs[0].file'],
  ])('is refused with %s, naming the field', (_, value, where) => {
    expect(() => parseManifest(JSON.stringify(value))).toThrow(
      expect.objectContaining({ class: 'bad-data', where: expect.stringContaining(where) as string }),
    );
  });
  it('may have files below one that is deleted: it became a directory', () => {
    const text = JSON.stringify({ ...manifest, files: [file], deleted: ['a'] });
    expect(parseManifest(text)).toMatchObject({ files: [{ path: 'a/b' }], deleted: ['a'] });
  });
  it('is refused with over 200,000 files, before one of them is read', () => {
    const text = JSON.stringify({ ...manifest, files: Array.from({ length: 200_001 }, () => 0) });
    expect(() => parseManifest(text)).toThrow('is not a list of at most 200000');
  });
});

describe('a pairing line', () => {
  const right = formatPairing(
    fc.sample(some.aPairing, 1)[0] ?? { certname: '', transferKey: '', signingKey: '', hostKey: '' },
  );
  it.each([
    ['shell characters', 'a;reboot'],
    ['a command substitution', '$(reboot)'],
    ['a space', 'a b'],
    ['a newline', 'a\nb'],
    ['a quote', 'a"b'],
    ['two dots', 'a..b'],
    ['a path', '../a'],
    ['an option', '-a'],
    ['capitals', 'MASTER'],
    ['nothing', ''],
  ])('is refused with %s in its certname, saying what to type', (_, certname) => {
    const line = right.replace(/pe-failover:[^:]*:/, () => `pe-failover:${certname}:`);
    expect(() => parsePairing(line)).toThrow(
      expect.objectContaining({ class: 'config', hint: expect.stringContaining('pe-failover install') as string }),
    );
  });
  it('is refused as a bare ssh key, in those words', () => {
    expect(() => parsePairing(right.split(' ').slice(0, 2).join(' '))).toThrow('it is a bare ssh key');
  });
  it('is refused with options before the key, or with a second line', () => {
    expect(() => parsePairing(`command="sh" ${right}`)).toThrow('ssh public key');
    expect(() => parsePairing(`${right}\n${right}`)).toThrow('pairing line refused');
  });
});

describe("rsync's arguments in a request", () => {
  const right = ['--server', '-rIe.iLsfxCIvu', '--timeout=30', '--delete', '--inplace', '.', '.'];
  it('are those of a push, in any order of the long options', () => {
    expect(parseServerWords(right)).toEqual({ letters: 'iLsfxCIvu', bulk: false });
    expect(parseServerWords(serverArguments({ letters: 'x', bulk: true }))).toEqual({ letters: 'x', bulk: true });
    expect(serverArguments({ letters: 'iLsfxCIvu', bulk: false })).toEqual(right);
  });
  it('may name the limit of bandwidth, which rsync tells to both sides, once', () => {
    const limited = [...right.slice(0, 2), '--bwlimit=5000', ...right.slice(2)];
    expect(parseServerWords(limited)).toEqual({ letters: 'iLsfxCIvu', bulk: false });
    expect(parseServerWords([...limited.slice(0, 3), ...limited.slice(2)])).toBeUndefined();
    expect(parseServerWords(limited.with(2, '--bwlimit=5000;sh'))).toBeUndefined();
  });
  it.each([
    ['a pull', ['--server', '--sender', ...right.slice(1)]],
    ['another directory', [...right.slice(0, -1), '/etc']],
    ['a path upwards', [...right.slice(0, -1), '../../..']],
    ['no --server', right.slice(1)],
    ['links', right.with(1, '-rlIe.iLsfxCIvu')],
    ['letters that are more', right.with(1, '-rIe.iLs;sh')],
    ['a longer time', right.with(2, '--timeout=0')],
    ['another basis', [...right.slice(0, 4), '--copy-dest', '/etc', ...right.slice(4)]],
    ['one option twice', [...right.slice(0, 4), '--delete', ...right.slice(4)]],
    ['a log file', [...right.slice(0, 4), '--log-file=/tmp/x', ...right.slice(4)]],
    ['nothing', []],
  ])('are refused as %s', (_, words) => {
    expect(parseServerWords(words)).toBeUndefined();
  });
});
