import { Failure, toFailure } from '../errors.ts';
import type { Epoch } from '../rules/epoch.ts';
import type { Outcome } from '../jobs/job.ts';
import type { NearlyFull } from '../rules/space.ts';
import { sameRole } from '../rules/role.ts';
import type { Clock } from '../system/clock.ts';
import { followRole, type FactOptions, type JudgedFact } from '../system/fact.ts';
import type { JobLog } from '../system/log.ts';
import { watchDirectory } from '../system/watch.ts';
import type { JobSnapshot } from './job-runner.ts';
import { openRoleSession, type RoleSession, type RoleWork, type SessionParts } from './role-session.ts';
import { enterRole, type Entered, type TransitionParts } from './transition.ts';

export interface AgentParts {
  readonly clock: Clock;
  readonly log: JobLog;
  readonly fact: Pick<FactOptions, 'path' | 'keep'>;
  readonly session: SessionParts;
  readonly transitions: Omit<TransitionParts, 'leave' | 'applyPending'>;
  /** A role is entered. */
  readonly entered: (role: 'active' | 'passive') => Promise<void>;
  /** A change of roles begins, goes on or ends. */
  readonly changed: () => void;
  /** Between two sessions, when nothing of the old one runs any more. */
  readonly between: () => Promise<void>;
  /** The jobs of a role, made for one epoch. */
  readonly workOf: (role: 'active' | 'passive', epoch: Epoch, fact: JudgedFact) => Promise<RoleWork>;
}

export interface AgentView {
  readonly entered: Entered | undefined;
  /** What a transition waits for, while one goes on. */
  readonly changing: string | undefined;
  /** Why the role could not be entered; tried again every few seconds. */
  readonly trouble: string | undefined;
  readonly jobs: readonly JobSnapshot[];
  /** File systems that have too little room soon. */
  readonly nearlyFull?: readonly NearlyFull[];
}

export interface Agent {
  /** Lives until the signal fires; then the session ends at its next safe points. */
  run(signal: AbortSignal): Promise<void>;
  view(): AgentView;
  trigger(job: string, cause?: string): Promise<Outcome>;
  /** Those of these jobs that run end at their next safe point; gives those that do not end. */
  pause(jobs: readonly string[]): Promise<readonly string[]>;
  /** Judges the fact anew, as if it had been edited. */
  reload(): void;
}

/** How long running work may take to its next safe point before it is aborted. */
const drainMs = 30_000;
const retryMs = 5_000;

/** What the agent is in the middle of. */
interface Life {
  session: RoleSession | undefined;
  /** Of the role that is being left: its passes go on to their next safe point. */
  ending: RoleSession | undefined;
  entered: Entered | undefined;
  changing: string | undefined;
  trouble: string | undefined;
  fact: JudgedFact | undefined;
  /** Fires when the fact that is being entered is overtaken by a newer one, or the agent ends. */
  overtaken: AbortController;
}

export function createAgent(parts: AgentParts): Agent {
  const life: Life = {
    ...{ session: undefined, ending: undefined, entered: undefined, changing: undefined, trouble: undefined },
    ...{ fact: undefined, overtaken: new AbortController() },
  };
  const facts = latestOnly<JudgedFact>();
  let newest: JudgedFact | undefined;
  const judged = (fact: JudgedFact): void => {
    newest = fact;
    facts.offer(fact);
    life.overtaken.abort();
  };
  return {
    reload: () => {
      life.fact = undefined;
      if (newest !== undefined) facts.offer(newest);
    },
    run: async (signal) => {
      const options = { ...parts.fact, clock: parts.clock, watch: watchDirectory, onRole: judged };
      const following = followRole(options, signal);
      signal.addEventListener('abort', facts.end, { once: true });
      if (signal.aborted) facts.end(); // told to end while it was still starting
      for await (const fact of facts) await untilEntered(parts, life, fact, facts.hasNewer, signal);
      await leave(life);
      await following;
    },
    view: () => {
      const { entered, changing, trouble, session, ending } = life;
      return { entered, changing, trouble, jobs: (session ?? ending)?.snapshot() ?? [] };
    },
    pause: async (jobs) => (await life.session?.pause(jobs)) ?? [],
    trigger: async (job, cause) => {
      if (life.session !== undefined) return await life.session.trigger(job, cause);
      const why = life.changing ?? life.entered?.why ?? 'the role is not settled yet';
      throw new Failure('refused', 'no job runs now', { why });
    },
  };
}

async function enter(parts: AgentParts, life: Life, fact: JudgedFact): Promise<void> {
  if (life.session !== undefined && life.fact !== undefined && sameRole(life.fact.role, fact.role)) {
    return await acknowledgeEdit(parts, life, fact);
  }
  life.changing = `the fact says ${fact.role.role}: the old role ends first`;
  parts.changed();
  const transitions: TransitionParts = {
    ...parts.transitions,
    progress: (point) => {
      life.changing = `the fact says ${fact.role.role}: ${point}`;
      parts.changed();
      parts.transitions.progress?.(point);
    },
    leave: async () => {
      await leave(life);
      await parts.between();
    },
    applyPending: (epoch) => applyPending(parts, life, epoch, fact),
  };
  life.entered = await enterRole(transitions, fact);
  if (life.entered.role !== 'suspended') {
    await parts.entered(life.entered.role); // before the jobs: what they lack must not keep an address from its new place
    warnWithoutSpare(parts, life.entered.role, fact);
    life.session = openRoleSession(parts.session, await parts.workOf(life.entered.role, life.entered.epoch, fact));
    await life.session.start();
  }
  [life.changing, life.fact] = [undefined, fact];
  parts.changed();
}

/** The text changed, but nothing in it that we act upon: the gate opens again, and the session goes on. */
async function acknowledgeEdit({ transitions, changed }: AgentParts, life: Life, fact: JudgedFact): Promise<void> {
  await transitions.gate.update(() => ({ fact: fact.sha256 }));
  changed();
  life.fact = fact;
}

async function leave(life: Life): Promise<void> {
  life.ending = life.session;
  life.session = undefined;
  await life.ending?.end(drainMs);
  life.ending = undefined;
}

/** The last work of a spare before it is promoted: what was verified goes live. Ends when the fact is overtaken. */
async function applyPending(parts: AgentParts, life: Life, epoch: Epoch, fact: JudgedFact): Promise<void> {
  const work = await parts.workOf('passive', epoch, fact);
  const jobs = work.jobs.map((job) => ({ ...job, triggers: [] }));
  const { paused: _none, ...session } = parts.session; // what was paused goes live, too: nobody brings it again
  const last = openRoleSession(session, { ...work, jobs });
  await last.start();
  const { signal } = life.overtaken;
  const end = (): void => void last.end(drainMs);
  if (signal.aborted) end();
  signal.addEventListener('abort', end, { once: true });
  life.ending = last;
  for (const { name } of jobs) {
    if (signal.aborted) break;
    life.changing = `applies what is pending: ${name}`;
    await applyOne(parts, last, name);
  }
  signal.removeEventListener('abort', end);
  await last.end(drainMs);
  life.ending = undefined;
  if (!signal.aborted) return;
  throw new Failure('interrupted', 'the promotion is put off', { why: 'the fact was edited, or the agent ends' });
}

async function applyOne({ log }: AgentParts, last: RoleSession, job: string): Promise<void> {
  try {
    const { kind, why } = await last.trigger(job, 'promotion');
    if (kind === 'waiting' || kind === 'held') log.warning(`Before the promotion, ${job} is ${kind}: ${why}`);
  } catch (error) {
    const failure = toFailure(error);
    if (failure.class !== 'interrupted') log.failure(`Before the promotion: ${failure.message}`);
  }
}

function warnWithoutSpare({ log }: AgentParts, role: 'active' | 'passive', { role: fact }: JudgedFact): void {
  if (role !== 'active' || fact.role !== 'active' || fact.passiveMaster !== undefined) return;
  log.warning('Active without a passive master: waits until pe_failover_passive_master is set in the fact');
}

/** A transition that fails half-way is repeated, with the gate closed meanwhile. A newer fact takes its place. */
async function untilEntered(
  parts: AgentParts,
  life: Life,
  fact: JudgedFact,
  hasNewer: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  const { log } = parts.session;
  const end = (): void => life.overtaken.abort();
  signal.addEventListener('abort', end, { once: true });
  while (!signal.aborted && !hasNewer()) {
    life.overtaken = new AbortController();
    try {
      await enter(parts, life, fact);
      life.trouble = undefined;
      log.worked('agent');
      break;
    } catch (error) {
      const failure = parts.session.explain(toFailure(error));
      life.trouble = `the role ${fact.role.role} could not be entered: ${failure.message}`;
      if (failure.class === 'interrupted') parts.log.warning(failure.message);
      else log.failed('agent', new Failure(failure.class, life.trouble, { cause: failure }));
      await parts.transitions.gate.update(() => ({ closed: life.trouble ?? '' })).catch(() => undefined);
    }
    if (!hasNewer()) await parts.clock.sleep(retryMs, life.overtaken.signal).catch(() => undefined);
  }
  signal.removeEventListener('abort', end);
}

/** A queue of one: what was not taken yet is overtaken by what is offered. */
function latestOnly<T>() {
  let waiting: { readonly value: T } | undefined;
  let ended = false;
  let wake: () => void = () => undefined;
  return {
    offer: (value: T): void => {
      waiting = { value };
      wake();
    },
    end: (): void => {
      ended = true;
      wake();
    },
    hasNewer: (): boolean => waiting !== undefined,
    async *[Symbol.asyncIterator](): AsyncGenerator<T> {
      while (!ended) {
        if (waiting === undefined) await new Promise<void>((resolve) => (wake = resolve));
        const next = waiting as { readonly value: T } | undefined;
        waiting = undefined;
        if (next !== undefined && !ended) yield next.value;
      }
    },
  };
}
export type { Outcome } from '../jobs/job.ts';
