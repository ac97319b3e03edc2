import { flag, root, text, value, type Verb } from './verb.ts';

/** What runs: the agent, and passes by hand. */
export const running: readonly Verb[] = [
  {
    command: 'agent',
    describe: 'Run until a signal ends it',
    run: async (given, signal) => (await import('../commands/agent.ts')).runAgent(root(given), signal),
  },
  {
    command: 'recover',
    describe: 'Open what an interrupted switch of a database left closed',
    hidden: true,
    options: { 'before-services': flag('Open the databases alone: services that wait for this are started later') },
    run: async (given, signal) =>
      (await import('../commands/recover.ts')).recover(root(given), given['before-services'] === true, signal),
  },
  {
    command: 'run <job>',
    describe: 'One pass of a job: sync-certs, nc-dump, db-dump, restore-dbs ...',
    options: {
      'dry-run': flag('Print what would be exchanged (nc-dump)'),
      'expect-deletions': value('So many certificates will be cleaned: do not hold them (sync-certs)'),
      for: value('How long that is expected: 30m, 1h, at most 24h'),
    },
    run: async (given, signal) =>
      (await import('../commands/run.ts')).runJob(
        root(given),
        String(given['job']),
        {
          dryRun: given['dry-run'] === true,
          expectDeletions: text(given['expect-deletions']),
          lasting: text(given['for']),
        },
        signal,
      ),
  },
  {
    command: 'web',
    describe: 'Answer load balancers',
    hidden: true,
    options: {
      'health-listen': value('web.health_listen of the configuration'),
      puppetserver: value('web.puppetserver of the configuration'),
      certname: value('Of this master'),
      ca: value("File of the CA's certificate"),
      notes: value('Directory of what the agent tells'),
    },
    run: async (given, signal) => {
      const options = {
        health: text(given['health-listen']) ?? 'off',
        puppetserver: text(given['puppetserver']) ?? '127.0.0.1:8140',
        certname: text(given['certname']) ?? '',
        ca: text(given['ca']) ?? '',
        notes: text(given['notes']) ?? '',
      };
      return (await import('../commands/web.ts')).web(root(given), options, signal);
    },
  },
];
