import { Failure } from '../errors.ts';
import type { Job, Outcome, PassContext } from '../jobs/job.ts';
import { formatEpoch, type Epoch } from '../rules/epoch.ts';
import type { Clock } from '../system/clock.ts';
import { passDescriptors } from '../system/exec.ts';
import { acquireLock } from '../system/lock.ts';
import type { Log } from '../system/log.ts';
import { watchDirectory, watchTree } from '../system/watch.ts';
import { createScheduler, type Scheduler } from './scheduler.ts';

/** What a role is entered with: its jobs, made for one epoch, and what ends with them. */
export interface RoleWork {
  readonly role: 'active' | 'passive';
  readonly epoch: Epoch;
  readonly jobs: readonly Job[];
  readonly fence: () => Promise<void>;
  /** Ends connections and databases when the role is left. */
  close(): Promise<void>;
}

export interface SessionParts {
  readonly clock: Clock;
  readonly log: Log;
  /** Lock file of a job. */
  readonly lockOf: (job: string) => string;
  readonly timeoutFor: (job: string) => number;
  readonly dropDirectory: (stream: string) => string;
  /** Says more of a failure than who threw it could. */
  readonly explain: (failure: Failure) => Failure;
  /** Why an admin keeps that job from running now. */
  readonly paused?: (job: string) => Promise<string | undefined>;
  /** Every sign of life of a pass: what feeds the watchdog. */
  readonly alive?: () => void;
}

/** A role is a scope: everything done in it runs under its signal, and ends with it. */
export interface RoleSession extends Pick<Scheduler, 'trigger' | 'snapshot' | 'pause'> {
  readonly role: 'active' | 'passive';
  readonly epoch: Epoch;
  start(): Promise<void>;
  /** Nothing new begins; running passes end within the limit at their next safe point, or are aborted. */
  end(limitMs: number): Promise<void>;
}

export function openRoleSession(parts: SessionParts, work: RoleWork): RoleSession {
  const over = new AbortController();
  const leaving = new AbortController();
  const jobs = work.jobs.map((job) => underLock(parts, job));
  const scheduler = createScheduler({
    jobs,
    clock: parts.clock,
    log: parts.log,
    watch: { directory: watchDirectory, tree: watchTree },
    contextFor: (job, pass) => ({
      ...passContext(parts, work, job, pass),
      leaving: pass.leaving === undefined ? leaving.signal : AbortSignal.any([leaving.signal, pass.leaving]),
      wake: (name) => scheduler.wake(name),
    }),
    timeoutFor: parts.timeoutFor,
    explain: parts.explain,
    ...(parts.paused === undefined ? {} : { paused: parts.paused }),
    dropDirectory: parts.dropDirectory,
    dropPollMs: 5_000,
  });
  let ended: Promise<void> | undefined;
  const end = async (limitMs: number): Promise<void> => {
    leaving.abort();
    await scheduler.drain(limitMs);
    over.abort();
    await work.close();
  };
  return {
    role: work.role,
    epoch: work.epoch,
    trigger: scheduler.trigger,
    snapshot: scheduler.snapshot,
    pause: scheduler.pause,
    start: () => scheduler.start(over.signal),
    end: (limitMs) => (ended ??= end(limitMs)),
  };
}

/** The same pass by hand, without an agent: under the same lock, fence and log. */
export async function runOnce(
  parts: SessionParts,
  work: RoleWork,
  job: Job,
  signal: AbortSignal,
  cause = 'by hand',
): Promise<Outcome> {
  const why = await parts.paused?.(job.name);
  if (why !== undefined)
    throw new Failure('refused', `${job.name} does not run`, { why, hint: `Type: pe-failover resume ${job.name}` });
  return await underLock(parts, job).run(passContext(parts, work, job, { signal, cause }));
}

function passContext(
  parts: SessionParts,
  work: RoleWork,
  job: Job,
  pass: Pick<PassContext, 'signal' | 'cause' | 'changed'>,
): PassContext {
  return {
    ...pass,
    epoch: work.epoch,
    log: parts.log.forJob(job.name),
    clock: parts.clock,
    fence: work.fence,
    progress: () => parts.alive?.(),
  };
}

/** One pass of a job at a time on this machine, whoever starts it. Children hold the lock too, and may outlive us. */
function underLock({ lockOf }: SessionParts, job: Job): Job {
  return {
    ...job,
    run: async (context) => {
      await using lock = await acquireLock(lockOf(job.name), `${job.name}, epoch ${formatEpoch(context.epoch)}`);
      return await passDescriptors.run([lock.descriptor], () => job.run(context));
    },
  };
}
