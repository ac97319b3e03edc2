import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isBelow, planFiles, wouldEmpty } from '../../src/rules/files-plan.ts';
import {
  addWeight,
  fileWeight,
  formatSetDigest,
  hexOfWeight,
  removeWeight,
  weightOfHex,
} from '../../src/rules/set-digest.ts';

const file = (path: string) => ({ path, size: 1, sha256: '0'.repeat(64), mode: 0o600, owner: 'root', group: 'root' });
const names = (files: readonly { path: string }[]): string[] => files.map(({ path }) => path);

describe('what a drop of files does here', () => {
  const own = { allowed: ['/etc/secrets', '/etc/one', '/opt/tree/'], keyFiles: ['/etc/secrets/keys.json'] };
  const plan = (files: string[], deleted: string[] = []) => planFiles({ files: files.map(file), deleted }, own);

  it('only what this master lists is placed', () => {
    const { place, notAllowed } = plan([
      'etc/secrets/a/b',
      'etc/one',
      'etc/shadow',
      'etc/secretsx',
      'opt/tree/x',
      'etc',
    ]);
    expect(names(place)).toEqual(['etc/secrets/a/b', 'etc/one', 'opt/tree/x']);
    expect(notAllowed).toEqual(['etc/shadow', 'etc/secretsx', 'etc']);
  });
  it('a key file waits for its database, and is not removed', () => {
    const { place, keep, remove } = plan(['etc/secrets/keys.json'], ['etc/secrets/old']);
    expect([names(place), names(keep), remove]).toEqual([[], ['etc/secrets/keys.json'], ['etc/secrets/old']]);
    expect(plan([], ['etc/secrets/keys.json']).remove).toEqual([]);
  });
  it('a deletion outside is not done', () => {
    expect(plan([], ['etc/passwd'])).toMatchObject({ remove: [], notAllowed: ['etc/passwd'] });
  });
  it('every path ends in exactly one place', () => {
    const paths = fc.uniqueArray(fc.constantFrom('etc/secrets/a', 'etc/secrets/keys.json', 'etc/one', 'etc/two', 'x'));
    fc.assert(
      fc.property(paths, (chosen) => {
        const { place, keep, remove, notAllowed } = plan(chosen);
        expect([...names(place), ...names(keep), ...remove, ...notAllowed].sort()).toEqual([...chosen].sort());
      }),
    );
  });
  it('a name that only begins alike is not below', () => {
    expect(isBelow('etc/a', ['/etc/a'])).toBe(true);
    expect(isBelow('etc/a/b', ['/etc/a'])).toBe(true);
    expect(isBelow('etc/ab', ['/etc/a'])).toBe(false);
    expect(isBelow('etc', ['/etc/a'])).toBe(false);
  });
  it.each([
    [0, 0, undefined],
    [10, 1, undefined],
    [10, 0, 'the active has none of the 10 files any more'],
  ])('%d files known, %d after: held when nothing would be left', (known, after, sentence) => {
    const said = wouldEmpty(known, after);
    if (sentence === undefined) expect(said).toBeUndefined();
    else expect(said).toContain(sentence);
  });
});

describe('the digest of a set', () => {
  const weight = fc
    .record({ path: fc.string(), mode: fc.nat(0o777) })
    .map(({ path, mode }) => fileWeight(path, mode, 'f'));
  it('does not depend on the order, and removing undoes adding', () => {
    fc.assert(
      fc.property(fc.array(weight), weight, (weights, one) => {
        const sum = weights.reduce(addWeight, 0n);
        expect([...weights].reverse().reduce(addWeight, 0n)).toBe(sum);
        expect(removeWeight(addWeight(sum, one), one)).toBe(sum);
        expect(weightOfHex(hexOfWeight(sum))).toBe(sum);
        expect(formatSetDigest(sum)).toMatch(/^sha256:[0-9a-f]{64}$/);
      }),
    );
  });
  it('tells path, mode and content apart', () => {
    const one = fileWeight('a', 0o600, 'x');
    for (const other of [fileWeight('b', 0o600, 'x'), fileWeight('a', 0o640, 'x'), fileWeight('a', 0o600, 'y')])
      expect(other).not.toBe(one);
  });
});
