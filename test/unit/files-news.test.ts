import { expect, test } from 'vitest';
import { newcomersLeft, recentNews, withNews, withRemoved, type NewsBook } from '../../src/rules/files-news.ts';

const epoch = { number: 3, id: '00c0ffee00c0ffee' };
const at = (minute: number): string => new Date(Date.UTC(2026, 10, 1, 12, minute)).toISOString();
const book = (...drops: [sequence: number, minute: number, added: number, removed: number][]): NewsBook => ({
  epoch,
  drops: drops.map(([sequence, minute, added, removed]) => ({ sequence, at: at(minute), added, removed })),
});
const left = (of: NewsBook, minute: number, in_ = epoch): number =>
  newcomersLeft(recentNews(of, in_, new Date(at(minute))), 0);

test('what came within the hour takes the place of what goes, once', () => {
  const news = book([1, 0, 30, 0], [2, 5, 0, 12]);
  expect(left(news, 10)).toBe(18);
  expect(newcomersLeft(withRemoved(news, 18), 0)).toBe(0);
  expect(newcomersLeft(news, 2)).toBe(0);
});

test('not what is older than an hour, of another epoch, or of a clock that was set back', () => {
  const news = book([1, 0, 30, 0]);
  expect([left(news, 59), left(news, 60)]).toEqual([30, 0]);
  expect(left(news, 10, { number: 4, id: epoch.id })).toBe(0);
  expect(left(book([1, 30, 30, 0]), 10)).toBe(0);
  expect(recentNews(undefined, epoch, new Date(at(0)))).toEqual({ epoch, drops: [] });
});

test('a drop whose pass is repeated counts once', () => {
  const once = { sequence: 1, at: at(0), added: 30, removed: 0 };
  expect(newcomersLeft(withNews(withNews(book(), once), once), 0)).toBe(30);
});
