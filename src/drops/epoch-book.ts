import { compareEpochs, type Epoch } from '../rules/epoch.ts';
import type { State } from '../system/state.ts';

/** `state/epoch.json`. */
export interface EpochState {
  /** The highest one known: our own, or the active's after its signature was verified. */
  readonly seen: Epoch;
  /** The last role that was entered to its end, and when; ISO 8601. */
  readonly settled: { readonly role: 'active' | 'passive'; readonly at: string };
  /** The epoch that the live data here is of: the one we were active in, or that of the newest applied drop. */
  readonly data?: Epoch;
  /** An admin's word that a stale promotion is wanted; used up by it. */
  readonly forceStale?: boolean;
}

export interface EpochBook {
  read(): Promise<EpochState | undefined>;
  /** A new settled role, together with its epoch: one write, so that a crash leaves the old or the new. */
  settle(role: 'active' | 'passive', seen: Epoch): Promise<void>;
  /** Remembers a higher epoch; a lower one changes nothing. */
  raise(seen: Epoch): Promise<void>;
  /** Live data here is now of this epoch. */
  applied(epoch: Epoch): Promise<void>;
  permitStale(): Promise<void>;
}

/** Before the first active was heard of. */
export const noEpoch: Epoch = { number: 0, id: '0000000000000000' };

export function createEpochBook(state: State, now: () => Date): EpochBook {
  const read = (): Promise<EpochState | undefined> => state.read<EpochState>('epoch');
  const change = async (next: (known: EpochState) => EpochState): Promise<void> => {
    const known = await read();
    const first: EpochState = { seen: noEpoch, settled: { role: 'passive', at: now().toISOString() } };
    await state.write('epoch', next(known ?? first));
  };
  return {
    read,
    settle: (role, seen) =>
      change(({ data, settled }) => {
        const at = settled.role === role ? settled.at : now().toISOString();
        const own = role === 'active' ? seen : data;
        return { seen, settled: { role, at }, ...(own === undefined ? {} : { data: own }) };
      }),
    raise: async (seen) => {
      const known = await read();
      if (known === undefined || compareEpochs(seen, known.seen) === 'higher')
        await change((old) => ({ ...old, seen }));
    },
    applied: async (epoch) => {
      const known = await read();
      if (known?.data?.id !== epoch.id) await change((old) => ({ ...old, data: epoch }));
    },
    permitStale: () => change((old) => ({ ...old, forceStale: true })),
  };
}
