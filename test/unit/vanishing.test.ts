import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { brakeCa, type VanishFacts } from '../../src/rules/brakes-ca.ts';
import { expectedOf, readExpectation, standingExpectation } from '../../src/rules/expected-deletions.ts';
import { isOfBefore, newNames, vanishedBy, withVanished, type Vanished } from '../../src/rules/vanishing.ts';

const hourMs = 3_600_000;
const start = Date.parse('2027-03-01T00:00:00Z');
const at = (hours: number): Date => new Date(start + hours * hourMs);
const none: VanishFacts = { vanishing: [], old: [], waiting: [], expected: 0, before: 0, replaced: 0 };
const paths = (count: number, prefix = 'n'): string[] =>
  Array.from({ length: count }, (_, n) => `signed/${prefix}${n}.lab.pem`);
const judge = (before: number, vanish: Partial<VanishFacts>) => {
  const facts = { ...none, ...vanish };
  const after = before - facts.vanishing.length;
  return brakeCa({ changedCa: [], crls: [], certificatesBefore: before, certificatesAfter: after, vanish: facts })[0];
};

describe('removals over a day', () => {
  const one = { vanishing: paths(1), old: paths(1) };
  test.each([
    ['a fifth goes through', 81, { ...one, before: 19 }, undefined],
    ['more than a fifth does not', 80, { ...one, before: 20 }, 1],
    ['less than ten do', 20, { ...one, before: 8 }, undefined],
    ['a young one goes, whatever went before', 80, { vanishing: paths(1), before: 60 }, undefined],
    ['what new names replace goes', 80, { ...one, before: 40, replaced: 40 }, undefined],
    ['what they replace in part does not', 80, { ...one, before: 40, replaced: 10 }, 1],
    ['what waits already stays in the hold', 80, { ...one, before: 30, waiting: paths(10, 'w') }, 11],
    ['what was announced goes', 80, { ...one, before: 30, expected: 1 }, undefined],
    ['at once, young ones count too', 100, { vanishing: paths(21) }, 21],
    ['at once, what was announced does not', 100, { vanishing: paths(60), old: paths(60), expected: 50 }, undefined],
    ['at once, what goes beyond is held with all', 100, { vanishing: paths(80), old: paths(80), expected: 50 }, 80],
  ] as const)('%s', (_title, before, vanish, held) => {
    expect(judge(before, vanish)?.paths.length).toBe(held);
  });

  test('an announcement lets none through that empties the CA', () => {
    expect(judge(30, { vanishing: paths(30), old: paths(30), expected: 30 })?.rule).toBe('ca-source-empty');
  });
});

describe('what vanished', () => {
  test('is counted for a day, once, until its name comes back', () => {
    const change = (gone: string[], back: string[] = []) => ({ gone, back });
    let book: Vanished = withVanished({}, change(['a', 'b']), at(0));
    book = withVanished(book, change(['a', 'c']), at(12));
    expect(book['a']).toBe(at(0).toISOString());
    expect(Object.keys(withVanished(book, change([], ['c']), at(13))).sort()).toEqual(['a', 'b']);
    expect(Object.keys(vanishedBy(book, at(24)))).toEqual(['c']);
  });

  test('is forgotten a day after the last of it, however the clock steps', () => {
    const step = fc.integer({ min: -20_000, max: 20_000 });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        let book: Vanished = {};
        let now = 0;
        for (const [n, hours] of steps.entries())
          book = withVanished(book, { gone: [`${n}`], back: [] }, at((now += hours)));
        book = withVanished(book, { gone: [], back: [] }, at(now));
        expect(vanishedBy(book, at(now + 24))).toEqual({});
        if (steps.length > 0) expect(Object.keys(book)).toContain(`${steps.length - 1}`);
      }),
    );
  });

  test.each([
    ['signed a day and a minute ago', -48 - 1 / 60, true],
    ['signed an hour ago, dated a day back', -25, false],
    ['of a clock far ahead', 1, true],
  ])('is of before the window: %s', (_title, hours, old) => {
    expect(isOfBefore(at(hours).getTime(), at(0))).toBe(old);
  });

  test('new names are those that have no older line: a renewal is none', () => {
    const line = (serial: number, hours: number, name: string): string =>
      `0x000${serial} ${at(hours).toISOString().slice(0, 19)}UTC 2031-01-01T00:00:00UTC /CN=${name}\n`;
    const inventory = line(1, -900, 'old') + line(2, -30, 'old') + line(3, -30, 'new') + line(4, -26, 'new') + 'junk\n';
    expect(newNames(inventory, at(0))).toEqual(['new']);
  });
});

describe('announced deletions', () => {
  test.each([
    ['5', '30m', 5, 0.5],
    ['500', undefined, 500, 1],
    ['0', '24h', 0, 24],
  ])('%s for %s', (count, lasting, expected, hours) => {
    expect(readExpectation(count, lasting, at(0))).toEqual({ count: expected, until: at(hours).toISOString() });
  });

  test.each([
    ['-1', '1h'],
    ['many', '1h'],
    ['5', '25h'],
    ['5', '0m'],
    ['5', '1d'],
  ])('%s for %s is refused, with what to type', (count, lasting) => {
    expect(() => readExpectation(count, lasting, at(0))).toThrow(/--expect-deletions 500 --for 1h/);
  });

  test('stand until their time, and not where the clock was set back over a day', () => {
    const announced = readExpectation('5', '2h', at(0));
    const stands = [at(0), at(1.9), at(2), at(-30)].map((now) => standingExpectation(announced, now) !== undefined);
    expect(stands).toEqual([true, true, false, false]);
  });

  test.each([[{}], [{ expectedDeletions: '5' }], [{ expectedDeletions: -5 }], [{ expectedDeletions: 0.5 }]])(
    'of a drop that says %j are none',
    (detail) => expect(expectedOf(detail)).toBe(0),
  );
});
