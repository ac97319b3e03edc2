import { setTimeout as sleep } from 'node:timers/promises';

export interface Patience {
  readonly limitMs: number;
  readonly everyMs?: number;
  readonly signal: AbortSignal;
}

/** Looks until nothing is amiss any more, and gives the milliseconds that took. At the limit, throws what it saw last. */
export async function until(problem: () => Promise<string | undefined>, patience: Patience): Promise<number> {
  const { limitMs, everyMs = 100, signal } = patience;
  const start = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const seen = await problem().catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    const passed = performance.now() - start;
    if (seen === undefined) return passed;
    if (passed >= limitMs) throw new Error(`after ${Math.round(passed / 1000)} s: ${seen}`);
    await sleep(everyMs, undefined, { signal });
  }
}
