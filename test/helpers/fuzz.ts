import fc from 'fast-check';
import { expect } from 'vitest';
import { Failure, type ErrorClass } from '../../src/errors.ts';

/** The same inputs at each run; `PE_FAILOVER_FUZZ_SEED=N` makes others, `PE_FAILOVER_FUZZ_RUNS=N` more or fewer. */
const seed = Number(process.env['PE_FAILOVER_FUZZ_SEED'] ?? 20_261_126);
const numRuns = Number(process.env['PE_FAILOVER_FUZZ_RUNS'] ?? 10_000);
export const fuzzMs = Math.max(60_000, numRuns * 10);

/** No test of speed: what takes this long for one input of some kB would take for ever for a large one. */
const hangsMs = 5_000;
/** One input of some kB that makes this of itself. */
const bloatBytes = 512 * 1024 * 1024;

export interface Parser<In, Out> {
  readonly parse: (input: In) => Out;
  /** Of the Failure that a wrong input gets; none: the parser never throws. */
  readonly refusedAs: readonly ErrorClass[];
  /** What must be true of what is accepted; what is `undefined` was not. */
  readonly accepted?: (value: NonNullable<Out>, input: In) => void;
}

/** Feeds a parser, and expects that it takes some of it. Throws with the seed, the path and the shortest input that is wrong. */
export function fuzz<In, Out>(inputs: fc.Arbitrary<In>, parser: Parser<In, Out>): void {
  let taken = 0;
  const judge = (input: In): void => {
    const value = outcomeOf(parser, input);
    if (value === undefined || value === null) return;
    taken += 1;
    parser.accepted?.(value, input);
  };
  fc.assert(fc.property(inputs, judge), { seed, numRuns });
  expect(taken, 'nothing was accepted: the inputs do not reach what lies behind the first look').toBeGreaterThan(
    numRuns / 200,
  );
}

function outcomeOf<In, Out>({ parse, refusedAs }: Parser<In, Out>, input: In): Out | undefined {
  const [begin, heap] = [performance.now(), process.memoryUsage.rss()];
  try {
    return parse(input);
  } catch (error) {
    if (!(error instanceof Failure) || !refusedAs.includes(error.class)) throw error;
    return undefined;
  } finally {
    expect(performance.now() - begin, 'ms for one input').toBeLessThan(hangsMs);
    expect(process.memoryUsage.rss() - heap, 'bytes for one input').toBeLessThan(bloatBytes);
  }
}
