import { procedureExits, procedureOptions, procedureOptionsIn } from './procedure-options.ts';
import { flag, root, text, value, type Given, type Verb } from './verb.ts';

const words = (value: unknown): string[] =>
  value === undefined ? [] : (Array.isArray(value) ? value : [value]).map(String);
const names = (given: Given): string[] => words(given['jobs']);

/** What a pair needs now and then. */
export const upkeep: readonly Verb[] = [
  {
    command: 'apply [jobs..]',
    describe: 'On the spare: make live what was delivered, databases included, without waiting',
    options: { now: { type: 'boolean', demandOption: true, describe: 'Now: a person decides the minute' } },
    epilogue: `Services of databases that differ are stopped for their exchange. What waits for a promotion by design goes on
waiting. Exit codes: 0 all is live; 75 something waits, or is paused; 76 something is held: pe-failover holds;
79 something failed.`,
    run: async (given, signal) => {
      const { applyNow } = await import('../commands/apply.ts');
      return await applyNow(root(given), names(given), signal);
    },
  },
  {
    command: 'pause [jobs..]',
    describe: 'Keep jobs of this master from running for a while; status and alarms know it',
    options: {
      all: flag('All jobs of this master'),
      for: value('For how long: 30m, 2h, at most 7d'),
      reason: value('Why, for those who read status'),
    },
    epilogue: `Exit codes: 0 paused; 79 paused, but a pass still runs, or the other master could not be told and will say
FAILURE; 64 something is missing or wrong in what was typed.`,
    run: async (given, signal) => {
      const order = {
        ...{ jobs: names(given), all: given['all'] === true },
        ...{ lasting: text(given['for']), reason: text(given['reason']) },
      };
      return (await import('../commands/pause.ts')).pause(root(given), order, signal);
    },
  },
  {
    command: 'resume [jobs..]',
    describe: 'End a pause before its end; of all jobs where none is named',
    epilogue: 'Exit codes: 0 done, or nothing was paused; 79 done, but the other master could not be told.',
    run: async (given, signal) => (await import('../commands/pause.ts')).resume(root(given), names(given), signal),
  },
  {
    command: 'reinitialize [streams..]',
    describe: 'On the spare: fetch everything anew from the active, or the named streams',
    options: {
      ...procedureOptions,
      db: { type: 'string', array: true, nargs: 1, describe: 'A database: --db pe-rbac is db-dump.pe-rbac' },
      prepare: flag('Do not wait: it comes when the active is there'),
      wait: value('How long to wait until all of it came: 30m, 1h (default), 4h'),
    },
    epilogue: procedureExits,
    run: async (given, signal) => {
      const { reinitializeSpare } = await import('../commands/reinitialize.ts');
      const order = {
        streams: [...words(given['streams']), ...words(given['db']).map((name) => `db-dump.${name}`)],
        prepare: given['prepare'] === true,
        wait: text(given['wait']) ?? '1h',
      };
      return await reinitializeSpare(root(given), order, procedureOptionsIn(given), signal);
    },
  },
  {
    command: 'support-bundle',
    describe: 'Pack everything for a report of a mistake, without secrets',
    options: { output: { ...value('Where to: FILE.tar.gz (default: in this directory)'), alias: 'o' } },
    epilogue: 'Exit codes: 0 packed; 75 there is such a file; 78 it cannot be written there.',
    run: async (given, signal) =>
      (await import('../commands/support-bundle.ts')).supportBundle(root(given), text(given['output']), signal),
  },
];
