import { compareEpochs, formatEpoch, type Epoch } from './epoch.ts';

/** What is known when a fact was judged anew. */
export interface Situation {
  /** The last role that was entered to its end; undefined: nothing was ever installed here. */
  readonly settled: 'active' | 'passive' | undefined;
  /** The highest epoch known here. */
  readonly seen: Epoch;
  /** The epoch that the live data here is of; undefined: nothing ever arrived. */
  readonly data: Epoch | undefined;
  readonly forceStale: boolean;
  readonly fact: { readonly role: 'active' | 'passive' | 'suspended'; readonly why?: string; readonly hint?: string };
}

/** What is done about it. `why` is the log line, the status line, and the title of the test. */
export type Transition =
  | { readonly kind: 'resume'; readonly role: 'active' | 'passive'; readonly why: string }
  | { readonly kind: 'promote'; readonly why: string }
  | { readonly kind: 'demote'; readonly why: string }
  | { readonly kind: 'suspend'; readonly why: string; readonly hint: string };

const rows: readonly { from: 'active' | 'passive'; to: 'active' | 'passive'; is: Transition }[] = [
  { from: 'active', to: 'active', is: { kind: 'resume', role: 'active', why: 'active, as before' } },
  { from: 'passive', to: 'passive', is: { kind: 'resume', role: 'passive', why: 'passive, as before' } },
  { from: 'passive', to: 'active', is: { kind: 'promote', why: 'the fact says active: this spare is promoted' } },
  { from: 'active', to: 'passive', is: { kind: 'demote', why: 'the fact says passive: this active is demoted' } },
];

/**
 * From the last SETTLED role to that of the fact, whatever lay between: a broken fact, an agent that was down.
 * `peer` is the peer's epoch, where it answered.
 */
export function planTransition({ settled, seen, data, forceStale, fact }: Situation, peer?: Epoch): Transition {
  if (fact.role === 'suspended')
    return { kind: 'suspend', why: fact.why ?? 'the fact names no role', hint: fact.hint ?? '' };
  if (settled === undefined)
    return { kind: 'suspend', why: 'this master has no state', hint: 'Type: pe-failover install' };
  const row = rows.find(({ from, to }) => from === settled && to === fact.role);
  if (row === undefined) throw new Error(`does not know how to go from ${settled} to ${fact.role}`);
  if (row.is.kind !== 'promote' || forceStale) return row.is;
  return stale(highest(seen, peer), data) ?? row.is;
}

/** A promotion takes the highest epoch known plus one. */
export const nextEpoch = (seen: Epoch, peer: Epoch | undefined, id: string): Epoch => ({
  number: highest(seen, peer).number + 1,
  id,
});

/** Live data of an older epoch than the highest known one would take back what happened in between. */
function stale(known: Epoch, data: Epoch | undefined): Transition | undefined {
  if (data !== undefined && compareEpochs(data, known) !== 'lower' && compareEpochs(data, known) !== 'conflict')
    return undefined;
  const has = data === undefined ? 'nothing has arrived here yet' : `the data here is of epoch ${formatEpoch(data)}`;
  const why = `the fact says active, but ${has}, and the highest epoch known is ${formatEpoch(known)}`;
  return { kind: 'suspend', why, hint: 'To promote it all the same, type: pe-failover promote --force-stale' };
}

const highest = (seen: Epoch, peer: Epoch | undefined): Epoch =>
  peer !== undefined && peer.number > seen.number ? peer : seen;
