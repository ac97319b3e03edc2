import { join } from 'node:path';
import { overdueOf } from '../jobs/index.ts';
import { createExpectationBook } from '../drops/expected-deletions.ts';
import type { OwnKeys } from '../drops/own-keys.ts';
import { notedGreeting, type GreetingNote } from '../drops/greeting-note.ts';
import type { PauseBook } from '../drops/pause-book.ts';
import type { Spare } from '../drops/spare.ts';
import type { StreamState } from '../drops/stream-state.ts';
import type { ExpectedDeletions } from '../rules/expected-deletions.ts';
import { formatEpoch, sameEpoch, type Epoch } from '../rules/epoch.ts';
import type { TakenConfirmation } from '../rules/confirm.ts';
import type { AcceptedDrop } from '../rules/hello.ts';
import { freshnessOf } from '../rules/freshness.ts';
import type { Gate } from '../rules/gate.ts';
import type { Paths } from '../rules/paths.ts';
import { isExcused, spokenPauses, type Pause } from '../rules/pause.ts';
import { interruptedSentence } from '../rules/journal-line.ts';
import { nearlyFullSentence } from '../rules/space.ts';
import { arrivedAt, type Receipt } from '../rules/receipt.ts';
import {
  judgeStatus,
  whyNotTaken,
  type ComponentStatus,
  type Situation,
  type StatusVerdict,
} from '../rules/verdict.ts';
import { createJournal } from '../system/journal.ts';
import { lockHolder } from '../system/lock.ts';
import { createState } from '../system/state.ts';
import type { AgentView } from './agent.ts';
import { reportKeys } from './key-report.ts';

/** Everything that status tells, as one value that is rendered in many ways. */
export interface StatusReport {
  readonly format: 1;
  readonly verdict: StatusVerdict;
  readonly certname: string;
  readonly role: Situation['role'];
  /** NUMBER.ID */
  readonly epoch: string | undefined;
  readonly peer: string | undefined;
  readonly since: string | undefined;
  readonly agent: { readonly runs: boolean; readonly changing?: string; readonly jobs: AgentView['jobs'] };
  readonly components: readonly ComponentStatus[];
  /** Jobs that an admin keeps from running on this master. */
  readonly pauses: readonly Pause[];
  readonly holds: readonly { readonly id: string; readonly stream: string; readonly sentence: string }[];
  /** On an active: deletions of certificates that an admin announced. */
  readonly expectedDeletions?: ExpectedDeletions;
  /** A command that changes the pair, and was interrupted: a sentence with what to type. */
  readonly interrupted?: string;
  /** Sentences on file systems that have too little room soon, with what to type. */
  readonly nearlyFull: readonly string[];
  /** Sentences on keys that change. */
  readonly keys: readonly string[];
  readonly at: string;
}

export interface StatusParts {
  readonly certname: string;
  readonly paths: Paths;
  readonly spare: Spare;
  /** How a change of this master's own keys stands. */
  readonly rotation?: OwnKeys['rotation'];
  readonly pauses: PauseBook;
  readonly now: Date;
  /** The streams of this pair, with the limit of their freshness in milliseconds. */
  readonly streams: readonly { readonly name: string; readonly limitMs: number }[];
  /** Undefined: no agent answers. */
  readonly view: AgentView | undefined;
}

export async function reportStatus(parts: StatusParts): Promise<StatusReport> {
  const { spare, view, now } = parts;
  const gate = await spare.gate.read();
  const greeting = await notedGreeting(createState(parts.paths.streams));
  const role = gate?.role ?? ((await spare.epochs.read()) === undefined ? 'not installed' : 'not started');
  const active = role === 'active';
  // What was held on a spare keeps nothing waiting once it is the active.
  const holds = active ? [] : (await spare.holds.list()).filter(({ decision }) => decision === 'open');
  const pauses = await parts.pauses.standing();
  const components = await componentsOf(parts, role, gate, greeting);
  const interrupted = await interruptedProcedure(parts.paths);
  const situation: Situation = {
    role,
    roleWhy: gate?.closed ?? '',
    agentRuns: view !== undefined,
    components: active && gate?.peer === undefined ? [] : components,
    failing: failingJobs(view?.jobs ?? []),
    trouble: view?.trouble,
    spareTakesNothing: active && greeting !== undefined ? whyNotTaken(greeting.gate) : undefined,
    openHolds: holds.length,
    paused: spokenPauses(pauses),
    ...{ interrupted, nearlyFull: sentencesOf(view)[0] },
    hasSpare: gate?.peer !== undefined || components.some(({ delivered }) => delivered !== undefined),
  };
  return {
    format: 1,
    verdict: judgeStatus(situation),
    certname: parts.certname,
    role,
    epoch: gate === undefined ? undefined : formatEpoch(gate.epoch),
    ...{ peer: gate?.peer, since: gate?.since },
    agent: agentOf(view),
    ...{ components, pauses },
    holds: holds.map(({ id, stream, sentence }) => ({ id, stream, sentence })),
    ...(active ? await announced(parts) : {}),
    ...(interrupted === undefined ? {} : { interrupted }),
    nearlyFull: sentencesOf(view),
    keys: await reportKeys(parts.paths, await parts.rotation?.()),
    at: now.toISOString(),
  };
}

/** Nobody goes on with it at this moment. */
async function interruptedProcedure({ journal, locks }: Paths): Promise<string | undefined> {
  const open = await createJournal(join(journal, 'procedure.jsonl')).open();
  if (open === undefined || (await lockHolder(join(locks, 'procedure'))) !== undefined) return undefined;
  return interruptedSentence(open);
}

const agentOf = (view: AgentView | undefined): StatusReport['agent'] => ({
  runs: view !== undefined,
  jobs: view?.jobs ?? [],
  ...(view?.changing === undefined ? {} : { changing: view.changing }),
});

async function componentsOf(
  parts: StatusParts,
  role: Situation['role'],
  gate: Gate | undefined,
  greeting: GreetingNote | undefined,
): Promise<ComponentStatus[]> {
  if (role !== 'active' && role !== 'passive') return [];
  return await Promise.all(
    parts.streams.map(async (one) => {
      const component = role === 'active' ? asSender(parts, one, gate?.epoch, greeting) : asSpare(parts, one);
      return await withPause(parts, await component, gate?.peer);
    }),
  );
}

async function withPause(
  { pauses, certname, now }: StatusParts,
  component: ComponentStatus,
  peer: string | undefined,
): Promise<ComponentStatus> {
  const paused = await pauses.ofStream(component.stream, certname, peer);
  if (paused === undefined) return component;
  return { ...component, paused, ...(isExcused(paused, now) ? { excused: true } : {}) };
}

const sentencesOf = (view: AgentView | undefined): string[] => (view?.nearlyFull ?? []).map(nearlyFullSentence);

async function announced({ paths, now }: StatusParts): Promise<Pick<StatusReport, 'expectedDeletions'>> {
  const expected = await createExpectationBook(createState(paths.state)).standing(now);
  return expected === undefined ? {} : { expectedDeletions: expected };
}

/** Those that do not do their work now. */
export function failingJobs(jobs: AgentView['jobs']): Situation['failing'] {
  return jobs.flatMap(({ job, state, why, last }) => {
    const latched = state === 'latched';
    return latched || (state === 'retrying' && last?.kind === 'failed')
      ? [{ job, latched, why: last?.why ?? why }]
      : [];
  });
}

type Stream = StatusParts['streams'][number];

/** Claims only what receipts and confirms prove. */
async function asSender(
  { paths, now }: StatusParts,
  { name, limitMs }: Stream,
  epoch: Epoch | undefined,
  greeting: GreetingNote | undefined,
): Promise<ComponentStatus> {
  const found = await createState(paths.streams).read<StreamState>(name);
  const known = found !== undefined && epoch !== undefined && sameEpoch(found.epoch, epoch) ? found : undefined;
  const last = known?.last;
  return {
    stream: name,
    ...given('captured', known?.capturedAt),
    ...given('delivered', known?.publishedAt),
    ...given('staged', last?.state === 'staged' ? last.at : undefined),
    ...given('applied', last !== undefined && isApplied(last) ? last.at : undefined),
    ...freshnessOf([known?.confirmedAt, known && heardBack(known, greeting?.accepted[name])], now),
    limitSeconds: limitMs / 1000,
    state: last?.state ?? 'nothing sent yet',
    why: last?.why ?? 'waits for its first drop',
  };
}

/** When we signed the confirmation of this content that the spare's root says to have taken. */
function heardBack({ acknowledged }: StreamState, accepted: AcceptedDrop | undefined): string | undefined {
  const isOfIt =
    acknowledged !== undefined &&
    accepted?.digest === acknowledged.digest &&
    sameEpoch(accepted.epoch, acknowledged.epoch);
  return isOfIt ? accepted.confirmed : undefined;
}

async function asSpare({ paths, spare, now }: StatusParts, { name, limitMs }: Stream): Promise<ComponentStatus> {
  const receipts = await spare.book.all(name);
  const last = receipts.at(-1);
  const overdue = await overdueOf(paths.state, name);
  const confirm = await createState(paths.streams).read<TakenConfirmation>(`${name}.confirmed`);
  return {
    stream: name,
    ...given('staged', receipts.findLast(({ state }) => state === 'staged')?.at),
    ...given('applied', receipts.findLast(isApplied)?.at),
    ...freshnessOf([confirm?.greeting, arrivedAt(receipts)], now),
    limitSeconds: limitMs / 1000,
    state: last?.state ?? 'nothing arrived yet',
    why: (isTroubled(last) ? undefined : overdue) ?? last?.why ?? 'waits for the active',
    ...given('overdue', overdue),
  };
}

const isTroubled = (last: Receipt | undefined): boolean => last?.state === 'failed' || last?.state === 'refused';
const isApplied = ({ state }: Receipt): boolean => state === 'applied' || state === 'unchanged';

const given = <K extends string>(key: K, value: string | undefined): Partial<Record<K, string>> =>
  (value === undefined ? {} : { [key]: value }) as Partial<Record<K, string>>;
