import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { brakeCa, type VanishFacts } from '../../src/rules/brakes-ca.ts';
import { isTemporary, kindOf } from '../../src/rules/ca-paths.ts';
import { decideCrls, type CrlFacts } from '../../src/rules/crl.ts';
import { appendix, expiredSerials, missingLines, parseInventoryLine, wholeLines } from '../../src/rules/inventory.ts';
import { formatSerial, parseSerial, raiseSerial, serialGap } from '../../src/rules/serial.ts';
import { addWeight, fileWeight, formatSetDigest, removeWeight } from '../../src/rules/set-digest.ts';

describe('serial', () => {
  test.each([
    [1n, '0001'],
    [0xabcden, 'ABCDE'],
    [1n << 127n, '80000000000000000000000000000000'],
  ])('%s is written as puppetserver writes it, and read again', (serial, text) => {
    expect(formatSerial(serial)).toBe(text);
    expect(parseSerial(text)).toBe(serial);
  });

  test('is not read from junk', () => expect(parseSerial('0x12\n\0')).toBeUndefined());

  const counter = fc.bigInt(0n, 1n << 40n);
  test('never goes down, and is left or put at a safe distance from both sides', () => {
    fc.assert(
      fc.property(fc.option(counter, { nil: undefined }), counter, fc.array(counter), (live, theirs, issued) => {
        const raised = raiseSerial({ live, theirs, issued });
        const next = raised ?? live ?? 0n;
        expect(next).toBeGreaterThanOrEqual(live ?? 0n);
        expect(next - theirs).toBeGreaterThanOrEqual(serialGap / 2n);
        for (const serial of issued) expect(next).toBeGreaterThan(serial);
      }),
    );
  });

  test('is left alone once raised, though the spare signs and the active goes on a little', () => {
    const raised = raiseSerial({ live: 5n, theirs: 5n, issued: [] }) ?? 0n;
    expect(raiseSerial({ live: raised + 10n, theirs: 1000n, issued: [raised + 9n] })).toBeUndefined();
    expect(raiseSerial({ live: raised, theirs: raised - 10n, issued: [] })).toBe(raised + serialGap);
  });

  test('is not counted up from serials that are no counters', () => {
    expect(raiseSerial({ live: serialGap * 2n, theirs: 5n, issued: [1n << 120n] })).toBeUndefined();
    expect(raiseSerial({ live: 5n, theirs: (1n << 160n) - 1n, issued: [] })).toBeUndefined();
  });
});

describe('inventory', () => {
  const entry = (serial: bigint): string =>
    `0x${formatSerial(serial)} 2026-01-01T00:00:00UTC 2026-02-01T00:00:00UTC /CN=n${serial}`;

  test('a line is read with its serial, end and name', () => {
    const [notBefore, notAfter] = ['2026-01-01T00:00:00UTC', '2026-02-01T00:00:00UTC'];
    expect(parseInventoryLine(entry(10n))).toEqual({ serial: 10n, notBefore, notAfter, name: 'n10' });
  });

  test('the union by serial loses nothing, adds nothing twice, and ignores junk and leading zeros', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.bigInt(1n, 99n)), fc.array(fc.bigInt(1n, 99n)), (mine, theirs) => {
        const text = mine.map((serial) => `${entry(serial)}\n`).join('');
        const missing = missingLines(text, [...theirs.map(entry), 'junk', '']);
        const after = wholeLines(text + appendix(text, missing)).map((line) => parseInventoryLine(line)?.serial);
        expect(new Set(after)).toEqual(new Set([...mine, ...theirs]));
        expect(after.length).toBe(new Set(after).size);
      }),
    );
    expect(missingLines('0x000A x y /CN=a\n', ['0x0a x y /CN=a'])).toEqual([]);
  });

  test('a torn last line is not there yet, and is closed before anything is appended', () => {
    expect(wholeLines('one\ntwo')).toEqual(['one']);
    expect(appendix('one\ntw', ['three'])).toBe('\nthree\n');
    expect(appendix('one\n', [])).toBe('');
  });

  test('certificates that have ended are known by their line', () => {
    const expired = expiredSerials(
      `${entry(1n)}\n0x0002 x 2030-01-01T00:00:00UTC /CN=b\n`,
      new Date('2027-01-01T00:00:00Z'),
    );
    expect([expired(1n), expired(2n), expired(3n)]).toEqual([true, false, false]);
  });
});

describe('CRL', () => {
  const crl = (number: bigint, ...serials: bigint[]): CrlFacts => ({
    issuer: 'ca',
    number,
    revoked: new Map(serials.map((serial) => [serial, ''])),
  });
  const decide = (accepted: CrlFacts, incoming: CrlFacts, live: CrlFacts, canSign = true, expired: bigint[] = []) =>
    decideCrls({
      accepted: [accepted],
      incoming: [incoming],
      live: [live],
      expired: (serial) => expired.includes(serial),
      canSign: () => canSign,
    })[0];

  test.each([
    ['a new revocation goes live as it is', crl(1n, 1n), crl(2n, 1n, 2n), crl(1n, 1n), true, 'incoming', []],
    ['a lost one stays revoked', crl(2n, 1n, 2n), crl(3n, 2n, 3n), crl(2n, 1n, 2n), true, 'union', [1n]],
    ['a lost one stays revoked without the key', crl(2n, 1n), crl(3n), crl(2n, 1n), false, 'live', [1n]],
    ["the spare's own revocation stays", crl(1n, 1n), crl(2n, 1n, 2n), crl(5n, 1n, 9n), true, 'union', []],
    ['a union that is live already is not signed again', crl(1n, 1n), crl(2n, 1n), crl(7n, 1n, 9n), true, 'live', []],
  ] as const)('%s', (_title, accepted, incoming, live, canSign, use, lost) => {
    expect(decide(accepted, incoming, live, canSign)).toMatchObject({ use, lost });
  });

  test('a re-issued one has a larger number than all that met', () => {
    expect(decide(crl(4n, 1n), crl(9n, 2n), crl(7n, 1n))?.number).toBe(10n);
  });

  test('forgetting an expired certificate is no loss', () => {
    expect(decide(crl(1n, 1n), crl(2n), crl(1n, 1n), true, [1n])).toMatchObject({ use: 'incoming', lost: [] });
  });

  test('an issuer that is missing from the new bundle has lost all, and stays live', () => {
    const other: CrlFacts = { ...crl(1n, 8n), issuer: 'root' };
    const decisions = decideCrls({
      accepted: [crl(1n), other],
      incoming: [crl(2n)],
      live: [crl(1n), other],
      expired: () => false,
      canSign: () => true,
    });
    expect(decisions[1]).toMatchObject({ issuer: 'root', use: 'live', lost: [8n] });
  });
});

describe('brakes', () => {
  const still: VanishFacts = { vanishing: [], old: [], waiting: [], expected: 0, before: 0, replaced: 0 };
  const calm = { changedCa: [], crls: [], certificatesBefore: 100, certificatesAfter: 100, vanish: still };
  const paths = (count: number): string[] => Array.from({ length: count }, (_, n) => `signed/n${n}.pem`);

  test.each([
    ['a few removals go through', 100, 9, []],
    ['exactly a fifth goes through', 100, 20, []],
    ['over a fifth is held', 100, 21, ['certificates-vanish']],
    ['over a fifth but under ten goes through', 20, 9, []],
    ['all of them are held, however few', 1, 1, ['ca-source-empty']],
  ])('%s', (_title, before, gone, rules) => {
    const held = brakeCa({
      ...calm,
      certificatesBefore: before,
      certificatesAfter: before - gone,
      vanish: { ...still, vanishing: paths(gone) },
    });
    expect(held.map(({ rule }) => rule)).toEqual(rules);
  });

  test('the same difference reads the same, in whatever order it was found', () => {
    const gone = (...vanishing: string[]) =>
      brakeCa({ ...calm, certificatesAfter: 0, vanish: { ...still, vanishing } });
    const [one, other] = [gone('signed/b.pem', 'signed/a.pem'), gone('signed/a.pem', 'signed/b.pem')];
    expect(one[0]?.difference).toEqual(other[0]?.difference);
  });

  test('a changed CA is held with both fingerprints', () => {
    const [hold] = brakeCa({ ...calm, changedCa: [{ path: 'ca_crt.pem', from: 'aa', to: 'bb' }] });
    expect(hold).toMatchObject({
      rule: 'ca-changed',
      difference: ['- ca_crt.pem: aa', '+ ca_crt.pem: bb'],
      paths: ['ca_crt.pem'],
    });
  });
});

describe('paths', () => {
  test.each(['signed/a.pem8123tmp', 'serial12tmp', 'ca_crl.pem1tmp', 'signed/.pe-failover-a.pem.0123456789ab'])(
    '%s is temporary and never travels',
    (path) => {
      expect(isTemporary(path)).toBe(true);
      expect(kindOf(path)).toBeUndefined();
    },
  );
  test.each(['requests/a.pem', 'signed/a/b.pem', 'signed/README', '../signed/a.pem', 'constructor', 'toString'])(
    '%s is none of ours',
    (path) => expect(kindOf(path)).toBeUndefined(),
  );
  test('keys are known as keys', () => expect([kindOf('ca_key.pem'), kindOf('root_key.pem')]).toEqual(['key', 'key']));
});

describe('digest of a set', () => {
  const file = fc.record({
    path: fc.constantFrom('a', 'b', 'c'),
    sha256: fc.string(),
    mode: fc.constant(0o644),
  });
  test('kept by adding and removing, it equals the one from scratch', () => {
    fc.assert(
      fc.property(fc.array(file), (changes) => {
        const set = new Map<string, bigint>();
        let sum = 0n;
        for (const { path, mode, sha256 } of changes) {
          sum = addWeight(removeWeight(sum, set.get(path) ?? 0n), fileWeight(path, mode, sha256));
          set.set(path, fileWeight(path, mode, sha256));
        }
        const scratch = [...set.values()].reduce((total, weight) => addWeight(total, weight), 0n);
        expect(formatSetDigest(sum)).toBe(formatSetDigest(scratch));
      }),
    );
  });
  test('tells path, mode and content apart', () => {
    const weights = [
      fileWeight('a', 0o644, 'x'),
      fileWeight('b', 0o644, 'x'),
      fileWeight('a', 0o640, 'x'),
      fileWeight('a', 0o644, 'y'),
    ];
    expect(new Set(weights).size).toBe(4);
  });
});
