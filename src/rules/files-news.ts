import { sameEpoch, type Epoch } from './epoch.ts';

/** How many files a drop brought that were not there before, and how many it removed. */
export interface FilesNews {
  readonly sequence: number;
  /** ISO 8601, when it was applied. */
  readonly at: string;
  readonly added: number;
  readonly removed: number;
}

/** Of the newest drops of one epoch, oldest first. */
export interface NewsBook {
  readonly epoch: Epoch;
  readonly drops: readonly FilesNews[];
}

/** An upgrade brings new files and removes the old ones, or the other way round, within minutes, and in more than one drop. */
export const newsMs = 3_600_000;

/** Without what is of another epoch, older than the window, or of a clock that was set back. */
export function recentNews(book: NewsBook | undefined, epoch: Epoch, now: Date): NewsBook {
  const isRecent = ({ at }: FilesNews): boolean =>
    Date.parse(at) <= now.getTime() && Date.parse(at) > now.getTime() - newsMs;
  return { epoch, drops: book !== undefined && sameEpoch(book.epoch, epoch) ? book.drops.filter(isRecent) : [] };
}

/** A drop counts once, however often its pass is repeated. */
export const withNews = ({ epoch, drops }: NewsBook, news: FilesNews): NewsBook => ({
  epoch,
  drops: [...drops.filter(({ sequence }) => sequence !== news.sequence), news],
});

/** So many more went with the newest drop. */
export function withRemoved({ epoch, drops }: NewsBook, removed: number): NewsBook {
  const last = drops.at(-1);
  return last === undefined
    ? { epoch, drops }
    : { epoch, drops: [...drops.slice(0, -1), { ...last, removed: last.removed + removed }] };
}

/** Files of the drops from this one on that came, and in whose place none went yet. */
export function newcomersLeft({ drops }: NewsBook, from: number): number {
  const counted = drops.filter(({ sequence }) => sequence >= from);
  return Math.max(
    0,
    counted.reduce((sum, { added, removed }) => sum + added - removed, 0),
  );
}
