import { procedureExits, procedureOptions, procedureOptionsIn } from './procedure-options.ts';
import { flag, root, type Verb } from './verb.ts';

/** Commands that change who is the active. Each ends in the same transition that an edit of the fact starts. */
export const changingRoles: readonly Verb[] = [
  {
    command: 'promote',
    describe: 'On the spare: it becomes the active, when the old one is lost',
    options: {
      ...procedureOptions,
      force: flag('Though the old active is alive: both CAs sign until it is demoted'),
      'force-stale': flag('With data of an older epoch than the other master has'),
    },
    epilogue: procedureExits,
    run: async (given, signal) =>
      (await import('../commands/change-roles.ts')).promote(
        root(given),
        { ...procedureOptionsIn(given, ['--force']), forceStale: given['force-stale'] === true },
        signal,
      ),
  },
  {
    command: 'demote',
    describe: 'On a former active: it becomes the spare of the new one',
    options: { ...procedureOptions, force: flag('Though nobody would be the active then') },
    epilogue: procedureExits,
    run: async (given, signal) =>
      (await import('../commands/change-roles.ts')).demote(root(given), procedureOptionsIn(given, ['--force']), signal),
  },
  {
    command: 'switchover',
    describe: 'On the active: both masters exchange their roles, and nothing is lost',
    options: procedureOptions,
    epilogue: procedureExits,
    run: async (given, signal) =>
      (await import('../commands/change-roles.ts')).exchangeRoles(root(given), procedureOptionsIn(given), signal),
  },
];
