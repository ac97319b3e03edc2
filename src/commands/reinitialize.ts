import { join } from 'node:path';
import type { AgentView } from '../agent/agent.ts';
import type { StatusReport } from '../agent/status.ts';
import type { Master } from '../app.ts';
import { knownPeer } from '../drops/greeter.ts';
import { Failure, toFailure } from '../errors.ts';
import { openOther } from '../order-work.ts';
import { carryOutHere } from '../procedure-work.ts';
import type { CarryOutOptions } from '../procedures/carry-out.ts';
import type { Procedure } from '../procedures/procedure.ts';
import { reinitialize, type ReinitializeParts } from '../procedures/reinitialize.ts';
import { liftRefusal, streamsOf } from '../role-work.ts';
import { streamsToFetch } from '../rules/fetch-anew.ts';
import { bad, good, note, type Finding } from '../rules/findings.ts';
import { spokenPause } from '../rules/pause.ts';
import { openContentStore } from '../system/content-store.ts';
import { askControl } from '../system/control.ts';
import { readRole } from '../system/fact.ts';
import { listDirectory } from '../system/files.ts';
import { createJournal } from '../system/journal.ts';
import { acquireLock } from '../system/lock.ts';
import { createState } from '../system/state.ts';

export interface ReinitializeOrder {
  /** As they were typed; none: all. */
  readonly streams: readonly string[];
  readonly prepare: boolean;
  readonly wait: string;
}

/** Fetches everything, or some streams, anew from the active. The exit code is the procedure's. */
export async function reinitializeSpare(
  root: string,
  order: ReinitializeOrder,
  options: CarryOutOptions,
  signal: AbortSignal,
): Promise<number> {
  const waitMs = readWait(order.wait);
  return await carryOutHere(
    root,
    options,
    async (master, operator) => await procedureOf(master, operator, order, waitMs),
    signal,
  );
}

const units = { s: 1_000, m: 60_000, h: 3_600_000 };

function readWait(text: string): number {
  const [, digits, unit] = /^(\d{1,4})([smh])$/.exec(text) ?? [];
  if (digits !== undefined) return Number(digits) * units[unit as keyof typeof units];
  throw new Failure('usage', '--wait wants a time such as "30m" or "4h"', { where: text });
}

async function procedureOf(
  master: Master,
  operator: string,
  { streams: typed, prepare }: ReinitializeOrder,
  waitMs: number,
): Promise<Procedure> {
  const { certname, spare, clock, paths } = master;
  const peer = await knownPeer(createState(paths.state));
  if (peer === undefined)
    throw new Failure('refused', 'no other master is known here', { hint: 'Make a pair first: README.md' });
  const streams = streamsToFetch(
    typed,
    streamsOf(master).map(({ name }) => name),
  );
  const open = await createJournal(join(paths.journal, 'procedure.jsonl')).open();
  const asking = `${operator}, reinitialize`;
  const parts: ReinitializeParts = {
    ...{ certname, active: peer.certname, streams, prepareOnly: prepare, waitMs, clock },
    goesOn: open?.job === 'reinitialize',
    ...(typed.length === 0 ? {} : { subject: streams.join(' ') }),
    book: spare.fetchAnew,
    words: (stream) => spare.book.all(stream),
    introduce: () => spare.introduce(),
    discardDamaged: (stream) => discardDamaged(master, stream),
    liftRefusal: async (stream) => {
      if (!stream.startsWith('db-dump.')) return;
      await using _lock = await acquireLock(join(paths.locks, 'restore-dbs'), 'reinitialize');
      await liftRefusal(master, stream);
    },
    lookHere: () => lookHere(master),
    lookAtActive: (signal) => lookAtActive(master, asking, streams, signal),
    askActive: async ({ tell, signal }) => {
      await using other = await openOther(master, asking);
      await other.give('greet', {}, { signal, timeoutMs: 60_000, tell });
    },
  };
  return reinitialize(parts);
}

/** Of content that could heal nothing any more. */
async function discardDamaged({ paths }: Master, stream: string): Promise<number> {
  const directory = join(paths.store, stream);
  const store = openContentStore(directory);
  const damaged: string[] = [];
  for (const name of await listDirectory(directory)) if (!(await store.isIntact(name))) damaged.push(name);
  await store.remove(damaged);
  return damaged.length;
}

async function lookHere({ paths, pauses }: Master): Promise<Finding[]> {
  const { role } = await readRole(paths.fact);
  const found = [
    role.role === 'passive'
      ? good('this master is the spare')
      : bad(`this master is ${role.role}: only a spare fetches anything`, 'Type it on the spare'),
  ];
  const view = (await askControl(paths.control, 'status', {}, { signal: AbortSignal.timeout(15_000) }).catch(
    () => undefined,
  )) as AgentView | undefined;
  if (view === undefined) found.push(bad('the agent does not run here', 'Type: systemctl start pe-failover'));
  for (const { job, ...pause } of await pauses.standing())
    found.push(bad(`${job} is ${spokenPause(pause)}`, `Type: pe-failover resume ${job}`));
  return found;
}

async function lookAtActive(
  master: Master,
  by: string,
  streams: readonly string[],
  signal: AbortSignal,
): Promise<Finding[]> {
  try {
    await using other = await openOther(master, by);
    const report = (await other.give('status', {}, { signal, timeoutMs: 30_000 })) as StatusReport;
    const found =
      report.role === 'active'
        ? [good(`${report.certname} is the active, and its agent runs`)]
        : [bad(`${report.certname} is ${report.role}`, `On ${report.certname}, type: pe-failover status`)];
    for (const { job, ...pause } of report.pauses)
      found.push(bad(`on ${report.certname}, ${job} is ${spokenPause(pause)}`, 'There, type: pe-failover resume'));
    const sent = new Set(report.components.map(({ stream }) => stream));
    for (const stream of streams.filter((one) => !sent.has(one)))
      found.push(note(`${report.certname} does not send ${stream}: it will not come`));
    return found;
  } catch (error) {
    signal.throwIfAborted();
    const why = toFailure(error).message;
    return [bad(`the active cannot be asked: ${why}`, 'To have it sent when it is there, type it with --prepare')];
  }
}
