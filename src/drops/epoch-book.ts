import { compareEpochs, sameEpoch, type Epoch } from '../rules/epoch.ts';
import { inTurn } from '../system/in-turn.ts';
import type { State } from '../system/state.ts';

/** `state/epoch.json`. */
export interface EpochState {
  /** The highest one known: our own, or the active's after its signature was verified. */
  readonly seen: Epoch;
  /** The last role that was entered to its end, and when; ISO 8601. */
  readonly settled: { readonly role: 'active' | 'passive'; readonly at: string };
  /** The epoch that we were active in last: then all live data here is of it. */
  readonly data?: Epoch;
  /** By stream, what was applied since: the epoch of its newest drop that is live. */
  readonly streams?: Readonly<Record<string, Epoch>>;
  /** When an admin said that a stale promotion is wanted, ISO 8601: good for an hour, and used up by it. */
  readonly forceStale?: string;
}

export interface EpochBook {
  read(): Promise<EpochState | undefined>;
  /** A new settled role, together with its epoch: one write, so that a crash leaves the old or the new. */
  settle(role: 'active' | 'passive', seen: Epoch): Promise<void>;
  /** Remembers a higher epoch; a lower one changes nothing. */
  raise(seen: Epoch): Promise<void>;
  /** The live data of a stream is now of this epoch. */
  applied(stream: string, epoch: Epoch): Promise<void>;
  permitStale(): Promise<void>;
  isStalePermitted(): Promise<boolean>;
}

const permitMs = 3_600_000;

/** Before the first active was heard of. */
export const noEpoch: Epoch = { number: 0, id: '0000000000000000' };

export function createEpochBook(state: State, now: () => Date): EpochBook {
  const read = (): Promise<EpochState | undefined> => state.read<EpochState>('epoch');
  // Jobs of several streams write it at once: an epoch that is forgotten would let an overtaken active write again.
  const turn = inTurn();
  const change = (next: (known: EpochState) => EpochState | undefined): Promise<void> =>
    turn(async () => {
      const known = await read();
      const changed = next(known ?? { seen: noEpoch, settled: { role: 'passive', at: now().toISOString() } });
      if (changed !== undefined) await state.write('epoch', changed);
    });
  return {
    read,
    settle: (role, seen) =>
      change(({ data, streams, settled }) => {
        const at = settled.role === role ? settled.at : now().toISOString();
        if (role === 'active') return { seen, settled: { role, at }, data: seen };
        const kept = { ...(data === undefined ? {} : { data }), ...(streams === undefined ? {} : { streams }) };
        return { seen, settled: { role, at }, ...kept };
      }),
    raise: (seen) => change((old) => (compareEpochs(seen, old.seen) === 'higher' ? { ...old, seen } : undefined)),
    applied: (stream, epoch) =>
      change((old) => {
        const of = old.streams?.[stream];
        const isNoted = of !== undefined && sameEpoch(of, epoch);
        return isNoted ? undefined : { ...old, streams: { ...old.streams, [stream]: epoch } };
      }),
    permitStale: () => change((old) => ({ ...old, forceStale: now().toISOString() })),
    isStalePermitted: async () => {
      const age = now().getTime() - Date.parse((await read())?.forceStale ?? '');
      return Math.abs(age) < permitMs;
    },
  };
}
