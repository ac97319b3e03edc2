import { Failure } from '../errors.ts';
import { compareEpochs, isEpoch, type Epoch } from './epoch.ts';
import { fieldsOf } from './fields.ts';
import { isDigest, isStream } from './manifest.ts';

/** What became of a drop on the spare. */
export type ReceiptState = 'staged' | 'applied' | 'unchanged' | 'held' | 'refused' | 'failed' | 'superseded';
export const receiptStates = ['staged', 'applied', 'unchanged', 'held', 'refused', 'failed', 'superseded'] as const;

export interface DropReference {
  readonly stream: string;
  readonly epoch: Epoch;
  readonly sequence: number;
  readonly digest: string;
}

export interface Receipt extends DropReference {
  readonly format: 1;
  /** Counts the receipts of a stream from 1: what `receipts STREAM SINCE` asks by. */
  readonly n: number;
  readonly state: ReceiptState;
  readonly why: string;
  readonly holdId?: string;
  /** Spare's clock, ISO 8601. */
  readonly at: string;
  readonly spare: string;
  /** The live state compared with the accepted one, where the job compares. */
  readonly live?: LiveComparison;
  /** What the spare made itself, counted by the job. */
  readonly madeHere?: Readonly<Record<string, number>>;
}

export interface LiveComparison {
  readonly ok: boolean;
  readonly missing: readonly string[];
  readonly differing: readonly string[];
}

/** The drop arrived whole and was judged: the same digest needs no second push. `failed` is quarantined until released. */
export const arrived = (state: ReceiptState): boolean =>
  ['staged', 'applied', 'unchanged', 'held', 'failed'].includes(state);

/** No further word is to be expected on this drop. What failed may go live yet: released, or when its obstacle is gone. */
export const isFinal = (state: ReceiptState): boolean => state !== 'staged' && state !== 'failed';

export type SequenceVerdict = 'new' | 'repeated' | 'settled before' | 'forked or rolled back' | 'older epoch';

/** How a drop stands to the last one that was settled: a sequence goes up within an epoch, and begins again in a higher one. */
export function judgeSequence(drop: DropReference, last: DropReference | undefined): SequenceVerdict {
  if (last === undefined) return 'new';
  const order = compareEpochs(drop.epoch, last.epoch);
  if (order === 'higher') return 'new';
  if (order !== 'same') return 'older epoch';
  if (drop.sequence > last.sequence) return 'new';
  if (drop.sequence < last.sequence) return 'settled before';
  return drop.digest === last.digest ? 'repeated' : 'forked or rolled back';
}

/** Reads a receipt whose signature was verified: the peer may still be of another version. Throws `bad-data`. */
export function parseReceipt(value: unknown): Receipt {
  const refuse = (where: string, why: string): Failure => new Failure('bad-data', 'receipt refused', { where, why });
  const field = fieldsOf(value, 'receipt', refuse);
  if (field.number('format') !== 1) throw refuse('receipt.format', 'is not 1');
  const epoch = field.raw('epoch');
  if (!isEpoch(epoch)) throw refuse('receipt.epoch', 'is not {number, id}');
  field.matching('stream', isStream);
  field.matching('digest', isDigest);
  field.oneOf('state', receiptStates);
  field.count('sequence', 0);
  field.count('n', 1);
  for (const name of ['why', 'at', 'spare']) field.text(name, 100_000);
  return value as Receipt;
}
