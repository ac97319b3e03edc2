import { flag, root, text, value, type Verb } from './verb.ts';

/** Making a master, and undoing it. */
export const installing: readonly Verb[] = [
  {
    command: 'install',
    describe: 'Make this machine one of the two masters; prints its pairing line',
    options: {
      active: flag('This is the active'),
      passive: flag('This is the spare'),
      'passive-master': value('Host name of the spare (with --active)'),
      'auth-key': value('The line that the active printed (with --passive)'),
      adopt: value("Fingerprint of the active's CA: take its CA and data (with --passive)"),
      'renew-host-key': flag('The spare was reinstalled: forget its old keys, pin its host key'),
      'no-start': flag('Leave the agent disabled and stopped'),
      'dry-run': flag('List every change, make none'),
    },
    run: async (given) => {
      const { install } = await import('../commands/install.ts');
      return install(root(given), {
        active: given['active'] === true,
        passive: given['passive'] === true,
        passiveMaster: text(given['passive-master']),
        authKey: text(given['auth-key']),
        adopt: text(given['adopt']),
        renewHostKey: given['renew-host-key'] === true,
        dryRun: given['dry-run'] === true,
        noStart: given['no-start'] === true,
      });
    },
  },
  {
    command: 'uninstall',
    describe: 'End the agent and remove what install made, but for configuration and data',
    options: {
      purge: flag('Configuration, keys, state and archive, too; databases that were loaded here'),
      'dry-run': flag('List every change, make none'),
    },
    run: async (given, signal) =>
      (await import('../commands/uninstall.ts')).uninstall(
        root(given),
        { purge: given['purge'] === true, dryRun: given['dry-run'] === true },
        signal,
      ),
  },
  {
    command: 'adopt <fingerprint>',
    describe: "On the spare: take the active's CA and data",
    run: async (given) => (await import('../commands/adopt.ts')).adopt(root(given), String(given['fingerprint'])),
  },
  {
    command: 'rotate-keys',
    describe: 'Change both keys of this master; pushes go on meanwhile',
    options: { wait: value('How long to wait for the other master: 30s, 5m (default)') },
    run: async (given, signal) =>
      (await import('../commands/rotate-keys.ts')).rotateKeys(root(given), text(given['wait']) ?? '5m', signal),
  },
];
