import type { GateFile } from '../drops/gate-file.ts';
import { Failure } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import { askControl } from '../system/control.ts';
import type { AgentView } from './agent.ts';

/** The agent of this machine, for a command beside it. */
export interface LocalAgent {
  /** Waits until it works for no spare; false: none runs. */
  untilIdle(waiting: Waiting): Promise<boolean>;
  /** Has it judge the fact anew, and waits until the gate names no other master. */
  closeGate(waiting: Waiting): Promise<void>;
  /** Has it judge the fact anew, where it runs. */
  reload(): Promise<void>;
}

export interface Waiting {
  tell(line: string): void;
  readonly signal: AbortSignal;
}

const lookMs = 250;
/** A long pass ends at its next safe point first. */
const limitMs = 120_000;
const askMs = 10_000;

type Ticking = Pick<Clock, 'sleep' | 'monotonic'>;

export function createLocalAgent(control: string, gate: Pick<GateFile, 'read'>, clock: Ticking): LocalAgent {
  return {
    untilIdle: async (waiting) => {
      let isThere = true;
      const isIdle = async (): Promise<boolean> => {
        const seen = await viewOf(control);
        isThere = seen !== undefined;
        return seen === undefined || isWithoutWork(seen);
      };
      await until(clock, isIdle, 'waits until the agent here sends nothing any more', waiting);
      return isThere;
    },
    closeGate: async (waiting) => {
      await ask(control, 'reload');
      const isClosed = async (): Promise<boolean> => (await gate.read())?.peer === undefined;
      await until(clock, isClosed, 'waits until the agent here has written its gate file anew', waiting);
    },
    reload: async () => void (await ask(control, 'reload').catch(() => undefined)),
  };
}

const ask = (control: string, verb: string): Promise<unknown> =>
  askControl(control, verb, {}, { signal: AbortSignal.timeout(askMs) });

/** Undefined: none runs. */
async function viewOf(control: string): Promise<AgentView | undefined> {
  try {
    return (await ask(control, 'status')) as AgentView;
  } catch (error) {
    if (error instanceof Failure && error.class === 'unreachable') return undefined;
    throw error;
  }
}

const isWithoutWork = ({ changing, entered, jobs }: AgentView): boolean =>
  changing === undefined && entered !== undefined && jobs.length === 0;

async function until(
  clock: Ticking,
  isSo: () => Promise<boolean>,
  line: string,
  { tell, signal }: Waiting,
): Promise<void> {
  const end = clock.monotonic() + limitMs;
  while (!(await isSo())) {
    if (clock.monotonic() > end)
      throw new Failure('dependency', 'the agent here does not follow', {
        why: line,
        hint: 'Look at what it is at: pe-failover status',
      });
    tell(line);
    await clock.sleep(lookMs, signal);
  }
}
