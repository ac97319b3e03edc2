import { Failure } from '../errors.ts';
import { isForRoot } from '../drops/archive.ts';
import type { Job, Outcome, Trigger } from '../jobs/job.ts';
import { fires, type Firing } from '../rules/schedule.ts';
import { firstNames } from '../system/beneath.ts';
import type { Clock } from '../system/clock.ts';
import type { Log } from '../system/log.ts';
import type { Watching, WatchListener } from '../system/watch.ts';
import { JobRunner, type JobSnapshot, type RunnerOptions } from './job-runner.ts';

export interface SchedulerOptions extends Omit<RunnerOptions, 'timeoutMs'> {
  readonly log: Omit<Log, 'close' | 'hear'>;
  readonly jobs: readonly Job[];
  readonly watch: {
    readonly directory: (path: string, listener: WatchListener) => Watching;
    readonly tree: (paths: readonly string[], listener: WatchListener) => Watching;
  };
  /** Milliseconds for one pass of that job. */
  readonly timeoutFor: (job: string) => number;
  /** Where the published drops of a stream lie. */
  readonly dropDirectory: (stream: string) => string;
  /** How often these are looked at, whatever the watch says. */
  readonly dropPollMs: number;
}

export interface Scheduler {
  /** Resolves when the watches are on and every job has its first pass asked for. The signal ends all at once. */
  start(signal: AbortSignal): Promise<void>;
  /** One pass of the job that begins after this call. Rejects with its Failure, or "refused" for a job of the other role. */
  trigger(job: string, cause?: string): Promise<Outcome>;
  /** Asks for a pass with nothing to look at but what the spare said; nothing where that job does not run. */
  wake(job: string): void;
  snapshot(): readonly JobSnapshot[];
  /** Those of these jobs that run end at their next safe point. Resolves when they have; gives those that do not end. */
  pause(jobs: readonly string[]): Promise<readonly string[]>;
  /** Starts nothing more, lets running passes end for `limitMs`, then aborts them. Resolves when none runs any more. */
  drain(limitMs: number): Promise<void>;
}

const graceMs = 10_000;
/** How long a pass that is paused may take to its next safe point. */
const safePointMs = 30_000;

const stuckSentence = (jobs: readonly string[]): string =>
  `${jobs.join(', ')} does not end when told to: the role is left when it does. To end it now, type: systemctl restart pe-failover`;

type Releases = (() => Promise<void>)[];

/** Runs the jobs of one role session. It alone owns time, watches and retries; a job is one pass. */
export function createScheduler(options: SchedulerOptions): Scheduler {
  const runners = options.jobs.map(
    (job) => new JobRunner(job, { ...options, timeoutMs: options.timeoutFor(job.name) }),
  );
  const over = new AbortController();
  const releases: Releases = [];
  let alive: Promise<unknown> = Promise.resolve();
  const release = async (): Promise<void> => {
    over.abort();
    await Promise.all(releases.splice(0).map((end) => end()));
  };
  return {
    start: async (signal) => {
      await Promise.all(runners.flatMap((runner) => armAll(runner, options, over.signal, releases)));
      signal.addEventListener('abort', () => void release(), { once: true });
      if (signal.aborted) await release();
      alive = Promise.all(runners.map((runner) => runner.run(signal)));
    },
    trigger: async (name, cause = 'by hand') => {
      const runner = runners.find(({ job }) => job.name === name);
      if (runner !== undefined) return runner.trigger(cause);
      const why = `this role runs ${runners.map(({ job }) => job.name).join(', ')}`;
      throw new Failure('refused', `${name} does not run here`, { why });
    },
    wake: (name) => runners.find(({ job }) => job.name === name)?.request('word', new Set()),
    snapshot: () => runners.map((runner) => runner.snapshot()),
    pause: (jobs) => endPasses(runners, jobs, options.clock),
    drain: async (limitMs) => {
      for (const runner of runners) runner.stop();
      await release();
      await within(limitMs, alive, options.clock);
      const why = 'the role session ends';
      for (const runner of runners) runner.abortPass(new Failure('interrupted', 'interrupted', { why }));
      await within(graceMs, alive, options.clock);
      sayStuck(stillRunning(runners), options);
      // However long it takes: a pass of the old role beside the new role would be worse than a late role.
      await alive;
    },
  };
}

function sayStuck(jobs: readonly string[], { log }: SchedulerOptions): void {
  if (jobs.length > 0) log.forJob('agent').failure(stuckSentence(jobs));
}

async function endPasses(all: readonly JobRunner[], jobs: readonly string[], clock: Clock): Promise<readonly string[]> {
  const runners = all.filter(({ job }) => jobs.includes(job.name));
  const reason = new Failure('interrupted', 'interrupted', { why: 'an admin paused it' });
  const limit = (pass: Promise<unknown>): Promise<unknown> => within(safePointMs, pass, clock);
  await Promise.all(runners.map((runner) => runner.endPass(limit, reason)));
  return stillRunning(runners);
}

const stillRunning = (runners: readonly JobRunner[]): string[] =>
  runners.filter((runner) => runner.snapshot().state === 'running').map(({ job }) => job.name);

function within(ms: number, work: Promise<unknown>, clock: Clock): Promise<unknown> {
  const limit = new AbortController();
  const late = clock.sleep(ms, limit.signal).catch(() => undefined);
  return Promise.race([work, late]).finally(() => limit.abort());
}

// The first pass is asked for when the watches are on: what changes in between is told by them.
async function armAll(
  runner: JobRunner,
  options: SchedulerOptions,
  signal: AbortSignal,
  releases: Releases,
): Promise<void> {
  const { triggers } = runner.job;
  await Promise.all(triggers.map((trigger) => arm(runner, trigger, options, signal, releases)));
  if (triggers.some((trigger) => trigger.kind === 'start')) runner.request('start', 'everything');
}

/** Connects one trigger to its job. Resolves when it is on. */
async function arm(
  runner: JobRunner,
  trigger: Trigger,
  options: SchedulerOptions,
  signal: AbortSignal,
  releases: Releases,
): Promise<void> {
  switch (trigger.kind) {
    case 'start':
    case 'every': // kept by the runner
      return;
    case 'cron':
      releases.push(armCron(runner, trigger.expression, options));
      return;
    case 'watch':
      await armWatch(runner, trigger, options, releases);
      return;
    case 'drop':
      await Promise.all(trigger.streams.map((stream) => armDrop(runner, stream, options, signal, releases)));
  }
}

function armCron(runner: JobRunner, expression: string, { clock }: SchedulerOptions): () => Promise<void> {
  let last: Firing | undefined;
  const unitMs = expression.trim().split(/\s+/).length > 5 ? 1_000 : 60_000;
  const stop = clock.cron(expression, () => {
    const firing = fires(last, clock.now().getTime(), clock.monotonic(), unitMs);
    if (firing === undefined) return;
    last = firing;
    runner.request('cron', 'everything');
  });
  return async () => stop();
}

/** What is replaced by a rename is not there for a moment: no reason to complain. */
const goneMs = 1000;

async function armWatch(
  runner: JobRunner,
  trigger: Extract<Trigger, { kind: 'watch' }>,
  { watch, log }: SchedulerOptions,
  releases: Releases,
): Promise<void> {
  const settleMs = runner.job.settleMs ?? 0;
  const listener: WatchListener = {
    changed: (names) => runner.request('watch', names, settleMs),
    lost: (_why, what) => {
      if (what === 'gone') runner.request('watch', 'everything', Math.max(settleMs, goneMs));
      else runner.request(what === 'anew' ? 'replaced' : 'watch', 'everything', settleMs);
    },
    failed: (failure) => log.forJob(runner.job.name).failure(failure.message),
  };
  const watching = trigger.deep
    ? [watch.tree(trigger.paths, listener)]
    : trigger.paths.map((path) => watch.directory(path, listener));
  releases.push(...watching.map((each) => () => each.close()));
  await Promise.all(watching.map((each) => each.ready));
}

// Root takes drops and confirmations out of the directory: only a directory with one in it asks for a pass.
async function armDrop(
  runner: JobRunner,
  stream: string,
  { watch, log, clock, dropDirectory, dropPollMs }: SchedulerOptions,
  signal: AbortSignal,
  releases: Releases,
): Promise<void> {
  const directory = dropDirectory(stream);
  const look = async (): Promise<void> => {
    const names = await firstNames(directory).catch(() => []);
    if (names.some(isForRoot) && !signal.aborted) runner.request('drop', 'everything');
  };
  const hint = (): void => void look();
  const failed = (failure: Failure): void => log.forJob(runner.job.name).failure(failure.message);
  const watching = watch.directory(directory, { changed: hint, lost: hint, failed });
  const poll = async (): Promise<void> => {
    while (!signal.aborted) {
      await look();
      await clock.sleep(dropPollMs, signal).catch(() => undefined);
    }
  };
  const polling = poll();
  releases.push(
    () => watching.close(),
    () => polling,
  );
  await watching.ready;
}
