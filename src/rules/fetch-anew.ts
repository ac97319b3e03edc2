import { Failure } from '../errors.ts';
import { arrived, type Receipt } from './receipt.ts';

/** What came of a stream since it was forgotten; no word: nothing yet. */
export interface Arrival {
  readonly stream: string;
  readonly word: Receipt | undefined;
}

/** The receipts that count when it is told what this spare has: those behind the number that was forgotten. */
export const countingWords = (words: readonly Receipt[], forgotten: number | undefined): readonly Receipt[] =>
  forgotten === undefined ? words : words.filter(({ n }) => n > forgotten);

/** The newest word behind that number on a drop that arrived. */
export const arrivedSince = (words: readonly Receipt[], forgotten: number): Receipt | undefined =>
  countingWords(words, forgotten).findLast(({ state }) => arrived(state));

/** "2 of 4 came: sync-certs applied, nc-dump unchanged; waits for sync-files, db-dump.pe-rbac". */
export function spokenArrivals(found: readonly Arrival[]): string {
  const here = found.flatMap(({ stream, word }) => (word === undefined ? [] : [`${stream} ${word.state}`]));
  const missing = found.flatMap(({ stream, word }) => (word === undefined ? [stream] : []));
  const list = here.length === 0 ? '' : `: ${here.join(', ')}`;
  return `${here.length} of ${found.length} came${list}; waits for ${missing.join(', ')}`;
}

/** Streams as they were typed, such as `db-dump.pe-rbac`; none: all. Throws `usage`. */
export function streamsToFetch(typed: readonly string[], known: readonly string[]): readonly string[] {
  const wrong = typed.find((stream) => !known.includes(stream));
  if (wrong !== undefined)
    throw new Failure('usage', 'nothing of that name is fetched here', {
      where: wrong,
      hint: `Known: ${known.join(', ')}`,
    });
  return typed.length === 0 ? known : known.filter((stream) => typed.includes(stream));
}
