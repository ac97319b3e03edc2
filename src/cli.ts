import type { Options } from 'yargs';
import { Failure, toFailure } from './errors.ts';

/** One verb of the command line. Its room in commands/ is loaded when it is asked for. */
interface Verb {
  readonly command: string;
  readonly describe: string;
  /** Of systemd's units, not of people: not shown by --help. */
  readonly hidden?: true;
  readonly options?: Readonly<Record<string, Options>>;
  run(given: Given, signal: AbortSignal): Promise<number>;
}

type Given = Readonly<Record<string, unknown>>;

const root = ({ root: path }: Given): string => String(path);
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const flag = (describe: string): Options => ({ type: 'boolean', default: false, describe });
const value = (describe: string): Options => ({ type: 'string', describe, requiresArg: true });

const verbs: readonly Verb[] = [
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
      const { install } = await import('./commands/install.ts');
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
      (await import('./commands/uninstall.ts')).uninstall(
        root(given),
        { purge: given['purge'] === true, dryRun: given['dry-run'] === true },
        signal,
      ),
  },
  {
    command: 'agent',
    describe: 'Run until a signal ends it',
    run: async (given, signal) => (await import('./commands/agent.ts')).runAgent(root(given), signal),
  },
  {
    command: 'recover',
    describe: 'Open what an interrupted switch of a database left closed',
    hidden: true,
    options: { 'before-services': flag('Open the databases alone: services that wait for this are started later') },
    run: async (given, signal) =>
      (await import('./commands/recover.ts')).recover(root(given), given['before-services'] === true, signal),
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
      return (await import('./commands/web.ts')).web(root(given), options, signal);
    },
  },
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
      return (await import('./commands/status.ts')).status(root(given), options, signal);
    },
  },
  {
    command: 'check',
    describe: 'Try the configuration and every dependency, with what to type',
    options: { quick: flag('The configuration alone') },
    run: async (given, signal) => {
      const { check, checkQuick } = await import('./commands/check.ts');
      return given['quick'] === true ? checkQuick(root(given)) : check(root(given), signal);
    },
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
      (await import('./commands/run.ts')).runJob(
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
    command: 'adopt <fingerprint>',
    describe: "On the spare: take the active's CA and data",
    run: async (given) => (await import('./commands/adopt.ts')).adopt(root(given), String(given['fingerprint'])),
  },
  {
    command: 'promote',
    describe: 'Permit a promotion with data of an older epoch; the fact promotes',
    options: { 'force-stale': flag('The data here may be older than what the other master has') },
    run: async (given, signal) =>
      (await import('./commands/promote.ts')).promote(root(given), given['force-stale'] === true, signal),
  },
  {
    command: 'rotate-keys',
    describe: 'Change both keys of this master; pushes go on meanwhile',
    options: { wait: value('How long to wait for the other master: 30s, 5m (default)') },
    run: async (given, signal) =>
      (await import('./commands/rotate-keys.ts')).rotateKeys(root(given), text(given['wait']) ?? '5m', signal),
  },
  {
    command: 'holds',
    describe: 'List what the brakes hold, and why',
    run: async (given) => (await import('./commands/holds.ts')).holds(root(given)),
  },
  {
    command: 'release <id>',
    describe: 'Let a held change through',
    run: async (given, signal) =>
      (await import('./commands/holds.ts')).decideHold(root(given), String(given['id']), 'released', signal),
  },
  {
    command: 'discard <id>',
    describe: 'Keep things as they are here',
    run: async (given, signal) =>
      (await import('./commands/holds.ts')).decideHold(root(given), String(given['id']), 'discarded', signal),
  },
];

/** The first signal lets running work end at its next safe point; the second ends at once. */
function untilSignalled(): AbortSignal {
  const over = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (over.signal.aborted) process.exit(130);
      over.abort();
    });
  }
  return over.signal;
}

async function parse(args: readonly string[]): Promise<number> {
  const { default: yargs } = await import('yargs');
  const signal = untilSignalled();
  let code = 0;
  const parser = yargs([...args])
    .scriptName('pe-failover')
    .usage('$0 <command>\n\nKeeps a second Puppet master warm.')
    .option('root', { type: 'string', default: '/', describe: 'Everything but sockets lies below this directory' })
    .version(false)
    .demandCommand(1, 'say what to do')
    .parserConfiguration({ 'boolean-negation': false }) // --no-start is a word of its own
    .strict()
    .wrap(100)
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new Failure('usage', message, { hint: 'Type: pe-failover --help' });
    });
  for (const { command, describe, hidden, options = {}, run } of verbs) {
    const handler = async (given: Given): Promise<void> => void (code = await run(given, signal));
    if (hidden === true) parser.command({ command, describe: false, builder: options, handler });
    else parser.command(command, describe, options, handler);
  }
  await parser.parseAsync();
  return code;
}

function tell(error: unknown): number {
  const failure = toFailure(error);
  process.stderr.write(`pe-failover: ${failure.message}\n`);
  if (failure.class === 'bug' && failure.cause instanceof Error) process.stderr.write(`${failure.cause.stack ?? ''}\n`);
  return failure.exitCode;
}

// `receive` and --version are answered before anything heavy is loaded: a push waits for them.
const args = process.argv.slice(2);
if (args[0] === 'receive') process.exitCode = await (await import('./commands/receive.ts')).runReceive(args.slice(1));
else if (args[0] === '--version') console.log((await import('./rules/program.ts')).programVersion);
else process.exitCode = await parse(args).catch(tell);
