import { compareEpochs, formatEpoch, type Epoch } from './epoch.ts';
import { foreignHint } from './machine.ts';

/** What is known when a fact was judged anew. */
export interface Situation {
  /** The last role that was entered to its end; undefined: nothing was ever installed here. */
  readonly settled: 'active' | 'passive' | undefined;
  /** Why the state here is another machine's. */
  readonly foreign?: string | undefined;
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

/** From the last SETTLED role to that of the fact, whatever lay between: a broken fact, an agent that was down. */
export function planTransition({ settled, foreign, fact }: Situation): Transition {
  if (foreign !== undefined) return { kind: 'suspend', why: foreign, hint: foreignHint };
  if (fact.role === 'suspended')
    return { kind: 'suspend', why: fact.why ?? 'the fact names no role', hint: fact.hint ?? '' };
  if (settled === undefined)
    return { kind: 'suspend', why: 'this master has no state', hint: 'Type: pe-failover install' };
  const row = rows.find(({ from, to }) => from === settled && to === fact.role);
  if (row === undefined) throw new Error(`does not know how to go from ${settled} to ${fact.role}`);
  return row.is;
}

/** How old the live data here is, once everything that was pending is applied. */
export interface DataAge {
  /** The highest epoch known here, and the peer's, where it answered. */
  readonly seen: Epoch;
  readonly peer: Epoch | undefined;
  /** The epoch of each stream's live data; undefined: nothing of it ever arrived. */
  readonly data: readonly { readonly stream: string; readonly epoch: Epoch | undefined }[];
}

/**
 * What keeps a spare from being promoted: live data of an older epoch than the highest known one would take back what
 * happened in between. A stream of which nothing ever came is named, and keeps nobody: it may never have been in use.
 */
export function judgeData({ seen, peer, data }: DataAge): { readonly stale?: string; readonly missing: string[] } {
  const known = highest(seen, peer);
  const missing = data.filter(({ epoch }) => epoch === undefined).map(({ stream }) => stream);
  const arrived = data.flatMap(({ stream, epoch }) => (epoch === undefined ? [] : [{ stream, epoch }]));
  const old = arrived.filter(({ epoch }) => ['lower', 'conflict'].includes(compareEpochs(epoch, known)));
  const has = arrived.length === 0 ? 'nothing has arrived here yet' : spokenAge(old);
  if (arrived.length > 0 && old.length === 0) return { missing };
  return { stale: `the fact says active, but ${has}, and the highest epoch known is ${formatEpoch(known)}`, missing };
}

const spokenAge = (old: readonly { readonly stream: string; readonly epoch: Epoch }[]): string =>
  old.map(({ stream, epoch }) => `${stream} here is of epoch ${formatEpoch(epoch)}`).join(', ');

/** A promotion takes the highest epoch known plus one. */
export const nextEpoch = (seen: Epoch, peer: Epoch | undefined, id: string): Epoch => ({
  number: highest(seen, peer).number + 1,
  id,
});

const highest = (seen: Epoch, peer: Epoch | undefined): Epoch =>
  peer !== undefined && peer.number > seen.number ? peer : seen;
