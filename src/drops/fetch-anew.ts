import type { State } from '../system/state.ts';

/** By stream: the number of the last receipt that counts no more when it is told what this spare has. */
export type ForgottenWords = Readonly<Record<string, number>>;

/** Streams of which this spare says that it has nothing, so that they are pushed whole: `state/fetch-anew.json`. */
export interface FetchAnewBook {
  read(): Promise<ForgottenWords>;
  add(words: ForgottenWords): Promise<void>;
  remove(streams: readonly string[]): Promise<void>;
}

export function createFetchAnewBook(state: State): FetchAnewBook {
  const read = async (): Promise<ForgottenWords> =>
    (await state.read<{ streams: ForgottenWords }>('fetch-anew'))?.streams ?? {};
  return {
    read,
    add: async (words) => await state.write('fetch-anew', { streams: { ...(await read()), ...words } }),
    remove: async (streams) => {
      const left = Object.entries(await read()).filter(([stream]) => !streams.includes(stream));
      if (left.length === 0) await state.remove('fetch-anew');
      else await state.write('fetch-anew', { streams: Object.fromEntries(left) });
    },
  };
}
