import { Failure, toFailure, type ErrorClass } from '../errors.ts';
import type { Job, Outcome, Trigger } from '../jobs/job.ts';
import { spokenDuration } from '../rules/spoken.ts';
import {
  ask,
  begin,
  dueAt,
  emptyPlan,
  nextOnGrid,
  retryLater,
  succeed,
  type Changed,
  type Plan,
} from '../rules/schedule.ts';
import type { Log } from '../system/log.ts';
import { runPass, type PassOptions } from './pass.ts';

export interface RunnerOptions extends PassOptions {
  readonly log: Pick<Log, 'failed' | 'worked' | 'event'>;
  /** Why an admin keeps that job from running now; undefined: nobody does. */
  readonly paused?: (job: string) => Promise<string | undefined>;
}

export interface LastPass {
  readonly kind: Outcome['kind'] | 'failed';
  readonly why: string;
  readonly class?: ErrorClass;
  /** ISO 8601. */
  readonly at: string;
  readonly elapsedMs: number;
}

export interface JobSnapshot {
  readonly job: string;
  readonly state: 'running' | 'retrying' | 'latched' | 'paused' | 'idle';
  /** Always a sentence: what it does, or why it does nothing. */
  readonly why: string;
  readonly last?: LastPass;
  /** How long the running pass has taken. */
  readonly runningMs?: number;
  /** Of retries, intervals and what is due; undefined where only an event or a cron minute starts it. */
  readonly nextInMs?: number;
}

interface RunningPass {
  readonly controller: AbortController;
  /** Tells it to end at its next safe point. */
  readonly leaving: AbortController;
  readonly since: number;
  readonly cause: string;
  readonly ended: Promise<unknown>;
}

interface Waiter {
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (failure: Failure) => void;
}

/** A person waits for it, or what was missing is there again: whatever failed before, now is the time. */
const urgentCauses: ReadonlySet<string> = new Set(['by hand', 'replaced']);
const longestSleepMs = 3_600_000;

/** The life of one job in a role session: one pass at a time, retries, a deadline. It owns the job's plan. */
export class JobRunner {
  readonly job: Job;
  readonly #options: RunnerOptions;
  readonly #every: { readonly ms: number; due: number }[];
  readonly #waiters: Waiter[] = [];
  #plan: Plan = emptyPlan;
  #last: LastPass | undefined;
  #pass: RunningPass | undefined;
  #paused: string | undefined;
  #wake: () => void = () => undefined;
  #stopping = false;

  constructor(job: Job, options: RunnerOptions) {
    this.job = job;
    this.#options = options;
    const now = options.clock.monotonic();
    this.#every = job.triggers.flatMap((trigger) =>
      trigger.kind === 'every' ? [{ ms: trigger.ms, due: now + trigger.ms }] : [],
    );
  }

  request(cause: string, changed: Changed, settleMs = 0): void {
    const due = this.#options.clock.monotonic() + settleMs;
    this.#plan = ask(this.#plan, { cause, changed, dueAt: due, urgent: urgentCauses.has(cause) });
    this.#wake();
  }

  /** One pass that begins after this call; rejects with its Failure. */
  trigger(cause: string): Promise<Outcome> {
    if (this.#plan.latched) return Promise.reject(this.#refusal('latched'));
    if (this.#stopping) return Promise.reject(this.#refusal('interrupted'));
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.request(cause, 'everything');
    });
  }

  /** Lives until the signal fires or `stop` is called, and the running pass has ended. */
  async run(signal: AbortSignal): Promise<void> {
    const onAbort = (): void => {
      this.stop();
      this.abortPass(signal.reason);
    };
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    while (!this.#stopping) {
      const now = this.#options.clock.monotonic();
      this.#tick(now);
      const due = dueAt(this.#plan);
      if (due !== undefined && due <= now) await this.#runUnlessPaused();
      else await this.#sleep(this.#nextAt());
    }
    signal.removeEventListener('abort', onAbort);
    for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#refusal('interrupted'));
  }

  stop(): void {
    this.#stopping = true;
    this.#wake();
  }

  abortPass(reason: unknown): void {
    this.#pass?.controller.abort(reason);
  }

  /** The running pass ends at its next safe point; what is not there in time is aborted. Resolves when none runs. */
  async endPass(limit: (pass: Promise<unknown>) => Promise<unknown>, reason: Failure): Promise<void> {
    const pass = this.#pass;
    if (pass === undefined) return;
    pass.leaving.abort();
    await limit(pass.ended);
    if (this.#pass === pass) pass.controller.abort(reason);
    await limit(pass.ended);
  }

  snapshot(): JobSnapshot {
    const now = this.#options.clock.monotonic();
    const next = this.#nextAt();
    const nextInMs = next === undefined ? undefined : Math.max(0, next - now);
    const runningMs = this.#pass === undefined ? undefined : Math.round(now - this.#pass.since);
    const told = {
      ...(this.#last && { last: this.#last }),
      ...(runningMs !== undefined && { runningMs }),
      ...(nextInMs !== undefined && { nextInMs }),
    };
    return { job: this.job.name, ...this.#describe(now, nextInMs), ...told };
  }

  #tick(now: number): void {
    for (const timer of this.#every) {
      if (timer.due > now) continue;
      timer.due = nextOnGrid(timer.due, timer.ms, now);
      this.request('every', 'everything');
    }
  }

  #nextAt(): number | undefined {
    if (this.#plan.latched) return undefined;
    const due = dueAt(this.#plan);
    const times = [...this.#every.map((timer) => timer.due), ...(due === undefined ? [] : [due])];
    return times.length === 0 ? undefined : Math.min(...times);
  }

  async #sleep(until: number | undefined): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    const ms = until === undefined ? longestSleepMs : until - this.#options.clock.monotonic();
    await this.#options.clock.sleep(Math.min(Math.max(ms, 0), longestSleepMs), woken.signal).catch(() => undefined);
  }

  /** A pass that is kept from running stays asked for, but not with what its cause would permit. */
  async #runUnlessPaused(): Promise<void> {
    const { clock } = this.#options;
    const why = await this.#whyPaused();
    if (this.#stopping) return;
    this.#paused = why;
    if (why === undefined) return await this.#runPass();
    this.#plan = retryLater(begin(this.#plan), 'waiting', clock.monotonic());
    const hint = `Type: pe-failover resume ${this.job.name}`;
    for (const waiter of this.#waiters.splice(0))
      waiter.reject(new Failure('refused', `${this.job.name} does not run`, { why, hint }));
  }

  /** Where it cannot be told, nobody knows what an admin wants: nothing runs, loudly. */
  async #whyPaused(): Promise<string | undefined> {
    try {
      return await this.#options.paused?.(this.job.name);
    } catch (error) {
      const failure = toFailure(error);
      this.#options.log.failed(this.job.name, failure);
      return failure.message;
    }
  }

  async #runPass(): Promise<void> {
    const { clock, log } = this.#options;
    const waiters = this.#waiters.splice(0);
    this.#plan = begin(this.#plan);
    const { cause, changed } = this.#plan.running ?? { cause: 'start', changed: 'everything' };
    const controller = new AbortController();
    const leaving = new AbortController();
    const asked = { cause, changed, leaving: leaving.signal };
    const ended = runPass(this.job, this.#options, asked, controller);
    this.#pass = { controller, leaving, since: clock.monotonic(), cause, ended };
    const { elapsedMs, ...result } = await ended;
    this.#pass = undefined;
    const told = { at: clock.now().toISOString(), elapsedMs };
    if ('outcome' in result) {
      const { kind, why } = result.outcome;
      this.#last = { kind, why, ...told };
      this.#plan = kind === 'waiting' ? retryLater(this.#plan, 'waiting', clock.monotonic()) : succeed(this.#plan);
      if (kind !== 'waiting') log.worked(this.job.name);
      for (const waiter of waiters) waiter.resolve(result.outcome);
      return;
    }
    const { failure } = result;
    this.#last = { kind: 'failed', why: failure.message, class: failure.class, ...told };
    this.#plan = retryLater(this.#plan, failure.class, clock.monotonic());
    if (failure.class !== 'interrupted') log.failed(this.job.name, failure);
    for (const waiter of waiters) waiter.reject(failure);
    if (this.#plan.latched) for (const waiter of this.#waiters.splice(0)) waiter.reject(failure);
  }

  #refusal(errorClass: 'latched' | 'interrupted'): Failure {
    const why = errorClass === 'latched' ? (this.#last?.why ?? '') : 'the role session ends';
    return new Failure(errorClass, `${this.job.name} does not run`, { why });
  }

  #describe(now: number, nextInMs: number | undefined): Pick<JobSnapshot, 'state' | 'why'> {
    const last = this.#last?.why ?? '';
    if (this.#pass !== undefined) {
      const late = this.#pass.controller.signal.aborted ? ', told to end' : '';
      return {
        state: 'running',
        why: `runs for ${spokenDuration(now - this.#pass.since)} (${this.#pass.cause})${late}`,
      };
    }
    if (this.#plan.latched) return { state: 'latched', why: last };
    if (this.#paused !== undefined) return { state: 'paused', why: this.#paused };
    const next = nextInMs === undefined ? '' : `, next in ${spokenDuration(nextInMs)}`;
    if (this.#plan.attempts > 0) return { state: 'retrying', why: `${last}${next}` };
    return { state: 'idle', why: `waits for ${this.job.triggers.map(spokenTrigger).join(', ') || 'nothing'}${next}` };
  }
}

function spokenTrigger(trigger: Trigger): string {
  switch (trigger.kind) {
    case 'start':
      return 'a start';
    case 'watch':
      return 'a change';
    case 'every':
      return `its interval of ${spokenDuration(trigger.ms)}`;
    case 'cron':
      return `cron "${trigger.expression}"`;
    case 'drop':
      return `a drop of ${trigger.streams.join(' or ')}`;
  }
}
