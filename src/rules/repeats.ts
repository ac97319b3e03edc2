import type { ErrorClass } from '../errors.ts';
import { counted, spokenDuration } from './spoken.ts';

/** What is known of a failure when it is told: its class, its cause in words, and what it is about. */
export interface Told {
  readonly class: ErrorClass;
  readonly cause: string;
  readonly where?: string | undefined;
}

/** One cause within a trouble: how often it came since it was last said. */
interface Cause {
  readonly key: string;
  readonly saidAt: number;
  readonly unsaid: number;
}

/** The trouble of one job, from its first failure until it works again. Times are monotonic milliseconds. */
export interface Trouble {
  readonly since: number;
  readonly failures: number;
  readonly causes: readonly Cause[];
}

export const repeatEveryMs = 6 * 3_600_000;
const maxCauses = 20;

/** Counts a failure. `say` is the ending of the line to log now (may be empty), or undefined for silence. */
export function failed(
  before: Trouble | undefined,
  told: Told,
  now: number,
): { readonly trouble: Trouble; readonly say: string | undefined } {
  const key = keyOf(told);
  const known = before?.causes.find((cause) => cause.key === key);
  const others = (before?.causes ?? []).filter((cause) => cause !== known);
  const due = known === undefined || now - known.saidAt >= repeatEveryMs;
  const cause = due ? { key, saidAt: now, unsaid: 0 } : { ...known, unsaid: known.unsaid + 1 };
  const trouble = {
    since: before?.since ?? now,
    failures: (before?.failures ?? 0) + 1,
    causes: [...others, cause].slice(-maxCauses),
  };
  if (!due) return { trouble, say: undefined };
  return { trouble, say: known === undefined ? '' : ` (${known.unsaid + 1} times since it was last said)` };
}

/** The line to log when the job works again, or undefined when it was not in trouble. */
export function recovered(before: Trouble | undefined, now: number): string | undefined {
  if (before === undefined) return undefined;
  return `works again after ${spokenDuration(now - before.since)} and ${counted(before.failures, 'failure')}`;
}

// A host that is gone shows itself in many ways: a push broke off, no answer came, a login timed out. That is one cause. So is a
// file system that is full, or has too little room for what is to come.
// Pids, sequences, times and sizes differ each time and are no new cause; short numbers (exit codes) are.
function keyOf(told: Told): string {
  if (told.class === 'unreachable' && told.where !== undefined) return `unreachable ${told.where.replace(/:\d+$/, '')}`;
  if (told.where !== undefined && /^(disk is full|too little space)/.test(told.cause)) return `no space ${told.where}`;
  return `${told.class} ${told.cause.replace(/\d+(\.\d+)? ?(m?s|[kMGT]?B)\b|\d{4,}/g, '#')}`;
}
