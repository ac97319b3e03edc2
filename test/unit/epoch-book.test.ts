import { expect, it } from 'vitest';
import { createEpochBook } from '../../src/drops/epoch-book.ts';

/** As files are: a write is not there before it has been awaited. */
function slowState() {
  const kept = new Map<string, unknown>();
  return {
    directory: '',
    read: async <T>(name: string) => {
      await new Promise(setImmediate);
      return kept.get(name) as T | undefined;
    },
    write: async (name: string, value: unknown) => {
      await new Promise(setImmediate);
      kept.set(name, value);
    },
    remove: (name: string) => Promise.resolve(void kept.delete(name)),
  };
}

it('what several jobs note at once is all there: above all the highest epoch', async () => {
  const book = createEpochBook(slowState(), () => new Date());
  const [first, second] = [
    { number: 1, id: '0123456789abcdef' },
    { number: 2, id: 'fedcba9876543210' },
  ];
  await Promise.all([
    book.applied('sync-certs', first),
    book.raise(second),
    book.applied('sync-files', second),
    book.raise(first),
  ]);
  expect(await book.read()).toMatchObject({ seen: second, streams: { 'sync-certs': first, 'sync-files': second } });
});

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
