import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { whyNearlyFull, whyNoRoom, type FileSystem, type SpaceLimits } from '../../src/rules/space.ts';
import { spokenBytes } from '../../src/rules/spoken.ts';

const giga = 1e9;
const disk = (extra: Partial<FileSystem> = {}): FileSystem => ({
  ...{ mount: '/var', bytes: 40 * giga, free: 20 * giga, files: 1_000_000, freeFiles: 900_000 },
  ...extra,
});
const limits: SpaceLimits = { share: 0.1, enough: 5 * giga, wanted: () => 0 };

describe('a file system is nearly full', () => {
  it.each([
    [{}, undefined],
    [{ free: 3.9 * giga }, '3.9 GB of 40 GB free'],
    [{ free: 4.1 * giga }, undefined],
    [{ bytes: 10_000 * giga, free: 6 * giga }, undefined], // five are enough, whatever the share
    [{ bytes: 10_000 * giga, free: 4 * giga }, '4.0 GB of 10 TB free'],
    [{ freeFiles: 90_000 }, 'room for 90000 of 1000000 files is left'],
    [{ files: 0, freeFiles: 0 }, undefined], // one that counts none
  ] as [Partial<FileSystem>, string | undefined][])('with %j: %s', (extra, why) => {
    expect(whyNearlyFull(disk(extra), limits, false)).toBe(why);
  });

  it('where the next dump would have no room, whatever the share', () => {
    const wanting = { ...limits, wanted: () => 10 * giga };
    expect(whyNearlyFull(disk({ free: 9 * giga }), wanting, false)).toBe('9.0 GB of 40 GB free');
  });

  it('once it was, until a quarter more is free than the limit; and never because it was not', () => {
    fc.assert(
      fc.property(fc.integer({ min: 3 * giga, max: 6 * giga }), (free) => {
        const [first, again] = [false, true].map((was) => whyNearlyFull(disk({ free }), limits, was) !== undefined);
        expect([first, again]).toEqual([free < 4 * giga, free < 5 * giga]);
      }),
    );
  });
});

it('there is no room where less would be left than is kept free, in words', () => {
  expect(whyNoRoom(100, 60, 40)).toBeUndefined();
  expect(whyNoRoom(99, 60, 40)).toBe('99 B free, 60 B needed, and 40 B are to stay free');
  expect(whyNoRoom(59, 60, 0)).toBe('59 B free, 60 B needed');
});

it.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [1_234_567, '1.2 MB'],
  [45_600_000_000, '46 GB'],
  [1e16, '10000 TB'],
])('%d bytes are spoken as %s', (bytes, spoken) => expect(spokenBytes(bytes)).toBe(spoken));
