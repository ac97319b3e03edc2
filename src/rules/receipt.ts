import { Failure } from '../errors.ts';
import { compareEpochs, isEpoch, sameEpoch, type Epoch } from './epoch.ts';
import { fieldsOf, type Refuse } from './fields.ts';
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
  /** The drop itself still lies on the spare: this was a report, and a later word settles it. */
  readonly waits?: true;
  /** Spare's clock, ISO 8601. */
  readonly at: string;
  readonly spare: string;
  /** The live state compared with the accepted one, where the job compares. */
  readonly live?: LiveComparison;
  /** What the spare made itself, counted by the job. */
  readonly madeHere?: Readonly<Record<string, number>>;
  /** Version of the program that wrote it; an older one does not say. */
  readonly program?: string;
}

export interface LiveComparison {
  readonly ok: boolean;
  readonly missing: readonly string[];
  readonly differing: readonly string[];
}

/** The drop arrived whole and was judged: the same digest needs no second push. `failed` is quarantined until released. */
export const arrived = (state: ReceiptState): boolean =>
  ['staged', 'applied', 'unchanged', 'held', 'failed'].includes(state);

/** What is safe of the drop is live here: where a hold keeps back a part, the live state was compared. */
export const isLive = ({ state, live }: Pick<Receipt, 'state' | 'live'>): boolean =>
  state === 'applied' || state === 'unchanged' || (state === 'held' && live !== undefined);

/** Why the CA on the spare is not known to be the active's. All of a drop that has no hold was held: only adoption helps. */
export function whyCaIsForeign(receipts: readonly Receipt[]): string | undefined {
  const last = receipts.findLast(({ state }) => arrived(state));
  if (last === undefined) return "nothing of the active's CA has arrived yet";
  return last.state === 'held' && last.holdId === undefined ? last.why : undefined;
}

/** No further word is to be expected on this drop: what waits, is held or failed may yet go live, when an admin says so. */
export const isFinal = (state: ReceiptState): boolean => !['staged', 'held', 'failed'].includes(state);

/** Refused ones do not count: an enemy at the gate could otherwise use up the numbers of honest drops. */
const settles = ({ state, waits }: Receipt): boolean => state !== 'staged' && state !== 'refused' && waits !== true;

/** The newest drop that was settled, with the newest word on it. A word on an older drop may well have come later. */
export const lastSettled = (receipts: readonly Receipt[]): Receipt | undefined =>
  receipts.filter(settles).reduce<Receipt | undefined>((last, one) => (isNewer(last, one) ? last : one), undefined);

/**
 * There is a word on the drop of that place which a refusal must not follow: anybody at the gate may put something under its
 * name. Where the refused one was signed, only a word on that content counts: a source that gives a number out twice must hear it.
 */
export const isJudged = (
  receipts: readonly Receipt[],
  { epoch, sequence }: Pick<DropReference, 'epoch' | 'sequence'>,
  signedDigest?: string,
): boolean =>
  receipts.some(
    (one) =>
      one.state !== 'refused' &&
      one.sequence === sequence &&
      sameEpoch(one.epoch, epoch) &&
      (signedDigest === undefined || one.digest === signedDigest),
  );

/**
 * Is the second word on a drop worth saying after the first? A compare on the spare says again and again that all is well,
 * with other counts.
 */
export function saysMore(before: Receipt | undefined, word: Receipt): boolean {
  if (before === undefined || before.sequence !== word.sequence || !sameEpoch(before.epoch, word.epoch)) return true;
  if (isWell(before) && isWell(word)) return false;
  return before.state !== word.state || before.why !== word.why;
}

const isWell = ({ state }: Receipt): boolean => state === 'applied' || state === 'unchanged';

const isNewer = (a: DropReference | undefined, b: DropReference): boolean =>
  a !== undefined && (a.epoch.number - b.epoch.number || a.sequence - b.sequence) > 0;

/** Is this the word on that drop? A refusal may be of a drop whose content could not be read. */
export const isAbout = (receipt: Receipt, { stream, epoch, sequence, digest }: DropReference): boolean =>
  receipt.stream === stream &&
  sameEpoch(receipt.epoch, epoch) &&
  receipt.sequence === sequence &&
  (receipt.digest === digest || receipt.state === 'refused');

/** When the newest drop that arrived got its first word. What becomes of it later says nothing of the active. */
export function arrivedAt(receipts: readonly Receipt[]): string | undefined {
  const newest = receipts.findLast(({ state }) => arrived(state));
  const isOfIt = ({ epoch, sequence }: Receipt): boolean =>
    newest !== undefined && sequence === newest.sequence && sameEpoch(epoch, newest.epoch);
  return receipts.find((receipt) => arrived(receipt.state) && isOfIt(receipt))?.at;
}

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

const longestWhy = 4000;
const mostNames = 100;

/** As it is written down: it travels with every answer, so a long reason or list is cut, and says so. */
export const shortened = (receipt: Receipt): Receipt => ({
  ...receipt,
  why: receipt.why.length > longestWhy ? `${receipt.why.slice(0, longestWhy)} ...` : receipt.why,
  ...(receipt.live === undefined ? {} : { live: shortComparison(receipt.live) }),
});

const shortComparison = ({ ok, missing, differing }: LiveComparison): LiveComparison => ({
  ok,
  missing: firstOf(missing),
  differing: firstOf(differing),
});

const firstOf = (names: readonly string[]): readonly string[] =>
  names.length > mostNames ? [...names.slice(0, mostNames), `and ${names.length - mostNames} more`] : names;

/** Reads a receipt whose signature was verified: the peer may still be of another version. Throws `bad-data`. */
export function parseReceipt(value: unknown): Receipt {
  const refuse = (where: string, why: string): Failure => new Failure('bad-data', 'receipt refused', { where, why });
  const field = fieldsOf(value, 'receipt', refuse);
  if (field.number('format') !== 1) throw refuse('receipt.format', 'is not 1');
  const epoch = field.raw('epoch');
  if (!isEpoch(epoch)) throw refuse('receipt.epoch', 'is not {number, id}');
  const waits = field.raw('waits');
  if (waits !== undefined && waits !== true) throw refuse('receipt.waits', 'is not true');
  return {
    format: 1,
    n: field.count('n', 1),
    stream: field.matching('stream', isStream),
    epoch: { number: epoch.number, id: epoch.id },
    sequence: field.count('sequence', 0),
    digest: field.matching('digest', isDigest),
    state: field.oneOf('state', receiptStates),
    why: field.text('why', 100_000),
    ...field.optionalText('holdId', 255),
    ...(waits === undefined ? {} : { waits }),
    at: field.text('at', 255),
    spare: field.text('spare', 255),
    ...(field.raw('live') === undefined ? {} : { live: parseComparison(field.object('live'), refuse) }),
    ...(field.raw('madeHere') === undefined ? {} : { madeHere: parseCounts(field.object('madeHere'), refuse) }),
    ...field.optionalText('program', 255),
  };
}

function parseComparison(value: Readonly<Record<string, unknown>>, refuse: Refuse): LiveComparison {
  const field = fieldsOf(value, 'receipt.live', refuse);
  const ok = field.raw('ok');
  if (typeof ok !== 'boolean') throw refuse('receipt.live.ok', 'is neither true nor false');
  const names = (key: string): string[] =>
    field.list(key, 1_000_000).map((name) => {
      if (typeof name === 'string') return name;
      throw refuse(`receipt.live.${key}`, 'has what is not text');
    });
  return { ok, missing: names('missing'), differing: names('differing') };
}

function parseCounts(value: Readonly<Record<string, unknown>>, refuse: Refuse): Readonly<Record<string, number>> {
  const field = fieldsOf(value, 'receipt.madeHere', refuse);
  return Object.fromEntries(Object.keys(value).map((name) => [name, field.count(name, 0)]));
}
