import type { Clock } from '../../src/system/clock.ts';

/** A clock that a test turns: time passes by `advance` only, the wall clock can be put back and forth. */
export interface HandClock extends Clock {
  /** Lets monotonic and wall time pass, waking sleepers and firing cron minutes on the way, one after the other. */
  advance(ms: number): Promise<void>;
  /** Moves the wall clock alone. */
  setWall(iso: string): void;
}

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/** Lets everything run that is due without time passing. */
export const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
};

/** Cron expressions here are `M * * * *` or `* * * * *` only. */
export function createHandClock(start = '2026-11-21T00:00:00Z'): HandClock {
  let monotonic = 0;
  let offset = Date.parse(start);
  const sleepers = new Set<Sleeper>();
  const crons = new Set<{ readonly minute: string | undefined; readonly call: () => void }>();
  const step = (to: number): void => {
    const before = Math.floor((monotonic + offset) / 60_000);
    monotonic = to;
    const after = Math.floor((monotonic + offset) / 60_000);
    if (after === before) return;
    for (const { minute, call } of crons) if (minute === '*' || Number(minute) === after % 60) call();
  };
  return {
    now: () => new Date(monotonic + offset),
    monotonic: () => monotonic,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const abort = (): void => {
          sleepers.delete(sleeper);
          reject(new DOMException('aborted', 'AbortError'));
        };
        const wake = (): void => {
          sleepers.delete(sleeper);
          signal.removeEventListener('abort', abort);
          resolve();
        };
        const sleeper = { at: monotonic + ms, wake };
        sleepers.add(sleeper);
        if (signal.aborted) abort();
        else signal.addEventListener('abort', abort, { once: true });
      }),
    cron: (expression, call) => {
      const entry = { minute: expression.split(' ')[0], call };
      crons.add(entry);
      return () => void crons.delete(entry);
    },
    advance: async (ms) => {
      const end = monotonic + ms;
      await settle();
      while (monotonic < end) {
        const nextMinute = monotonic + 60_000 - ((monotonic + offset) % 60_000);
        const due = [...sleepers].map((sleeper) => sleeper.at).filter((at) => at <= end);
        step(Math.max(monotonic, Math.min(end, nextMinute, ...due)));
        for (const sleeper of sleepers) if (sleeper.at <= monotonic) sleeper.wake();
        await settle();
      }
    },
    setWall: (iso) => {
      offset = Date.parse(iso) - monotonic;
    },
  };
}
