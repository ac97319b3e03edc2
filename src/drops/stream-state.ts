import { sameEpoch, type Epoch } from '../rules/epoch.ts';
import { arrived, type Receipt } from '../rules/receipt.ts';
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
  /** The newest receipt, whatever it says. */
  readonly last?: Receipt;
  /** Number of the newest receipt that was heard, also of drops that are not ours. */
  readonly heard?: number;
  /** The newest receipt that says the drop arrived whole and was judged. */
  readonly acknowledged?: Receipt;
  readonly confirmedAt?: string;
  /** A delta did not fit, or the spare has lost what it had accepted. */
  readonly needsWhole?: boolean;
}

/** Nothing of an older epoch counts: whoever was active then acknowledged for other reasons. */
export async function readStream(state: State, stream: string, epoch: Epoch): Promise<StreamState> {
  const found = await state.read<StreamState>(stream);
  return found !== undefined && sameEpoch(found.epoch, epoch) ? found : { epoch, sequence: 0 };
}

/** The state after one more word of the spare. */
export function withReceipt(known: StreamState, receipt: Receipt): StreamState {
  const newer = receipt.sequence >= (known.acknowledged?.sequence ?? 0);
  const acknowledged = arrived(receipt.state) && newer ? { acknowledged: receipt, confirmedAt: receipt.at } : {};
  const decides = newer && (receipt.state === 'refused' || arrived(receipt.state));
  const needsWhole = decides ? receipt.state === 'refused' : (known.needsWhole ?? false);
  return { ...known, ...acknowledged, last: receipt, heard: receipt.n, needsWhole };
}

/** The spare has lost what it once acknowledged: it is pushed again, whole. */
export function forgotten(known: StreamState): StreamState {
  const { epoch, sequence, last, heard } = known;
  const kept = { ...(last === undefined ? {} : { last }), ...(heard === undefined ? {} : { heard }) };
  return { epoch, sequence, needsWhole: true, ...kept };
}
