import { standingExpectation, type ExpectedDeletions } from '../rules/expected-deletions.ts';
import type { State } from '../system/state.ts';

/** What an admin of the active announced: `state/expected-deletions.json`. */
export interface ExpectationBook {
  /** Undefined: nothing is expected at `now`. */
  standing(now: Date): Promise<ExpectedDeletions | undefined>;
  /** In the place of an earlier one; of none: takes it back. */
  announce(expected: ExpectedDeletions): Promise<void>;
  /** So many came. */
  use(count: number): Promise<void>;
}

const name = 'expected-deletions';

export function createExpectationBook(state: State): ExpectationBook {
  const read = (): Promise<ExpectedDeletions | undefined> => state.read<ExpectedDeletions>(name);
  const announce = ({ count, until }: ExpectedDeletions): Promise<void> =>
    count > 0 ? state.write(name, { count, until }) : state.remove(name);
  return {
    standing: async (now) => {
      const found = standingExpectation(await read(), now);
      return found === undefined ? undefined : { count: found.count, until: found.until };
    },
    announce,
    use: async (count) => {
      const announced = count > 0 ? await read() : undefined;
      if (announced !== undefined) await announce({ ...announced, count: announced.count - count });
    },
  };
}
