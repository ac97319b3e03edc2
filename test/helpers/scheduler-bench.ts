import { createScheduler, type Scheduler, type SchedulerOptions } from '../../src/agent/scheduler.ts';
import type { Job, Outcome, PassContext, Trigger } from '../../src/jobs/job.ts';
import type { Failure } from '../../src/errors.ts';
import type { LogEvent } from '../../src/system/log.ts';
import type { WatchListener } from '../../src/system/watch.ts';
import { createHandClock, type HandClock } from './hand-clock.ts';

/** A scheduler whose clock and watches a test drives by hand, and what it said. */
export interface Bench {
  readonly clock: HandClock;
  readonly scheduler: Scheduler;
  readonly session: AbortController;
  readonly watches: Map<string, WatchListener>;
  readonly said: string[];
  readonly events: LogEvent[];
}

export function createBench(jobs: readonly Job[], options: Partial<SchedulerOptions> = {}): Bench {
  const clock = createHandClock();
  const watches = new Map<string, WatchListener>();
  const said: string[] = [];
  const events: LogEvent[] = [];
  const watching = { ready: Promise.resolve(), close: async () => undefined };
  const log = {
    forJob: (job: string) => ({
      success: (text: string) => void said.push(`${job} SUCCESS ${text}`),
      warning: (text: string) => void said.push(`${job} WARNING ${text}`),
      failure: (text: string) => void said.push(`${job} FAILURE ${text}`),
    }),
    failed: (job: string, failure: Failure) => void said.push(`${job} failed ${failure.message}`),
    worked: (job: string) => void said.push(`${job} worked`),
    event: (event: LogEvent) => void events.push(event),
  };
  const scheduler = createScheduler({
    jobs,
    clock,
    log,
    watch: {
      directory: (path, listener) => {
        watches.set(path, listener);
        return watching;
      },
      tree: (paths, listener) => {
        for (const path of paths) watches.set(path, listener);
        return watching;
      },
    },
    contextFor: (job, pass) => ({
      ...pass,
      epoch: { number: 1, id: '0123456789abcdef' },
      log: log.forJob(job.name),
      clock,
      fence: async () => undefined,
    }),
    timeoutFor: () => 60_000,
    dropDirectory: (stream) => `/nonexistent/${stream}`,
    dropPollMs: 30_000,
    ...options,
  });
  return { clock, scheduler, session: new AbortController(), watches, said, events };
}

/** A job that notes each pass and ends when the test says so (or at once, by `automatic`). */
export function createRecordedJob(name: string, triggers: readonly Trigger[], extra: Partial<Job> = {}) {
  const passes: PassContext[] = [];
  const open: { resolve: (outcome: Outcome) => void; reject: (error: Error) => void }[] = [];
  const results: (Outcome | Error)[] = [];
  let atOnce = 0;
  let most = 0;
  const job: Job = {
    name,
    role: 'active',
    triggers,
    run: async (context) => {
      passes.push(context);
      atOnce += 1;
      most = Math.max(most, atOnce);
      try {
        const result = results.shift();
        if (result instanceof Error) throw result;
        return result ?? (await new Promise<Outcome>((resolve, reject) => open.push({ resolve, reject })));
      } finally {
        atOnce -= 1;
      }
    },
    ...extra,
  };
  return { job, passes, results, end: (outcome: Outcome = done) => open.shift()?.resolve(outcome), most: () => most };
}

export const done: Outcome = { kind: 'done', why: 'applied there' };
