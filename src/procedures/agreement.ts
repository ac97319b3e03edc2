import { Failure } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import type { ProcedureStep } from './procedure.ts';

export interface AgreementTools {
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>;
  /** The streams of this pair, as this spare has them. */
  streams(): Promise<readonly StreamHere[]>;
}

export interface StreamHere {
  readonly stream: string;
  /** Of root's last word on it. */
  readonly state: string;
  /** The newest drop or confirmation is of the epoch in which the other master is the active. */
  readonly isOfEpoch: boolean;
}

const lookMs = 500;
const enoughMs = 10 * 60_000;

/** This spare has each stream of the new active, by its word in its own epoch: the pair is whole again. Never worse than `incomplete`. */
export const agreementStep = (tools: AgreementTools, other: string): ProcedureStep => ({
  name: 'agree',
  says: `wait until ${other} has sent everything, or confirmed that it is the same`,
  isDone: async () => (await missing(tools)).length === 0,
  do: async ({ tell, signal }) => {
    const end = tools.clock.monotonic() + enoughMs;
    for (;;) {
      const left = await missing(tools);
      if (left.length === 0) return;
      tell(`waits for ${left.join(', ')}`);
      if (tools.clock.monotonic() > end)
        throw new Failure('incomplete', 'not everything has arrived from the new active yet', {
          where: other,
          why: `missing: ${left.join(', ')}`,
          hint: 'It goes on by itself. Type: pe-failover status',
        });
      await tools.clock.sleep(lookMs, signal);
    }
  },
});

const settledStates = ['applied', 'unchanged', 'staged', 'held'];

async function missing({ streams }: AgreementTools): Promise<string[]> {
  const all = await streams();
  return all
    .filter(({ state, isOfEpoch }) => !settledStates.includes(state) || !isOfEpoch)
    .map(({ stream, state, isOfEpoch }) => (isOfEpoch ? `${stream} (${state})` : stream));
}
