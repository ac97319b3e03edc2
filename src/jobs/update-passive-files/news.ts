import type { NewsBook } from '../../rules/files-news.ts';
import type { State } from '../../system/state.ts';

/** What the newest drops brought and removed: whether files vanish, or others take their place. */
export interface NewsStore {
  read(): Promise<NewsBook | undefined>;
  write(book: NewsBook): Promise<void>;
}

const name = 'files-news';

export const createNewsStore = (state: State): NewsStore => ({
  read: () => state.read<NewsBook>(name),
  write: (book) => state.write(name, book),
});
