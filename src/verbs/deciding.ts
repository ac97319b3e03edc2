import { root, type Verb } from './verb.ts';

/** What the brakes hold. */
export const deciding: readonly Verb[] = [
  {
    command: 'holds',
    describe: 'List what the brakes hold, and why',
    run: async (given) => (await import('../commands/holds.ts')).holds(root(given)),
  },
  {
    command: 'release <id>',
    describe: 'Let a held change through',
    run: async (given, signal) =>
      (await import('../commands/holds.ts')).decideHold(root(given), String(given['id']), 'released', signal),
  },
  {
    command: 'discard <id>',
    describe: 'Keep things as they are here',
    run: async (given, signal) =>
      (await import('../commands/holds.ts')).decideHold(root(given), String(given['id']), 'discarded', signal),
  },
];
