import type { ErrorClass } from '../errors.ts';

/** What a pass is told to look at. Everything wins over names. */
export type Changed = ReadonlySet<string> | 'everything';

export interface Request {
  readonly cause: string;
  readonly changed: Changed;
  /** Monotonic milliseconds. */
  readonly dueAt: number;
  /** Does not wait for a back-off: a person asked for it, or what was missing is there again. */
  readonly urgent: boolean;
}

/** What one job has to do. INVARIANT: at most one pass runs; what is asked for meanwhile becomes one pass after it. */
export interface Plan {
  readonly pending?: Request;
  readonly running?: Request;
  /** Failed passes in a row, and when the next one may start. */
  readonly attempts: number;
  readonly retryAt: number;
  readonly latched: boolean;
}

export const emptyPlan: Plan = { attempts: 0, retryAt: -Infinity, latched: false };

export function ask(plan: Plan, request: Request): Plan {
  // An interval that comes round while everything is being compared anyway adds nothing.
  if (request.cause === 'every' && plan.running?.changed === 'everything') return plan;
  return { ...plan, pending: plan.pending === undefined ? request : merge(plan.pending, request) };
}

/** When the next pass may start, or undefined: nothing to do, one is running, or latched. */
export function dueAt({ pending, running, retryAt, latched }: Plan): number | undefined {
  if (pending === undefined || running !== undefined || latched) return undefined;
  return pending.urgent ? pending.dueAt : Math.max(pending.dueAt, retryAt);
}

export function begin(plan: Plan): Plan {
  const { pending, ...rest } = plan;
  return pending === undefined ? plan : { ...rest, running: pending };
}

export function succeed({ running: _done, ...plan }: Plan): Plan {
  return { ...plan, attempts: 0, retryAt: -Infinity };
}

/** A pass did not do its work: its hints are kept for the next one. */
export function retryLater({ running, ...plan }: Plan, why: ErrorClass | 'waiting', now: number): Plan {
  const pause = backOffMs(why, plan.attempts);
  if (pause === undefined) return { ...plan, latched: true };
  const retryAt = now + pause;
  const again: Request = { cause: 'retry', changed: running?.changed ?? 'everything', dueAt: retryAt, urgent: false };
  const pending = plan.pending === undefined ? again : merge(again, plan.pending);
  return { ...plan, attempts: plan.attempts + 1, retryAt, pending };
}

const second = 1000;
const backOffs: Readonly<Record<ErrorClass | 'waiting', readonly [first: number, longest: number] | undefined>> = {
  // With the limit of a login, 3 s: five seconds after a host is back, what waited for it has arrived.
  unreachable: [second, 2 * second],
  'bad-data': [second, 60 * second],
  dependency: [second, 60 * second],
  refused: [second, 60 * second],
  waiting: [second, 15 * second],
  interrupted: [second, 60 * second],
  // A person has to act; the pass is cheap, and sees that it was done.
  config: [15 * second, 300 * second],
  incomplete: [60 * second, 600 * second],
  usage: [60 * second, 600 * second],
  bug: [60 * second, 600 * second],
  latched: undefined,
};

/** The pause after `attempts` failures before this one; undefined means never again in this role. */
export function backOffMs(why: ErrorClass | 'waiting', attempts: number): number | undefined {
  const range = backOffs[why];
  return range === undefined ? undefined : Math.min(range[0] * 2 ** Math.min(attempts, 20), range[1]);
}

/** The first time after `now` on the grid of an interval: a late loop catches up with one pass, not with many. */
export function nextOnGrid(due: number, everyMs: number, now: number): number {
  return due > now ? due : due + (Math.floor((now - due) / everyMs) + 1) * everyMs;
}

export interface Firing {
  /** Wall clock, and monotonic clock, in milliseconds. */
  readonly wall: number;
  readonly monotonic: number;
  /** Monotonic distance to the firing before. */
  readonly gap?: number;
}

/**
 * A cron minute that comes again because the clock was put back, is not a new one. Undefined: do not fire. `unitMs`: of
 * the expression, a second where it has a field for seconds.
 */
export function fires(last: Firing | undefined, wall: number, monotonic: number, unitMs = 60_000): Firing | undefined {
  if (last === undefined) return { wall, monotonic };
  const elapsed = monotonic - last.monotonic;
  const sameOrEarlier = Math.floor(wall / unitMs) <= Math.floor(last.wall / unitMs);
  const tooSoon = elapsed < 0.9 * Math.min(last.gap ?? Infinity, 3_600_000);
  return sameOrEarlier && tooSoon ? undefined : { wall, monotonic, gap: elapsed };
}

// Some causes permit what others do not, such as a stop of services: they are not lost in a merge.
const strongest = ['by hand', 'promotion', 'cron'];

function merge(first: Request, second: Request): Request {
  const causes = [first.cause, second.cause];
  return {
    cause: strongest.find((cause) => causes.includes(cause)) ?? first.cause,
    changed: union(first.changed, second.changed),
    dueAt: Math.min(first.dueAt, second.dueAt),
    urgent: first.urgent || second.urgent,
  };
}

function union(a: Changed, b: Changed): Changed {
  return a === 'everything' || b === 'everything' ? 'everything' : new Set([...a, ...b]);
}
