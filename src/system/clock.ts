import { schedule, validate } from 'node-cron';
import { setTimeout as sleepFor } from 'node:timers/promises';

/** Time as a value that is handed in: wall time for display and cron, monotonic time for every interval. */
export interface Clock {
  now(): Date;
  /** Milliseconds that never jump. */
  monotonic(): number;
  /** Rejects with AbortError when the signal fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Calls back once per matching minute until the returned function is called. */
  cron(expression: string, onMinute: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => new Date(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => sleepFor(ms, undefined, { signal }),
  cron: (expression, onMinute) => {
    let task = schedule(expression, onMinute);
    let ahead = Date.now() - performance.now();
    // The next minute was reckoned by the clock as it was: set back by an hour, nothing would run for an hour.
    const look = setInterval(() => {
      const isAhead = Date.now() - performance.now();
      if (Math.abs(isAhead - ahead) < stepMs) return;
      ahead = isAhead;
      void task.destroy();
      task = schedule(expression, onMinute);
    }, lookMs);
    return () => {
      clearInterval(look);
      void task.destroy();
    };
  },
};

/** So much the wall clock may part from the monotonic one before minutes are reckoned anew. */
const stepMs = 2_000;
const lookMs = 5_000;

export const isCronExpression = (text: string): boolean => validate(text);

/** The next minute of a cron expression by the clock of this machine. */
export function nextMinute(expression: string): Date | undefined {
  const task = schedule(expression, () => undefined);
  const next = task.getNextRun();
  void task.destroy();
  return next ?? undefined;
}
