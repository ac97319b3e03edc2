import { join } from 'node:path';
import { findOverQuota } from '../agent/over-quota.ts';
import { createAgent, type Agent, type AgentView } from '../agent/agent.ts';
import { thinOutCrowd } from '../agent/crowd.ts';
import { createDeadMan, type DeadMan } from '../agent/dead-man.ts';
import { careForCode, type CodeCareParts } from '../agent/code-care.ts';
import { createHookEvents, hooksOf, type HookEvents } from '../agent/hook-events.ts';
import type { Hooks } from '../agent/hooks.ts';
import { createHousekeeping, type Housekeeping } from '../agent/housekeeping.ts';
import { endLeftQuiet } from '../agent/quiet.ts';
import { findRival } from '../agent/rivals.ts';
import { createServingTeller, type ServingTeller } from '../agent/serving.ts';
import { createSilenceAlarm } from '../agent/silence.ts';
import { toFailure, type Failure } from '../errors.ts';
import { writeFileAtomic } from '../system/files.ts';
import { createHttpClient } from '../system/http-client.ts';
import { isBusy, lockHolder } from '../system/lock.ts';
import { whyForbidden } from '../agent/witness.ts';
import { serveAgent } from '../agent/serve.ts';
import { peerEpoch, type TransitionPoint } from '../agent/transition.ts';
import { foreignState, openHost, openMasterPatiently, type Master } from '../app.ts';
import { reportOf, settingsOf, senderTo, streamsOf, workOf, endInterruptedWork } from '../role-work.ts';
import { noEpoch } from '../drops/epoch-book.ts';
import { largestDump, pruneAll, type RetentionParts } from '../drops/retention.ts';
import { knownPeer } from '../drops/greeter.ts';
import { peerOf } from '../drops/named-peer.ts';
import type { SwitchPoint } from '../drops/own-keys.ts';
import type { FollowPoint } from '../drops/peer-keys.ts';
import { markStale } from '../drops/stream-state.ts';
import { openLiveCa } from '../puppet/ca-live.ts';
import { leapCrls } from '../puppet/ca-leap.ts';
import { careForPeer, sessionsOf, switchKeys } from '../peer-work.ts';
import { caOfAgents, caState, databasesDirectory, environmentDirectories, findCadir } from '../surroundings.ts';
import { quietOf } from '../role-change-work.ts';
import type { LoginSessions } from '../system/login-sessions.ts';
import { createState } from '../system/state.ts';
import type { Epoch } from '../rules/epoch.ts';
import { spokenPauses } from '../rules/pause.ts';
import { readRole, type JudgedFact } from '../system/fact.ts';

/** What a test of deaths may name. */
type AgentPoint = TransitionPoint | SwitchPoint | FollowPoint;

/** Runs until a signal ends it: the first lets running work end at its next safe point. */
export async function runAgent(
  root: string,
  signal: AbortSignal,
  progress?: (point: AgentPoint) => void,
): Promise<number> {
  const told = progress === undefined ? {} : { progress };
  const master = await openMasterPatiently(await openHost(root), { stderr: true, ...told }, signal);
  const log = master.log.forJob('agent');
  try {
    await liveAs(master, signal, progress);
    log.success(`The agent of ${master.certname} ends`);
    return 0;
  } catch (error) {
    log.failure(`The agent of ${master.certname} ends: ${master.session.explain(toFailure(error)).message}`);
    throw error;
  } finally {
    await master.log.close();
  }
}

async function liveAs(master: Master, signal: AbortSignal, progress?: (point: AgentPoint) => void): Promise<void> {
  const hooks = hooksOf(master);
  const told = createHookEvents(hooks, master.log, master.spare);
  let changed = (): void => undefined;
  const agent = await agentOf(master, { hooks, changed: () => changed() }, progress);
  const teller = tellerOf(master, () => agent.view());
  changed = teller.hint;
  const housekeeping = housekeepingOf(master, agent);
  const view = (): AgentView => ({ ...agent.view(), nearlyFull: housekeeping.nearlyFull() });
  const served = await serveAgent(master, agent, hooks, view);
  master.log.forJob('agent').success(`The agent of ${master.certname} runs`);
  const over = new AbortController();
  const living = AbortSignal.any([signal, over.signal]);
  const sessions = await sessionsOf(master);
  const beside = [
    publishStatus(master, view, { told, sessions }, living),
    careForPeer(master, agent, sessions, living),
    endInterrupted(master, living),
    housekeeping.run(living),
    endQuiet(master, living),
    careForCode(codeCare(master, agent, hooks), living),
    teller.run(living),
  ];
  try {
    await agent.run(signal);
  } finally {
    over.abort();
    await hooks.end();
    await Promise.all(beside);
    await served.close();
  }
}

async function agentOf(
  master: Master,
  { hooks, changed }: { readonly hooks: Hooks; readonly changed: () => void },
  progress?: (point: AgentPoint) => void,
): Promise<Agent> {
  const log = master.log.forJob('agent');
  return createAgent({
    clock: master.clock,
    log,
    fact: { path: master.paths.fact, ...(await factOwner(master)) },
    session: master.session,
    transitions: {
      epochs: master.spare.epochs,
      gate: master.spare.gate,
      keys: master.keys,
      log,
      foreign: () => foreignState(master),
      forced: () => markStale(createState(master.paths.streams)),
      peer: (fact) => peerOf(master.paths, fact, log),
      askPeer: (fact) => askPeer(master, fact),
      endOldLogins: () => master.peerKeys.narrowed(),
      leapCrls: () => leapOwnCrls(master),
      witness: () => whyForbidden(master.config.witness, master.exec),
      expect: hooks.expect,
      stillSays: async ({ sha256 }) => (await readRole(master.paths.fact)).sha256 === sha256,
      streams: streamsOf(master).map(({ name }) => name),
      ...(progress === undefined ? {} : { progress }),
    },
    entered: hooks.entered,
    changed,
    between: () => switchKeys(master),
    workOf: async (role, epoch, fact) => {
      const ended = spokenPauses(await master.pauses.entered(role));
      if (ended !== undefined) log.success(`The change of roles ends what was ${ended}`);
      return await workOf(master, role, epoch, fact);
    },
  });
}

function housekeepingOf(master: Master, agent: Agent): Housekeeping {
  const { paths, clock, config, spare } = master;
  const { retention, space } = config;
  const counts: Record<string, number> = {
    ...{ 'nc-dump': retention.nc_dump, 'own-groups': retention.nc_dump, 'made-by-spare': Infinity },
  };
  const limits: RetentionParts['limits'] = {
    count: (kind) => counts[kind] ?? (kind.startsWith('db-dump.') ? retention.db_dump : retention.replaced),
    ageMs: retention.age,
    bytes: retention.max_size,
    eventsBytes: retention.events,
  };
  const cadir = (): Promise<string | undefined> => findCadir(master).catch(() => undefined);
  const role = (): string | undefined => agent.view().entered?.role;
  const wanted = async (): Promise<number> => {
    const dump = await largestDump(paths);
    // A spare has it twice for a moment: as it arrived, and as root took it over.
    return dump === 0 ? 0 : retention.free_space + dump * (role() === 'passive' ? 2 : 1);
  };
  return createHousekeeping({
    ...{ paths, clock, log: master.log.forJob('agent') },
    prune: () => pruneAll({ paths, book: spare.book, limits, now: () => clock.now(), wanted, cadir }),
    mayPrune: () => role() === 'active' || role() === 'passive',
    limits: { share: space.warn_percent / 100, enough: space.warn_below },
    wanted,
    elsewhere: async () => ({ cadir: await cadir(), databases: await databasesDirectory(master) }),
  });
}

/** What load balancers are told. A CA that is not kept in sync is not ours to judge. */
function tellerOf(master: Master, view: () => AgentView): ServingTeller {
  const { jobs } = master.config;
  const isOurs = jobs.sync_certs.enabled && jobs.update_passive_ca.enabled;
  return createServingTeller({
    ...{ place: master.webNotes, clock: master.clock, fact: master.paths.fact, view },
    gate: () => master.spare.gate.read(),
    ca: caOfAgents(master),
    caReady: async () => (isOurs ? (await caState(master)).ready : undefined),
    failed: (error) => master.log.failed('agent', master.session.explain(toFailure(error))),
  });
}

const endAgainMs = 15_000;

/** In any role, also in none: services that a killed agent left stopped must run. */
async function endInterrupted(master: Master, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await endInterruptedWork(master, signal);
      return;
    } catch (error) {
      // A job that found it first is at it.
      if (!signal.aborted && !isBusy(error)) master.log.failed('restore-dbs', toFailure(error));
    }
    await master.clock.sleep(endAgainMs, signal).catch(() => undefined);
  }
}

const endQuiet = (master: Master, signal: AbortSignal): Promise<void> => {
  const { paths, clock, log } = master;
  const isHeld = async (): Promise<boolean> => (await lockHolder(join(paths.locks, 'procedure'))) !== undefined;
  const failed = (failure: Failure): void => log.failed('switchover', failure);
  return endLeftQuiet({ quiet: quietOf(master), isHeld, failed, clock, log: log.forJob('switchover') }, signal);
};

const publishMs = 10_000;

/** What the peer may ask the gate for, and what the page shows: written anew every few seconds. What it says too long is an alarm. */
async function publishStatus(
  master: Master,
  view: () => AgentView,
  { told: hooks, sessions }: { readonly told: HookEvents; readonly sessions: LoginSessions | undefined },
  signal: AbortSignal,
): Promise<void> {
  const { paths, spare, clock, published, session } = master;
  const alarm = createSilenceAlarm(master.log.forJob('agent'), clock, hooks.silence);
  const deadMan = deadManOf(master);
  signal.addEventListener('abort', () => deadMan?.close(), { once: true });
  let failing = false;
  while (!signal.aborted) {
    try {
      const report = await reportOf(master, view());
      alarm(report);
      hooks.look(report);
      deadMan?.hear(report);
      await writeFileAtomic(paths.status, JSON.stringify(report), published);
      // Its time is what the other master's confirmations and orders are dated by.
      if (report.role === 'active' || report.role === 'passive') await spare.introduce();
      const gate = await spare.gate.read();
      const crowd = await thinOutCrowd(sessions, master.config.transfer.user);
      const told = [await findRival(paths.inbox, gate), await findOverQuota(paths.inbox, gate), crowd];
      if (failing) master.log.worked('agent');
      failing = false;
      for (const failure of told) if (failure !== undefined) master.log.failed('agent', failure);
    } catch (error) {
      master.log.failed('agent', session.explain(toFailure(error)));
      failing = true;
    }
    await clock.sleep(publishMs, signal).catch(() => undefined);
  }
}

const codeCare = (master: Master, agent: Agent, hooks: Hooks): CodeCareParts => ({
  ...{ clock: master.clock, hooks, log: master.log.forJob('agent'), state: createState(master.paths.data) },
  role: () => agent.view().entered?.role,
  directories: () => environmentDirectories(master),
});

const leapMs = 60_000;

/** None to speak of where the CA is not kept in sync. */
async function leapOwnCrls(master: Master): Promise<number | undefined> {
  if (!master.config.jobs.sync_certs.enabled) return undefined;
  const archive = join(master.paths.archive, 'promotions');
  const signal = AbortSignal.timeout(leapMs);
  return await leapCrls({ live: openLiveCa(await findCadir(master)), exec: master.exec, archive, signal });
}

function deadManOf({ config, clock, log }: Master): DeadMan | undefined {
  const { url, every, timeout, ca } = config.deadman;
  if (url === undefined) return undefined;
  const http = createHttpClient({ mayBePlain: true, proxies: process.env, ...(ca === undefined ? {} : { ca }) });
  return createDeadMan({ url, everyMs: every, timeoutMs: timeout, http, clock, log: log.forJob('agent') });
}

async function askPeer(master: Master, { role }: JudgedFact): Promise<Epoch | undefined> {
  const log = master.log.forJob('agent');
  const named = role.role === 'active' ? role.passiveMaster : undefined;
  const host = named ?? (await knownPeer(createState(master.paths.state)))?.certname;
  if (host === undefined) return undefined; // this master never had one
  const sender = await senderTo(master, host, noEpoch, settingsOf(master).build);
  try {
    return await peerEpoch(async (signal) => (await sender.peer.hello(signal)).gate.epoch, log);
  } finally {
    await sender.close();
  }
}

/** What an editor may have changed is put back: the gate must be able to read the fact. */
async function factOwner({ system, transferIds }: Master): Promise<{ keep?: { gid: number; mode: number } }> {
  const ids = system ? await transferIds() : undefined;
  return ids === undefined ? {} : { keep: { gid: ids.gid, mode: 0o640 } };
}
