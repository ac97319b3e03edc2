import { until } from './until.ts';
import type { Problem } from './compare-ca.ts';
import type { Kind, Ledger } from './ledger.ts';
import type { World } from './world.ts';

/** As `--json` prints it. */
export interface CheckResult {
  readonly name: string;
  readonly ok: boolean;
  readonly seconds: number;
  /** What was seen: numbers when it is well, what was there instead when it is not. */
  readonly detail: string;
}

export interface Stage {
  readonly world: World;
  readonly ledger: Ledger;
  readonly signal: AbortSignal;
  readonly report: (result: CheckResult) => void;
}

/** Runs one check to its end; whatever it throws is its result. An abort goes through. */
export async function check(stage: Stage, name: string, body: () => Promise<string>): Promise<CheckResult> {
  const start = performance.now();
  const seconds = (): number => Math.round(performance.now() - start) / 1000;
  let result: CheckResult;
  try {
    const detail = await body();
    result = { name, ok: true, seconds: seconds(), detail };
  } catch (error) {
    stage.signal.throwIfAborted();
    const detail = error instanceof Error ? error.message : String(error);
    result = { name, ok: false, seconds: seconds(), detail };
  }
  stage.report(result);
  return result;
}

export interface Arrival {
  readonly kind: Kind;
  readonly what: string;
  readonly act: () => Promise<unknown>;
  readonly problem: () => Promise<Problem>;
  readonly limitMs?: number;
  readonly everyMs?: number;
}

/** Changes something on the active and waits until it is live on the spare. Returns the milliseconds between. */
export async function untilLive({ ledger, signal }: Stage, arrival: Arrival): Promise<number> {
  const { kind, what, act, problem, limitMs = 30_000, everyMs = 100 } = arrival;
  await act();
  const end = ledger.begin(kind, what);
  try {
    const liveAfterMs = await until(problem, { limitMs, everyMs, signal });
    end({ liveAfterMs });
    return liveAfterMs;
  } catch (error) {
    end({ notSeen: error instanceof Error ? error.message : String(error) });
    throw error;
  }
}

export const inSeconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
