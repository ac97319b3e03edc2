import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  dropsNamedIn,
  mayJudgeAge,
  toPrune,
  watchClock,
  type Archived,
  type ClockWatch,
  type RetentionLimits,
} from '../../src/rules/retention.ts';

const day = 86_400_000;
const now = 1_000 * day;

const arbitraryOne = fc.record({
  kind: fc.constantFrom('nc-dump', 'db-dump.pe-rbac', 'sync-certs'),
  bytes: fc.nat(1000),
  at: fc.integer({ min: 0, max: 2 * now }),
  good: fc.boolean(),
  needed: fc.boolean(),
});
const arbitraryArchive = fc
  .array(arbitraryOne, { maxLength: 40 })
  .map((all): Archived[] => all.map((one, n) => ({ ...one, name: String(n) })));
const arbitraryLimits = fc
  .record({ keep: fc.integer({ min: 1, max: 10 }), ageMs: fc.nat(now), bytes: fc.nat(20_000) })
  .map(({ keep, ageMs, bytes }): RetentionLimits => ({ count: () => keep, ageMs, bytes }));

const left = (archived: readonly Archived[], limits: RetentionLimits): Archived[] => {
  const gone = new Set(toPrune(archived, limits, now));
  return archived.filter((one) => !gone.has(one));
};
const ofKind = (archived: readonly Archived[], kind: string): Archived[] => archived.filter((one) => one.kind === kind);
const newestGood = (archived: readonly Archived[]): Archived | undefined =>
  archived.findLast(({ good }) => good) ?? archived.at(-1);

describe('whatever lies in the archive, and whatever the limits and the clock', () => {
  const always = (promise: (archived: Archived[], limits: RetentionLimits, kept: Archived[]) => void): void =>
    fc.assert(
      fc.property(arbitraryArchive, arbitraryLimits, (archived, limits) => {
        promise(archived, limits, left(archived, limits));
      }),
      { numRuns: 2000 },
    );

  it('the newest good generation of each kind stays, or the newest, where none is known to be good', () => {
    always((archived, _, kept) => {
      for (const { kind } of archived) expect(kept).toContain(newestGood(ofKind(archived, kind)));
    });
  });

  it('what is needed stays', () => {
    always((archived, _, kept) => expect(kept).toEqual(expect.arrayContaining(archived.filter((one) => one.needed))));
  });

  it('what may go goes: no more than the number, nothing too old, and no more bytes than the limit', () => {
    always((archived, { count, ageMs, bytes }, kept) => {
      const may = kept.filter((one) => !one.needed && one !== newestGood(ofKind(archived, one.kind)));
      for (const one of may) {
        expect(ofKind(archived, one.kind).indexOf(one)).toBeGreaterThanOrEqual(
          ofKind(archived, one.kind).length - count(one.kind),
        );
        expect(now - one.at).toBeLessThanOrEqual(ageMs);
      }
      if (may.length > 0) expect(kept.reduce((sum, one) => sum + one.bytes, 0)).toBeLessThanOrEqual(bytes);
    });
  });

  it('a second look finds nothing more to prune', () => {
    always((_, limits, kept) => expect(toPrune(kept, limits, now)).toEqual([]));
  });
});

describe('an archive', () => {
  const generation = (name: string, extra: Partial<Archived> = {}): Archived => ({
    ...{ kind: 'nc-dump', name, bytes: 10, at: now, good: true, needed: false },
    ...extra,
  });
  const limits: RetentionLimits = { count: () => 3, ageMs: 30 * day, bytes: 100 };
  const names = (archived: readonly Archived[]): string[] => archived.map(({ name }) => name);

  it('keeps the last good dump behind as many failed ones as may come', () => {
    const failed = Array.from({ length: 30 }, (_, n) => generation(`failed ${n}`, { good: false }));
    const kept = left([generation('older'), generation('good'), ...failed], limits);
    expect(names(kept)).toEqual(['good', 'failed 27', 'failed 28', 'failed 29']);
  });

  it('lets the oldest of all go first where all together are too large', () => {
    const archived = [
      generation('old dump', { at: now - 9, bytes: 60 }),
      generation('dump', { at: now - 5, bytes: 60 }),
      generation('old files', { at: now - 7, kind: 'sync-files', bytes: 30 }),
      generation('files', { at: now - 1, kind: 'sync-files', bytes: 30 }),
    ];
    expect(names(toPrune(archived, limits, now))).toEqual(['old dump', 'old files']);
    expect(names(toPrune(archived, { ...limits, bytes: 120 }, now))).toEqual(['old dump']);
  });

  it('of the future, from before a clock was set back, neither stays for ever nor makes the others go', () => {
    const archived = [
      generation('future', { at: now + 365 * day }),
      generation('a', { at: now - 2 * day }),
      generation('b', { at: now - day }),
    ];
    expect(toPrune(archived, limits, now)).toEqual([]);
    expect(names(toPrune([...archived, generation('c')], limits, now))).toEqual(['future']);
  });
});

describe('ages are judged', () => {
  const hour = 3_600_000;
  /** A look each hour by these clocks. */
  const watched = (times: readonly number[]): ClockWatch | undefined =>
    times.reduce<ClockWatch | undefined>((before, at) => watchClock(before, at), undefined);
  const hours = (from: number, count: number): number[] => Array.from({ length: count + 1 }, (_, n) => from + n * hour);

  it('when the clock went on for a day without a jump', () => {
    expect(mayJudgeAge(watched(hours(now, 23)) ?? { at: 0, since: 0 })).toBe(false);
    expect(mayJudgeAge(watched(hours(now, 24)) ?? { at: 0, since: 0 })).toBe(true);
  });

  it('also where the machine is off each night', () => {
    const days = Array.from({ length: 3 }, (_, n) => hours(now + n * day, 8)).flat();
    expect(mayJudgeAge(watched(days) ?? { at: 0, since: 0 })).toBe(true);
  });

  it.each([
    ['a year forth', 365 * day],
    ['a year back', -365 * day],
    ['an hour back', -hour],
  ])('not for a day after the clock was set %s', (_, step) => {
    const before = hours(now, 48);
    const after = hours(now + 48 * hour + step, 23);
    expect(mayJudgeAge(watched([...before, ...after]) ?? { at: 0, since: 0 })).toBe(false);
    expect(mayJudgeAge(watched([...before, ...after, (after.at(-1) ?? 0) + hour]) ?? { at: 0, since: 0 })).toBe(true);
  });
});

it('finds every drop that a hold, a record or a journal names, however deep', () => {
  const epoch = { number: 3, id: '00c0ffee00c0ffee' };
  const named = dropsNamedIn({
    hold: { drop: { stream: 'nc-dump', epoch, sequence: 4, digest: 'x' } },
    list: [{ quarantined: { drop: { stream: 'db-dump.pe-rbac', epoch, sequence: 5 } } }, { epoch, sequence: 6 }, null],
  });
  expect([...named]).toEqual([
    'nc-dump 3.00c0ffee00c0ffee-4',
    'db-dump.pe-rbac 3.00c0ffee00c0ffee-5',
    '* 3.00c0ffee00c0ffee-6',
  ]);
});
