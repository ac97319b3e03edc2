import { randomBytes } from 'node:crypto';
import { Failure, toFailure } from '../errors.ts';
import type { Job, Outcome, PassContext } from '../jobs/job.ts';
import { formatEpoch } from '../rules/epoch.ts';
import { spokenDuration } from '../rules/spoken.ts';
import type { Changed } from '../rules/schedule.ts';
import type { Clock } from '../system/clock.ts';
import type { Log, LogEvent } from '../system/log.ts';

export interface PassOptions {
  readonly clock: Clock;
  readonly log: Pick<Log, 'failed' | 'event'>;
  /** Adds epoch, log, clock and fence to what the pass is told. */
  readonly contextFor: (job: Job, pass: AskedPass) => PassContext;
  /** Milliseconds for one pass. */
  readonly timeoutMs: number;
  /** Says more of a failure than who threw it could. */
  readonly explain?: (failure: Failure) => Failure;
}

/** What the scheduler says of a pass. */
export type AskedPass = Pick<PassContext, 'signal' | 'cause' | 'changed' | 'leaving'>;

export type PassResult = ({ readonly outcome: Outcome } | { readonly failure: Failure }) & {
  readonly elapsedMs: number;
};

/** One pass under its deadline, told in events. Never throws. Whoever holds the controller can end it. */
export async function runPass(
  job: Job,
  options: PassOptions,
  { cause, changed, leaving }: Pick<AskedPass, 'cause' | 'leaving'> & { readonly changed: Changed },
  controller: AbortController,
): Promise<PassResult> {
  const { clock } = options;
  const { signal } = controller;
  const startedAt = clock.monotonic();
  const ended = new AbortController();
  const deadline = endAtDeadline(job, options, controller, ended.signal);
  const run = { job: job.name, run: randomBytes(4).toString('hex') };
  const names = changed === 'everything' ? undefined : changed;
  const tell = (event: Omit<LogEvent, 'job' | 'run'>): void => options.log.event({ ...run, ...event });
  try {
    const context = options.contextFor(job, {
      ...{ signal, cause },
      ...(names && { changed: names }),
      ...(leaving && { leaving }),
    });
    const epoch = formatEpoch(context.epoch);
    tell({ event: 'start', epoch, detail: { cause, changed: names?.size ?? 'everything' } });
    const outcome = await job.run(context);
    const elapsedMs = clock.monotonic() - startedAt;
    tell({ event: 'finished', epoch, elapsed_ms: Math.round(elapsedMs), ...finished(outcome) });
    return { outcome, elapsedMs };
  } catch (thrown) {
    const failure = options.explain?.(failureOf(thrown, signal)) ?? failureOf(thrown, signal);
    const elapsedMs = clock.monotonic() - startedAt;
    const stack = failure.class === 'bug' ? { stack: stackOf(failure) } : {};
    const detail = { class: failure.class, ...stack };
    tell({ event: 'error', ok: false, elapsed_ms: Math.round(elapsedMs), why: failure.message, detail });
    return { failure, elapsedMs };
  } finally {
    ended.abort();
    await deadline;
  }
}

// A pass that does not heed its signal goes on holding its place: the FAILURE is said now, not when it ends at last.
async function endAtDeadline(job: Job, options: PassOptions, controller: AbortController, ended: AbortSignal) {
  await options.clock.sleep(options.timeoutMs, ended).catch(() => undefined);
  if (ended.aborted || controller.signal.aborted) return;
  const why = `it did not end within ${spokenDuration(options.timeoutMs)}`;
  const hint = `Raise jobs.${job.name.replaceAll('-', '_')}.timeout if it needs longer`;
  const failure = new Failure('dependency', `${job.name} was ended`, { why, hint });
  options.log.failed(job.name, failure);
  controller.abort(failure);
}

// Why the pass was ended says more than how it stumbled then.
function failureOf(thrown: unknown, signal: AbortSignal): Failure {
  if (!signal.aborted) return toFailure(thrown);
  return signal.reason instanceof Failure
    ? signal.reason
    : new Failure('interrupted', 'interrupted', { cause: thrown });
}

function finished(outcome: Outcome): Pick<LogEvent, 'ok' | 'why' | 'sequence' | 'detail'> {
  const { kind, why, detail } = outcome;
  const sequence = detail?.['sequence'];
  return {
    ok: kind !== 'waiting',
    why,
    ...(typeof sequence === 'number' && { sequence }),
    detail: { kind, ...detail },
  };
}

const stackOf = (failure: Failure): string => (failure.cause instanceof Error ? failure.cause : failure).stack ?? '';
