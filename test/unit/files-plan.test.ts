import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { directoriesIn, isBelow, planFiles, withLeftOut } from '../../src/rules/files-plan.ts';
import { failureOfAll, obstacleAt, spokenObstacles } from '../../src/rules/obstacles.ts';
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
});

describe('what could not be made live before', () => {
  const leftOut = { files: [file('etc/a'), file('etc/b')], removals: ['etc/c', 'etc/d'] };
  it('comes with the next drop, unless that says otherwise', () => {
    const { files, deleted } = withLeftOut({ files: [file('etc/c'), file('etc/e')], deleted: ['etc/a'] }, leftOut);
    expect([names(files), deleted]).toEqual([
      ['etc/b', 'etc/c', 'etc/e'],
      ['etc/d', 'etc/a'],
    ]);
  });
});

describe('the directories that a drop names', () => {
  const right = { path: 'etc/private', mode: 0o700, owner: 'root', group: 'root' };
  it.each([
    ['as they are', [right], [right]],
    ['none, from an active of an older version', undefined, []],
    ['none, where it is no list', { length: 1 }, []],
    ['without one that leaves the tree', [{ ...right, path: '../etc' }, right], [right]],
    ['without one that has more than permission bits', [{ ...right, mode: 0o1777 }, right], [right]],
    ['without one of a malformed owner', [{ ...right, owner: '-R' }, null, right], [right]],
  ])('are read %s', (_, directories, expected) => expect(directoriesIn({ directories })).toEqual(expected));
});

describe('a file that could not be made as on the active', () => {
  const thrown = (code: string): Error => Object.assign(new Error(`${code}: something`), { code });
  it.each([
    ['EISDIR', 'a directory of this master is in its place', 'mv /etc/a /etc/a.old'],
    ['ENOTDIR', 'a file of this master stands where its directory belongs', 'namei -l /etc/a'],
    ['EROFS', 'the file system is mounted read-only', 'findmnt -T /etc/a'],
    ['EPERM', 'not permitted; the file or its directory may be immutable', 'lsattr -d /etc/a'],
    ['EIO', 'its disk does not read or write', 'dmesg'],
    ['ENXIO', 'ENXIO: something', 'ls -la /etc/a'],
  ])('%s is said with its reason and what to type', (code, why, hint) => {
    const { failure } = obstacleAt('etc/a', thrown(code));
    expect(failure).toMatchObject({
      class: 'incomplete',
      where: '/etc/a',
      hint: expect.stringContaining(hint) as string,
    });
    expect(failure.why).toContain(why);
  });
  it('because the sandbox keeps it is told from one on a disk that is read-only', () => {
    const hints = ['usr/local/etc/a', 'etc/a'].map((path) => obstacleAt(path, thrown('EROFS')).failure.hint ?? '');
    expect(hints.map((hint) => hint.includes('sandbox'))).toEqual([true, false]);
  });
  it('among others is named with its reason, and a full disk decides what happens next', () => {
    const several = ['EROFS', 'ENOSPC', 'EIO'].map((code, n) => obstacleAt(`etc/${n}`, thrown(code)));
    expect(failureOfAll([])).toBeUndefined();
    expect(failureOfAll(several)).toMatchObject({ class: 'dependency', what: 'disk is full' });
    expect(spokenObstacles(several)).toMatch(
      /^\/etc\/0: the file system is mounted read-only; \/etc\/1: .*; \/etc\/2: /,
    );
  });
  it('is quoted for the shell in what to type', () => {
    expect(obstacleAt("a b'c", thrown('EISDIR')).failure.hint).toContain(`mv '/a b'\\''c' '/a b'\\''c.old'`);
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
