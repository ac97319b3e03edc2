import { join } from 'node:path';
import { createAgent, type Agent } from '../agent/agent.ts';
import { findOverQuota } from '../agent/over-quota.ts';
import { findRival } from '../agent/rivals.ts';
import { createSilenceAlarm } from '../agent/silence.ts';
import { reportStatus } from '../agent/status.ts';
import { toFailure } from '../errors.ts';
import { writeFileAtomic } from '../system/files.ts';
import { isBusy } from '../system/lock.ts';
import { whyForbidden } from '../agent/witness.ts';
import { serveAgent } from '../agent/serve.ts';
import { peerEpoch, type TransitionPoint } from '../agent/transition.ts';
import { foreignState, openHost, openMasterPatiently, peerOf, type Master } from '../app.ts';
import { settingsOf, senderTo, streamsOf, workOf, endInterruptedWork } from '../role-work.ts';
import { noEpoch } from '../drops/epoch-book.ts';
import { knownPeer } from '../drops/greeter.ts';
import { markStale } from '../drops/stream-state.ts';
import { openLiveCa } from '../puppet/ca-live.ts';
import { leapCrls } from '../puppet/ca-leap.ts';
import { findCadir } from '../surroundings.ts';
import { createState } from '../system/state.ts';
import type { Epoch } from '../rules/epoch.ts';
import { readRole, type JudgedFact } from '../system/fact.ts';

/** Runs until a signal ends it: the first lets running work end at its next safe point. */
export async function runAgent(
  root: string,
  signal: AbortSignal,
  progress?: (point: TransitionPoint) => void,
): Promise<number> {
  const master = await openMasterPatiently(await openHost(root), { stderr: true }, signal);
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

async function liveAs(master: Master, signal: AbortSignal, progress?: (point: TransitionPoint) => void): Promise<void> {
  const agent = await agentOf(master, progress);
  const served = await serveAgent(master, agent);
  master.log.forJob('agent').success(`The agent of ${master.certname} runs`);
  const over = new AbortController();
  const living = AbortSignal.any([signal, over.signal]);
  const beside = [publishStatus(master, agent, living), endInterrupted(master, living)];
  try {
    await agent.run(signal);
  } finally {
    over.abort();
    await Promise.all(beside);
    await served.close();
  }
}

async function agentOf(master: Master, progress?: (point: TransitionPoint) => void): Promise<Agent> {
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
      leapCrls: () => leapOwnCrls(master),
      witness: () => whyForbidden(master.config.witness, master.exec),
      stillSays: async ({ sha256 }) => (await readRole(master.paths.fact)).sha256 === sha256,
      streams: streamsOf(master).map(({ name }) => name),
      ...(progress === undefined ? {} : { progress }),
    },
    workOf: (role, epoch, fact) => workOf(master, role, epoch, fact),
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

const publishMs = 10_000;

/** What the peer may ask the gate for, and what the page shows: written anew every few seconds. What it says too long is an alarm. */
async function publishStatus(master: Master, agent: Agent, signal: AbortSignal): Promise<void> {
  const { certname, paths, spare, clock, published, session } = master;
  const alarm = createSilenceAlarm(master.log.forJob('agent'), clock);
  let failing = false;
  while (!signal.aborted) {
    try {
      const report = await reportStatus({
        certname,
        paths,
        spare,
        now: clock.now(),
        streams: streamsOf(master),
        view: agent.view(),
      });
      alarm(report);
      await writeFileAtomic(paths.status, JSON.stringify(report), published);
      // Its time is what the active's confirmations are dated by.
      if (report.role === 'passive') await spare.introduce();
      const gate = await spare.gate.read();
      const told = [await findRival(paths.inbox, gate), await findOverQuota(paths.inbox, gate)];
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

const leapMs = 60_000;

/** None to speak of where the CA is not kept in sync. */
async function leapOwnCrls(master: Master): Promise<number | undefined> {
  if (!master.config.jobs.sync_certs.enabled) return undefined;
  const archive = join(master.paths.archive, 'promotions');
  const signal = AbortSignal.timeout(leapMs);
  return await leapCrls({ live: openLiveCa(await findCadir(master)), exec: master.exec, archive, signal });
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
