import { flag, type Given, type Verb } from './verb.ts';

/** Every command that changes a pair has them. */
export const procedureOptions: NonNullable<Verb['options']> = {
  'list-steps': flag('Show what it would do, step by step; look at nothing'),
  'dry-run': flag('Try every precondition for real; change nothing'),
  yes: flag('Do not ask'),
  undo: flag('Take back one that was interrupted, as far as it can be'),
};

export const procedureExits = `Exit codes: 0 done; 75 a precondition is not met, nothing was changed; 79 done, but not all of it:
what is missing is said; 130 interrupted or not agreed to. Interrupted, it is taken back, or goes on
when it is typed again.`;

/** `passing`: further options that pass over an obstacle, such as "--force". */
export const procedureOptionsIn = (given: Given, passing: readonly string[] = []) => ({
  listSteps: given['list-steps'] === true,
  dryRun: given['dry-run'] === true,
  yes: given['yes'] === true,
  undo: given['undo'] === true,
  passing: passing.filter((option) => given[option.replace(/^--/, '')] === true),
});
