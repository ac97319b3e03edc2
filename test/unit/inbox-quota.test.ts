import { expect, it } from 'vitest';
import { isOverQuota, isQuota, judgeExtent, spokenSize, type Quota, type Room } from '../../src/rules/inbox-quota.ts';

const quota: Quota = { size: 50e9, files: 500_000, free: 1e9 };
const large: Room = { bytes: 500e9, freeBytes: 100e9, files: 30e6, freeFiles: 20e6 };
const judge = (bytes: number, files: number, room: Partial<Room> = {}) =>
  judgeExtent(quota, { bytes, files }, { bytes, files }, { ...large, ...room });

it.each([
  ['nothing', judge(0, 0), undefined],
  ['20,000 certificates', judge(20_000 * 4096, 20_010), undefined],
  ['two dumps of 20 GB', judge(40e9, 20), undefined],
  ['all that is permitted', judge(50e9, 500_000), undefined],
  ['a byte more', judge(50e9 + 1, 1), 'inbox.size'],
  ['a file more', judge(1, 500_001), 'inbox.files'],
  ['a dump that leaves less than is to be free', judge(5e9, 2, { freeBytes: 0.9e9 }), 'retention.free_space'],
  ['a certificate where as little is free', judge(8192, 4, { freeBytes: 0.9e9 }), undefined],
  ['a certificate where a few bytes are free', judge(8192, 4, { freeBytes: 4096 }), 'retention.free_space'],
  ['many files where few are free', judge(1e6, 250_000, { freeFiles: 200_000 }), 'retention.free_space'],
  ['on a disk that counts no files', judge(1e6, 250_000, { files: 0, freeFiles: 0 }), undefined],
  ['half of a disk smaller than what is to be free', judge(30e6, 5, { bytes: 64e6, freeBytes: 30e6 }), undefined],
  ['nearly all of it', judge(60e6, 5, { bytes: 64e6, freeBytes: 4e6 }), 'retention.free_space'],
])('a push that brings %s is judged by what is over', (_, key, wanted) => expect(key).toBe(wanted));

it('what a full disk lets through gets less each time: no number of pushes fills it', () => {
  let free = 0.9e9;
  for (let n = 0; n < 200; n += 1) {
    let grown = 0;
    while (judge(grown, 1, { freeBytes: free - grown }) === undefined) grown += 1e5;
    if (grown < 2e5) break;
    free -= grown - 1e5;
  }
  expect(free).toBeGreaterThan(0);
});

it.each([
  [0, '0 kB'],
  [1500, '1.5 kB'],
  [20e6, '20 MB'],
  [51.26e9, '51.3 GB'],
  [2e12, '2 TB'],
])('%d bytes are spoken as %s', (bytes, text) => expect(spokenSize(bytes)).toBe(text));

it('quotas and notes are read whole, or not at all', () => {
  expect(isQuota(quota)).toBe(true);
  for (const value of [
    undefined,
    null,
    7,
    {},
    { ...quota, size: '50GB' },
    { ...quota, files: -1 },
    { ...quota, free: NaN },
  ])
    expect(isQuota(value)).toBe(false);
  const note = { stream: 'sync-files', key: 'inbox.size', bytes: 1, files: 1 };
  expect(isOverQuota(note)).toBe(true);
  for (const more of [{ stream: '../x' }, { key: 'hooks' }, { bytes: '1' }, { files: undefined }])
    expect(isOverQuota({ ...note, ...more })).toBe(false);
});
