import { lstat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { makeInbox } from './agent/own-directories.ts';
import type { SessionParts } from './agent/role-session.ts';
import type { Config } from './config.ts';
import { createAuthorizedKeys, type AuthorizedKeys } from './drops/authorized-keys.ts';
import { sourceOf } from './drops/named-peer.ts';
import { openOwnKeys, type OwnKeys, type SwitchPoint } from './drops/own-keys.ts';
import { createPauseBook, type PauseBook } from './drops/pause-book.ts';
import { createPeerKeys, type FollowPoint, type PeerKeys } from './drops/peer-keys.ts';
import { createSpare, type Spare } from './drops/spare.ts';
import { Failure, toFailure } from './errors.ts';
import { program, type Host } from './this-host.ts';
import type { Quota } from './rules/inbox-quota.ts';
import { whyForeign } from './rules/machine.ts';
import type { Paths } from './rules/paths.ts';
import { spokenPause } from './rules/pause.ts';
import { webUser } from './rules/web-account.ts';
import { readAccounts } from './system/accounts.ts';
import { isWritableOutside, namingDisk } from './system/file-systems.ts';
import { ensureDirectory, type Ownership } from './system/files.ts';
import { createLog, type Log, type LogOptions } from './system/log.ts';
import type { Signer } from './system/sign.ts';
import { createState } from './system/state.ts';
import { loggerOf } from './system/syslog.ts';
import { createSwitchNote, type NotePlace, type SwitchNote } from './system/web-notes.ts';

export { demandRoot, openHost, program, puppetProgram, sampleConfig, template, type Host } from './this-host.ts';

/** An installed master: its keys, its log, and what both roles share. */
export interface Master extends Host {
  readonly log: Log;
  readonly signer: Signer;
  /** The keys of this master, and how they change. */
  readonly ownKeys: OwnKeys;
  /** The keys of the other one. */
  readonly peerKeys: PeerKeys;
  /** Of what the gate reads. */
  readonly published: Ownership;
  readonly keys: AuthorizedKeys;
  readonly spare: Spare;
  readonly pauses: PauseBook;
  readonly session: SessionParts;
  /** What the web process may read. */
  readonly webNotes: NotePlace;
  readonly switchNote: SwitchNote;
  /** Of its ssh connections: a path that a unix socket may have, with a few letters behind it. */
  readonly sockets: string;
}

export interface OpenOptions {
  /** The log lines are shown to a person, too. */
  readonly stderr: boolean;
  readonly alive?: () => void;
  /** A command that may run while the agent does: its connections are its own. */
  readonly besideAgent?: true;
  /** Tells what a change of keys has done. */
  readonly progress?: (point: SwitchPoint | FollowPoint) => void;
}

/** Throws `config` where nothing is installed. */
export async function openMaster(host: Host, options: OpenOptions): Promise<Master> {
  const { paths, config, clock } = host;
  const progress = options.progress === undefined ? {} : { progress: options.progress };
  const now = (): Date => clock.now();
  const ownKeys = await openOwnKeys({ ...host, now, ...progress });
  const { signer } = ownKeys;
  const published = await publishedOwnership(host);
  await prepareDirectories(host);
  const log = createLog({ eventsFile: paths.events, ...logOptions(host, options) });
  const keys = createAuthorizedKeys({ path: paths.authorizedKeys, program, root: paths.root, ownership: published });
  const spare = createSpare({
    paths,
    clock,
    signer,
    own: ownKeys.pairing,
    nextKeys: ownKeys.next,
    published,
    log: log.forJob('receive'),
    source: () => sourceOf(paths, log.forJob('agent')),
    freeSpace: config.retention.free_space,
    archives: (stream) =>
      stream.startsWith('sync-') ? 0 : stream === 'nc-dump' ? config.retention.nc_dump : config.retention.db_dump,
    quota: quotaOf(config),
  });
  const state = createState(paths.state);
  const peerKeys = createPeerKeys({ state, keys, gate: spare.gate, log: log.forJob('agent'), now, ...progress });
  const pauses = createPauseBook(state, clock);
  const session = sessionOf(host, log, pauses, options);
  const sockets = join(paths.run, options.besideAgent === true ? `ssh-${process.pid}` : 'ssh');
  const webNotes = { directory: paths.web, ownership: { mode: 0o640, ...(await webOwner(host)) } };
  const switchNote = createSwitchNote(webNotes, now);
  const own = { log, signer, ownKeys, peerKeys, published, keys, spare };
  return { ...host, ...own, pauses, session, sockets, webNotes, switchNote };
}
const sessionOf = (
  { clock, paths, config }: Host,
  log: Log,
  pauses: PauseBook,
  { alive }: OpenOptions,
): SessionParts => ({
  ...{ clock, log },
  lockOf: (job) => join(paths.locks, job),
  timeoutFor: (job) => (job === 'greet-spare' ? 60_000 : jobConfig(config, job).timeout),
  dropDirectory: (stream) => join(paths.inbox, stream, 'ready'),
  explain: (failure) => namingDisk(failure, mayLieOn(paths)),
  paused: async (job) => {
    const found = (await pauses.standing()).find((one) => one.job === job);
    return found && spokenPause(found);
  },
  ...(alive === undefined ? {} : { alive }),
});

/** What the inbox may hold. */
const quotaOf = ({ inbox, retention }: Config): Quota => ({ ...inbox, free: retention.free_space });

export type JobConfig = Config['jobs'][keyof Config['jobs']];

export function jobConfig(config: Config, job: string): JobConfig {
  const found = Object.entries(config.jobs).find(([name]) => name === job.replaceAll('-', '_'));
  if (found === undefined)
    throw new Failure('usage', 'there is no such job', {
      where: job,
      hint: `Jobs: ${Object.keys(config.jobs).join(', ').replaceAll('_', '-')}`,
    });
  return found[1];
}

const logOptions = (host: Host, { stderr }: Pick<OpenOptions, 'stderr'>): LogOptions => ({
  clock: host.clock,
  logger: loggerOf(host.paths.root),
  ...(stderr ? { stderr: process.stderr } : {}),
});

const mayLieOn = ({ data, events, run }: Paths): readonly string[] => [data, dirname(events), run];

/**
 * As `openMaster`, with its greeting. A disk that is full or read-only is said and waited for: systemd gives up on who ends again
 * and again.
 */
export async function openMasterPatiently(host: Host, options: OpenOptions, signal: AbortSignal): Promise<Master> {
  const log = createLog(logOptions(host, options));
  try {
    for (;;) {
      try {
        const master = await openIntroduced(host, options);
        log.worked('agent');
        return master;
      } catch (error) {
        const failure = namingDisk(toFailure(error), mayLieOn(host.paths));
        // Of one that the sandbox keeps read-only there is nothing to wait for: systemd begins anew, with what is mounted now.
        const isOver = failure.where !== undefined && isWritableOutside(failure.where);
        if (failure.class !== 'dependency' || isOver || signal.aborted) throw failure;
        log.failed('agent', new Failure(failure.class, 'The agent cannot start', { why: failure.message }));
      }
      await host.clock.sleep(5_000, signal).catch(() => undefined);
    }
  } finally {
    await log.close();
  }
}

async function openIntroduced(host: Host, options: OpenOptions): Promise<Master> {
  const master = await openMaster(host, options);
  try {
    await bindFirst(master);
    if ((await foreignState(master)) !== undefined) return master;
    await master.ownKeys.switchWhereDue(master.spare.signAnew); // one that was interrupted: before anything else is signed
    await master.spare.introduce();
    return master;
  } catch (error) {
    await master.log.close();
    throw error;
  }
}

/** State of an earlier version belongs to no machine yet. */
async function bindFirst({ spare, machine }: Master): Promise<void> {
  const isInstalled = (await spare.epochs.read()) !== undefined;
  if (isInstalled && (await spare.binding.read()) === undefined) await spare.binding.bind(machine);
}

/** Why the state here is that of another machine; undefined: it is ours. */
export const foreignState = async ({ spare, machine }: Master): Promise<string | undefined> =>
  whyForeign(await spare.binding.read(), machine);

async function publishedOwnership({ system, transferIds }: Host): Promise<Ownership> {
  if (!system) return { mode: 0o640 };
  const ids = await transferIds();
  if (ids === undefined)
    throw new Failure('config', 'the transfer user is missing', { hint: 'Type: pe-failover install' });
  return { mode: 0o640, uid: 0, gid: ids.gid };
}

/** Root's, and its group's; nobody's besides where there is no such group yet. */
async function webOwner({ system }: Host): Promise<Omit<Ownership, 'mode'>> {
  return system ? { uid: 0, gid: (await readAccounts()).gid(webUser) ?? 0 } : {};
}

/** Below /tmp anybody may have made it before us, and could listen on our sockets. */
async function refuseForeign(directory: string): Promise<void> {
  const found = await lstat(directory).catch(() => undefined);
  if (found === undefined || found.uid === userInfo().uid) return;
  const hint = `Find out who made it, and remove it: rm -r ${directory}`;
  throw new Failure('config', 'the run directory belongs to another user', { where: directory, hint });
}

/** What comes and goes with the configuration: sockets, and an inbox for each database. */
async function prepareDirectories(host: Host): Promise<void> {
  const { paths, config, system, transferIds } = host;
  await refuseForeign(paths.run);
  const forWeb = await webOwner(host);
  await ensureDirectory(paths.run, { mode: 0o710, ...forWeb }); // sockets in it are root's alone
  await ensureDirectory(paths.web, { mode: 0o750, ...forWeb });
  const owner = system ? ((await transferIds()) ?? {}) : {};
  for (const { name } of config.databases) await makeInbox(paths, `db-dump.${name}`, owner);
  const own = [
    ...['sync-certs', 'sync-files'].map((stream) => join(paths.store, stream)),
    join(paths.archive, 'sync-certs'),
    join(paths.work, 'db-dump'),
  ];
  for (const path of own) await ensureDirectory(path, { mode: 0o700 });
  await ensureDirectory(dirname(paths.events), { mode: 0o700 });
}
