import { flag, root, text, value, type Verb } from './verb.ts';

/** What changes nothing. */
export const looking: readonly Verb[] = [
  {
    command: 'status',
    describe: 'Tell how this master stands; exits 0, 1, 2 or 3 as Nagios counts',
    options: {
      json: flag('For programs'),
      wait: value('Wait for: ca-ready'),
      timeout: { type: 'number', default: 600, describe: 'How many seconds to wait' },
    },
    run: async (given, signal) => {
      const options = {
        json: given['json'] === true,
        wait: text(given['wait']),
        waitMs: Number(given['timeout']) * 1000,
      };
      return (await import('../commands/status.ts')).status(root(given), options, signal);
    },
  },
  {
    command: 'check',
    describe: 'Try the configuration and every dependency, with what to type',
    options: {
      quick: flag('The configuration alone'),
      'before-upgrade': flag('What of ours an upgrade of PostgreSQL or Puppet Enterprise would meet'),
      clean: flag('Drop what is loaded beside the live databases (with --before-upgrade)'),
    },
    epilogue: 'Exit codes: 0 no problem; 2 problems, each with what to type; 75 --clean while something runs.',
    run: async (given, signal) => {
      if (given['before-upgrade'] === true) {
        const { checkBeforeUpgrade } = await import('../commands/before-upgrade.ts');
        return await checkBeforeUpgrade(root(given), given['clean'] === true);
      }
      const { check, checkQuick } = await import('../commands/check.ts');
      return given['quick'] === true ? checkQuick(root(given)) : check(root(given), signal);
    },
  },
  {
    command: 'hooks',
    describe: 'List the executables that are told what happens, and what is wrong with them',
    options: {
      try: value('Run those of this event, with an example'),
      enable: value('Put one that comes with the program into its place: deploy-code'),
    },
    run: async (given, signal) => {
      const order = { try: text(given['try']), enable: text(given['enable']) };
      return (await import('../commands/hooks.ts')).hooks(root(given), order, signal);
    },
  },
];
