import { sameEpoch, type Epoch } from '../rules/epoch.ts';
import type { Hello } from '../rules/hello.ts';
import { isStream } from '../rules/manifest.ts';
import { arrived, isFinal, type Receipt } from '../rules/receipt.ts';
import { isSetBack, unites, type SetBack } from '../rules/set-back.ts';
import { listDirectory } from '../system/files.ts';
import type { State } from '../system/state.ts';

/** What the active knows of one stream: `state/streams/STREAM.json`. */
export interface StreamState {
  readonly epoch: Epoch;
  /** The last one given out in this epoch. */
  readonly sequence: number;
  readonly digest?: string;
  /** When its content was captured, and when the spare's gate had published it; ISO 8601. */
  readonly capturedAt?: string;
  readonly publishedAt?: string;
  /** The newest word on the newest drop that there is a word on, whatever it says. */
  readonly last?: Receipt;
  /** Number of the newest receipt that was heard, also of drops that are not ours. */
  readonly heard?: number;
  /** The newest receipt that says the drop arrived whole and was judged. */
  readonly acknowledged?: Receipt;
  /** Both sides had the same then, by a receipt: our own time, of the capture that the receipt is about. */
  readonly confirmedAt?: string;
  /** When the last confirmation was signed. That it was taken stands in the spare's greeting. */
  readonly askedAt?: string;
  /** A delta did not fit, or the spare has lost what it had accepted. */
  readonly needsWhole?: boolean;
  /** The spare has lost what came up to that number: none of these is sent again, it may know their numbers. */
  readonly lostUpTo?: number;
  /** This master's disk was set back, or it was promoted with old data. */
  readonly setBack?: SetBack;
}

/** Nothing of an older epoch counts: whoever was active then acknowledged for other reasons. */
export async function readStream(state: State, stream: string, epoch: Epoch): Promise<StreamState> {
  const found = await state.read<StreamState>(stream);
  if (found !== undefined && sameEpoch(found.epoch, epoch)) return found;
  return { epoch, sequence: 0, ...(found !== undefined && unites(found) ? { setBack: { to: 0 } } : {}) };
}

/** What this master lacks is not to be taken for removed: of its next drops nor of those of its next epoch. */
export const markSetBack = (known: StreamState, to: number): StreamState => ({
  ...known,
  setBack: { to: Math.max(to, known.acknowledged?.sequence ?? 0) },
});

/** The same of a master that is promoted with data of an older epoch. */
export async function markStale(state: State): Promise<void> {
  const stream = 'sync-certs';
  const known = (await state.read<StreamState>(stream)) ?? { epoch: { number: 0, id: '0'.repeat(16) }, sequence: 0 };
  await state.write(stream, markSetBack(known, known.sequence));
}

/** Goes on behind what the spare has; words on drops that were never made here are no news. */
export function leapt(known: StreamState, to: number, heard: number | undefined): StreamState {
  const { last: _last, ...kept } = forgotten(known);
  return { ...kept, sequence: to, setBack: { to }, ...(heard === undefined ? {} : { heard }) };
}

/**
 * The state after one more word of the spare. A receipt proves that the spare's root lived after the capture, not that it
 * lives when we hear it: the gate answers for a dead agent too.
 */
export function withReceipt(known: StreamState, receipt: Receipt): StreamState {
  if (!sameEpoch(receipt.epoch, known.epoch)) return known; // numbers begin anew in each
  const newer = receipt.sequence >= (known.acknowledged?.sequence ?? 0);
  const proven = receipt.sequence === known.sequence ? known.capturedAt : undefined;
  const confirmedAt = proven === undefined ? {} : { confirmedAt: proven };
  const acknowledged = arrived(receipt.state) && newer ? { acknowledged: receipt, ...confirmedAt } : {};
  const decides = newer && (receipt.state === 'refused' || arrived(receipt.state));
  const needsWhole = decides ? receipt.state === 'refused' : (known.needsWhole ?? false);
  const last = receipt.sequence < (known.last?.sequence ?? 0) ? known.last : receipt;
  return { ...known, ...acknowledged, ...(last === undefined ? {} : { last }), heard: receipt.n, needsWhole };
}

/** The streams on which the spare's root has said more than was heard here, or of which it lost what it had. */
export async function streamsWithNews(state: State, epoch: Epoch, hello: Hello): Promise<string[]> {
  const files = (await listDirectory(state.directory)).map((name) => name.replace(/\.json$/, ''));
  const streams = new Set([...Object.keys(hello.receipts ?? {}), ...files].filter(isStream));
  const news: string[] = [];
  for (const stream of [...streams].sort()) {
    const known = await readStream(state, stream, epoch);
    if (hasNews(known, stream, hello) || hasLost(known, stream, hello) || isSetBack(known, hello.accepted[stream]))
      news.push(stream);
  }
  return news;
}

/** The spare no longer has what it acknowledged: its disk was replaced, or its state restored from a backup. */
export function hasLost({ acknowledged, epoch }: StreamState, stream: string, hello: Hello): boolean {
  if (acknowledged === undefined || acknowledged.at > hello.at) return false; // acknowledged after that greeting
  const accepted = hello.accepted[stream];
  return accepted === undefined || !sameEpoch(accepted.epoch, epoch) || accepted.sequence < acknowledged.sequence;
}

/** Is there a word to be expected, or more than was heard? The spare's root signed the number of its last one. */
export function isMoreToHear(known: StreamState, stream: string, hello: Hello): boolean {
  if (known.publishedAt === undefined) return false; // words on what another active sent are not for us
  const settled = known.last !== undefined && known.last.sequence >= known.sequence && isFinal(known.last.state);
  return !settled || hasNews(known, stream, hello);
}

const hasNews = (known: StreamState, stream: string, hello: Hello): boolean => {
  const said = hello.receipts?.[stream];
  if (known.publishedAt === undefined || said === undefined) return false;
  return said > (known.heard ?? 0) || countsAnew(known, stream, hello);
};

/**
 * Lower numbers than what was heard are words of a spare that took the place of another. The gate cannot tell them from
 * old words that it repeats: a greeting that is younger than the last word must say so, where it has the number.
 */
export function countsAnew({ heard = 0, last }: StreamState, stream: string, hello: Hello): boolean {
  if (hello.receipts === undefined) return true; // of an older version
  return (hello.receipts[stream] ?? 0) < heard && hello.at > (last?.at ?? '');
}

/** The spare has lost what it once acknowledged: it is pushed again, whole. */
export function forgotten(known: StreamState): StreamState {
  const { epoch, sequence, last, heard, setBack } = known;
  const kept = { ...(last === undefined ? {} : { last }), ...(heard === undefined ? {} : { heard }) };
  return {
    epoch,
    sequence,
    needsWhole: true,
    lostUpTo: sequence,
    ...kept,
    ...(setBack === undefined ? {} : { setBack }),
  };
}
