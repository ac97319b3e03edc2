import { expect, it } from 'vitest';
import { createEpochBook } from '../../src/drops/epoch-book.ts';

it('the word that a stale promotion is wanted is good for an hour, and used up by a promotion', async () => {
  const kept = new Map<string, unknown>();
  let now = new Date('2026-11-21T10:00:00Z');
  const state = {
    directory: '',
    read: <T>(name: string) => Promise.resolve(kept.get(name) as T | undefined),
    write: (name: string, value: unknown) => Promise.resolve(void kept.set(name, value)),
    remove: (name: string) => Promise.resolve(void kept.delete(name)),
    names: () => Promise.resolve([...kept.keys()]),
  };
  const book = createEpochBook(state, () => now);
  expect(await book.isStalePermitted()).toBe(false);
  await book.permitStale();
  expect(await book.isStalePermitted()).toBe(true);
  now = new Date('2026-11-21T11:00:01Z');
  expect(await book.isStalePermitted()).toBe(false);
  await book.permitStale();
  await book.settle('active', { number: 2, id: '0123456789abcdef' });
  expect(await book.isStalePermitted()).toBe(false);
});
