import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fleetYear, type Day } from '../helpers/fleet.ts';
import { fuzzMs } from '../helpers/fuzz.ts';

const seed = Number(process.env['PE_FAILOVER_FUZZ_SEED'] ?? 20_261_126);
const days = 60;

/** Shares of the fleet; what a site does on a day. */
const day: fc.Arbitrary<Day> = fc.record({
  born: fc.nat(12),
  cleaned: fc.double({ min: 0, max: 0.15, noNaN: true }),
  renewed: fc.double({ min: 0, max: 1, noNaN: true }),
  rebuilt: fc.nat(30),
  burst: fc.nat(40),
  outage: fc.boolean(),
});
const life = fc.record({
  size: fc.integer({ min: 3, max: 90 }),
  days: fc.array(day, { minLength: days, maxLength: days }),
});

describe('a fleet over thousands of simulated days', { timeout: fuzzMs }, () => {
  test('that is signed, renewed, rebuilt, grown, shrunk and cleaned is never held', () => {
    fc.assert(
      fc.property(life, ({ size, days: all }) => {
        const fleet = fleetYear(size);
        for (const one of all) fleet.live(one);
        expect(fleet.held).toEqual([]);
      }),
      { seed, numRuns: 40, endOnFailure: true },
    );
  });

  test('a mistake of more than a fifth in it is held, at once or before more than a fifth and what was signed that day is gone', () => {
    const mistake = fc.record({ share: fc.double({ min: 0.3, max: 1, noNaN: true }), oneByOne: fc.boolean() });
    fc.assert(
      fc.property(life, mistake, ({ size, days: all }, { share, oneByOne }) => {
        const fleet = fleetYear(size + 40);
        for (const one of all.slice(0, 10)) fleet.live({ ...one, outage: false });
        const [before, young] = [fleet.size, fleet.young];
        const bound = Math.max(10, Math.ceil(before * 0.2)) + young;
        const planted = Math.min(before, Math.max(Math.ceil(before * share), bound + 1));
        fleet.lose(planted, oneByOne);
        expect(fleet.held.length).toBeGreaterThan(0);
        const gone = before - fleet.size;
        expect(gone).toBeLessThanOrEqual(oneByOne ? bound + young : 0);
      }),
      { seed, numRuns: 40, endOnFailure: true },
    );
  });

  test('of sixty that loses three a day for a year, and gets as many, is never held', () => {
    const fleet = fleetYear(60);
    for (let n = 0; n < 365; n += 1)
      fleet.live({ born: 3, cleaned: 0.05, renewed: 0, rebuilt: 0, burst: 0, outage: false });
    expect([fleet.held, fleet.size > 50, fleet.size < 70]).toEqual([[], true, true]);
  });

  test('in which one host is made anew thirty times a day under its name is never held', () => {
    const fleet = fleetYear(12);
    for (let n = 0; n < 60; n += 1)
      fleet.live({ born: 0, cleaned: 0, renewed: 0, rebuilt: 30, burst: 0, outage: false });
    expect(fleet.held).toEqual([]);
  });
});
