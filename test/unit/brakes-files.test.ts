import { expect, test } from 'vitest';
import { filesBrake } from '../../src/rules/brakes-files.ts';

test.each([
  [0, 0, 5, undefined],
  [10, 9, 0, undefined], // one is left, and nine are few
  [10, 10, 0, 'files-source-empty'],
  [1, 1, 0, 'files-source-empty'],
  [1, 1, 1, undefined], // another name
  [50, 10, 0, undefined], // a fifth
  [49, 10, 0, 'files-vanish'],
  [49, 10, 1, undefined], // nine
  [49, 49, 49, undefined], // versions in their names
  [49, 30, 15, 'files-vanish'],
  [49, 9, 0, undefined],
  [1000, 150, 0, undefined],
])('of %i files %i go and %i come: %s', (before, removed, added, rule) => {
  expect(filesBrake({ before, removed, added })?.rule).toBe(rule);
});

test('the limits are those of the configuration', () => {
  const counts = { before: 100, removed: 30, added: 0 };
  expect(filesBrake(counts, { share: 0.5, atLeast: 10 })).toBeUndefined();
  expect(filesBrake(counts, { share: 0.1, atLeast: 10 })?.sentence).toContain('30 files of 100 vanished on the active');
});
