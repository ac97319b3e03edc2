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
    const task = schedule(expression, onMinute);
    return () => void task.destroy();
  },
};

export const isCronExpression = (text: string): boolean => validate(text);
