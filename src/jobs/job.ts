import type { Epoch } from '../rules/epoch.ts';
import type { Leaving } from '../rules/leaving.ts';
import type { Clock } from '../system/clock.ts';
import type { JobLog } from '../system/log.ts';

/** When a job runs, as data: the scheduler alone owns time, watchers and retries. Times are in milliseconds. */
export type Trigger =
  | { readonly kind: 'start' }
  /** The named directories; with `deep`, files and whole trees. Only hints: every watched job has an interval too. */
  | { readonly kind: 'watch'; readonly paths: readonly string[]; readonly deep?: boolean }
  | { readonly kind: 'every'; readonly ms: number }
  | { readonly kind: 'cron'; readonly expression: string }
  | { readonly kind: 'drop'; readonly streams: readonly string[] };

export type Outcome =
  | { readonly kind: 'done' | 'unchanged'; readonly why: string; readonly detail?: Readonly<Record<string, unknown>> }
  | { readonly kind: 'waiting' | 'held'; readonly why: string; readonly detail?: Readonly<Record<string, unknown>> };

export interface PassContext extends Leaving {
  readonly epoch: Epoch;
  readonly log: JobLog;
  readonly clock: Clock;
  /** Throws when role or epoch are no longer those of the session. Call it right before an irreversible step. */
  readonly fence: () => Promise<void>;
  /** Why this pass runs: "start", "watch", "every", "cron", "drop", "word", "retry" or "by hand". */
  readonly cause: string;
  /** Asks for a pass of another job, where it runs here: the spare has said something new on its stream. */
  readonly wake?: (job: string) => void;
  /** Tells what the pass is at: for status, and for the watchdog. */
  readonly progress?: (point: string) => void;
  /** Names hinted by the watcher since the last pass; undefined means: compare everything. */
  readonly changed?: ReadonlySet<string>;
}

/** One thing that is kept in sync. `run` is one idempotent pass; it throws a Failure when it could not do its work. */
export interface Job {
  readonly name: string;
  readonly role: 'active' | 'passive';
  readonly triggers: readonly Trigger[];
  /** Lets a burst gather before a pass, in milliseconds. */
  readonly settleMs?: number;
  run(context: PassContext): Promise<Outcome>;
}
