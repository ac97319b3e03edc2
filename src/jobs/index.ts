import { join } from 'node:path';
import type { Delivery } from '../drops/delivery.ts';
import { createExpectationBook } from '../drops/expected-deletions.ts';
import { noteGreeting } from '../drops/greeting-note.ts';
import { createOwnTrees, ownTrees } from '../drops/own-trees.ts';
import type { Greeting } from '../drops/peer.ts';
import type { Sender } from '../drops/sender.ts';
import { openHeldStore } from '../puppet/ca-held.ts';
import { openLiveCa } from '../puppet/ca-live.ts';
import { createVanishedBook } from '../puppet/ca-vanished.ts';
import { defaultExtensions } from '../puppet/database-staging.ts';
import { createKeyFiles } from '../puppet/key-files.ts';
import type { Paths } from '../rules/paths.ts';
import { openAcceptedSet, type AcceptedSet } from '../system/accepted-set.ts';
import { openContentStore, type ContentStore } from '../system/content-store.ts';
import { listDirectory } from '../system/files.ts';
import { createJournal } from '../system/journal.ts';
import { acquireLock } from '../system/lock.ts';
import { createState } from '../system/state.ts';
import { createDbDump } from './db-dump.ts';
import type { Job, Trigger } from './job.ts';
import { createFetchMadeHere, isMadeHereNews } from './fetch-made-here.ts';
import type { JobHost, JobSettings, SpareHost } from './host.ts';
import { createGreetSpare } from './greet-spare.ts';
import { createNcDump } from './nc-dump.ts';
import { createRestoreDbs } from './restore-dbs/index.ts';
import { endInterruptedSwitches, openInterruptedDatabases } from './restore-dbs/interrupted.ts';
import type { SwitchParts } from './restore-dbs/tools.ts';
import { createRestoreNc } from './restore-nc/index.ts';
import { createSyncCerts } from './sync-certs/index.ts';
import { createSyncFiles } from './sync-files.ts';
import { createUpdatePassiveCa } from './update-passive-ca/index.ts';
import { createUpdatePassiveFiles } from './update-passive-files/index.ts';
import { createLeftOutBook } from './update-passive-files/left-out.ts';
import { createNewsStore } from './update-passive-files/news.ts';

/** The jobs of an active, for one epoch. */
export function activeJobs(
  host: JobHost,
  sender: Pick<Sender, 'delivery' | 'greet' | 'greetAnew' | 'news' | 'peer'>,
  spare: string,
): Job[] {
  const { paths, settings } = host;
  const { delivery } = sender;
  const work = (job: string): string => join(paths.work, job);
  const note = noteOf(host, sender);
  const jobs = [
    createSyncCerts({
      cadir: host.cadir,
      set: openSet(host, 'sync-certs'),
      delivery,
      expected: createExpectationBook(createState(paths.state)),
      spare,
      work: work('sync-certs'),
      excludeCerts: settings.excludeCerts,
      every: settings.every.syncCerts,
    }),
    createSyncFiles({
      root: paths.root,
      paths: settings.sentFiles,
      set: openSet(host, 'sync-files'),
      delivery,
      spare,
      work: work('sync-files'),
      everyMs: settings.every.syncFiles,
    }),
    ncDump(host, delivery, spare),
    dbDump(host, delivery, work('db-dump')),
    fetchMadeHere(host, sender),
  ];
  return [
    createGreetSpare({ greet: sender.greetAnew, newsFor: newsFrom(host, sender) }, note, greetMs),
    ...jobs.filter(({ name }) => settings.enabled(name)),
  ];
}

/** What a greeting says is noted, and answered where keys change; once, because nobody reads it where the spare's agent does not run. */
function noteOf({ paths, answerOnKeys }: JobHost, { peer }: Pick<Sender, 'peer'>) {
  let answered: string | undefined;
  return async (greeting: Greeting, signal: AbortSignal): Promise<void> => {
    await noteGreeting(createState(paths.streams), greeting);
    const line = await answerOnKeys(greeting);
    if (line === undefined || greeting.hello.at === answered) return;
    await peer.message(line, signal);
    answered = greeting.hello.at;
  };
}

const greetMs = 30_000;

function fetchMadeHere(host: JobHost, { greetAnew, peer }: Pick<Sender, 'greetAnew' | 'peer'>): Job {
  const { paths, settings, exec, certname, cadir } = host;
  return createFetchMadeHere({
    ...{ greet: greetAnew, peer, certname, exec, live: openLiveCa(cadir), serialGap: settings.serialGap },
    work: join(paths.work, 'fetch-made-here'),
    archive: join(paths.archive, 'made-by-spare'),
    journal: journalOf(paths, 'fetch-made-here'),
    state: createState(paths.state),
    everyMs: settings.every.fetchMadeHere,
  });
}

/** The jobs for which a greeting has something new. */
function newsFrom({ paths }: JobHost, { news }: Pick<Sender, 'news'>): (greeting: Greeting) => Promise<string[]> {
  let asked: string | undefined;
  return async (greeting) => {
    const streams = await news(greeting);
    const { adopt } = greeting.hello;
    const wantsCa = adopt !== undefined && adopt !== asked; // once: what keeps it from adopting lasts for minutes
    asked = adopt;
    const made = await isMadeHereNews(createState(paths.state), greeting.hello);
    return [...streams.map(jobOf), ...(wantsCa ? ['sync-certs'] : []), ...(made ? ['fetch-made-here'] : [])];
  };
}

/** `db-dump` of `db-dump.NAME`. */
const jobOf = (stream: string): string => stream.replace(/\..*$/, '');

const ncDump = ({ classifier, paths, settings }: JobHost, delivery: Delivery, peer: string): Job =>
  createNcDump({
    ...{ classifier, delivery, peer, triggers: ncDumpTriggers(settings) },
    trees: createOwnTrees(join(paths.archive, ownTrees), settings.keptTrees),
  });

const ncDumpTriggers = ({ cron, poll }: JobSettings): Trigger[] => [
  { kind: 'cron', expression: cron.ncDump },
  { kind: 'every', ms: poll.ncDump },
  { kind: 'start' },
];

const dbDump = ({ admin, paths, settings }: JobHost, delivery: Delivery, workDirectory: string): Job =>
  createDbDump({
    postgres: admin,
    delivery,
    databases: settings.databases,
    workDirectory,
    freeSpace: settings.freeSpace,
    root: paths.root,
    cron: settings.cron.dbDump,
    pollMs: settings.poll.dbDump,
    timeoutMs: settings.timeout.dbDump,
  });

/** The jobs of a spare. */
export function passiveJobs(host: SpareHost): Job[] {
  const jobs = [updatePassiveCa(host), updatePassiveFiles(host), restoreNc(host), restoreDbs(host)];
  return jobs.filter(({ name }) => host.settings.enabled(name));
}

function updatePassiveCa(host: SpareHost): Job {
  const { paths, settings, spare, exec, isServerStopped } = host;
  return createUpdatePassiveCa({
    certname: host.certname,
    live: openLiveCa(host.cadir),
    set: openSet(host, 'sync-certs'),
    content: openStore(host, 'sync-certs'),
    held: openHeldStore(join(paths.state, 'held-ca.json')),
    holds: spare.holds,
    vanished: createVanishedBook(createState(paths.state)),
    intake: spare.intake,
    journal: journalOf(paths, 'update-passive-ca'),
    exec,
    archive: join(paths.archive, 'sync-certs'),
    keptArchives: settings.keptArchives,
    serialGap: settings.serialGap,
    limits: settings.brakes.ca,
    adoption: { request: spare.adoption, isServerStopped },
    madeHere: spare.madeHere,
    every: settings.every.updateCa,
  });
}

function updatePassiveFiles(host: SpareHost): Job {
  const { paths, settings, spare, mayChown } = host;
  const set = openSet(host, 'sync-files');
  return createUpdatePassiveFiles({
    home: { root: paths.root, set, store: openStore(host, 'sync-files'), keyFiles: paths.keyFiles, mayChown },
    allowed: settings.files,
    neededByDatabases: settings.databases.flatMap(({ needs }) => needs),
    intake: spare.intake,
    holds: spare.holds,
    journal: journalOf(paths, 'update-passive-files'),
    leftOut: createLeftOutBook(createState(paths.state), set),
    news: createNewsStore(createState(paths.state)),
    archive: join(paths.archive, 'sync-files'),
    replaced: join(paths.archive, 'replaced-files'),
    keptArchives: settings.keptArchives,
    limits: settings.brakes.files,
    everyMs: settings.every.updateFiles,
  });
}

function restoreNc(host: SpareHost): Job {
  const { paths, settings, spare, classifier } = host;
  return createRestoreNc({
    classifier,
    intake: spare.intake,
    holds: spare.holds,
    journal: journalOf(paths, 'restore-nc'),
    archive: join(paths.archive, 'replaced-groups'),
    keptTrees: settings.keptArchives,
    hostMap: settings.hostMap,
    furtherInfrastructure: settings.furtherInfrastructure,
    limits: settings.brakes.classifier,
    adopted: host.adopted,
    triggers: [
      { kind: 'drop', streams: ['nc-dump'] },
      { kind: 'start' },
      { kind: 'cron', expression: settings.cron.restoreNc },
    ],
  });
}

type OpenHost = Pick<SpareHost, 'paths' | 'admin'>;
type SwitchHost = OpenHost & Pick<SpareHost, 'settings' | 'services' | 'agentRuns' | 'health' | 'note'>;
type Named = readonly { readonly name: string }[];

/** Databases in whose switch a crash may have come, whatever the configuration lists by now. */
export async function interruptedDatabases({ journal }: Pick<Paths, 'journal'>): Promise<Named> {
  const names = (await listDirectory(journal)).map((file) => /^restore-dbs\.(.+)\.jsonl$/.exec(file)?.[1]);
  return names.flatMap((name) => (name === undefined ? [] : [{ name }]));
}

/** For the start of the agent, before a role is entered: services that a killed one left stopped must run in any role. */
export const endSwitches = (host: SwitchHost, names: Named, context: Parameters<typeof endInterruptedSwitches>[2]) =>
  endInterruptedSwitches(switchParts(host), names, context);

/** For the boot: no service must meet a database that is half switched. */
export const openDatabases = (host: OpenHost, names: Named, signal: AbortSignal) =>
  openInterruptedDatabases(openParts(host), names, signal);

function openParts({ paths, admin }: OpenHost) {
  return {
    admin,
    journalOf: (name: string) => journalOf(paths, `restore-dbs.${name}`),
    withServicesLock: async <Value>(work: () => Promise<Value>): Promise<Value> => {
      await using _lock = await acquireLock(join(paths.locks, 'services'), 'restore-dbs');
      return await work();
    },
    keyFiles: createKeyFiles({ root: paths.root, waiting: paths.keyFiles, kept: join(paths.archive, 'key-files') }),
  };
}

const switchParts = (host: SwitchHost): SwitchParts => ({
  ...openParts(host),
  stateDirectory: host.paths.state,
  services: host.services,
  agentRuns: host.agentRuns,
  health: host.health,
  note: host.note,
  limits: host.settings.limits,
});

function restoreDbs(host: SpareHost): Job {
  const { settings, spare, restorer, adopted } = host;
  return createRestoreDbs({
    ...switchParts(host),
    restorer,
    host: { build: settings.build, allowedExtensions: defaultExtensions, freeSpace: settings.freeSpace },
    intake: spare.intake,
    holds: spare.holds,
    databases: settings.databases,
    adopted,
    parallel: settings.parallel,
    timeoutMs: settings.timeout.restoreDbs,
    cron: settings.cron.restoreDbs,
    stagedLimitMs: settings.stagedLimitMs,
    rowsLimits: settings.brakes.databases,
  });
}

const journalOf = (paths: Paths, name: string) => createJournal(join(paths.journal, `${name}.jsonl`));
const openStore = ({ paths }: JobHost, stream: string): ContentStore => openContentStore(join(paths.store, stream));

function openSet({ paths, onClose }: JobHost, stream: string): AcceptedSet {
  const set = openAcceptedSet(join(paths.state, `${stream}.db`));
  onClose(() => set.close());
  return set;
}
export { previewNcDump } from './nc-dump.ts';
export { forgetRefused, overdueOf, restoreRecordOf } from './restore-dbs/record-outside.ts';
