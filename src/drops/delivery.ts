import { sameEpoch, type Epoch } from '../rules/epoch.ts';
import type { Confirmation } from '../rules/confirm.ts';
import { leavingOf, type Leaving } from '../rules/leaving.ts';
import { isAbout, saysMore, type Receipt } from '../rules/receipt.ts';
import { dropName, type DropKind, type Manifest, type ManifestFile, type Need } from '../rules/manifest.ts';
import { programVersion } from '../rules/program.ts';
import { unites } from '../rules/set-back.ts';
import type { Clock } from '../system/clock.ts';
import type { JobLog } from '../system/log.ts';
import { seal, type Signer } from '../system/sign.ts';
import type { State } from '../system/state.ts';
import type { Origin, Outbox, PackedDrop } from './outbox.ts';
import { demandUnforked } from './forks.ts';
import type { DropBook } from './drop-book.ts';
import { noteGreeting } from './greeting-note.ts';
import type { Greeting, Peer } from './peer.ts';
import {
  countsAnew,
  forgotten,
  hasLost,
  isMoreToHear,
  readStream,
  withReceipt,
  type StreamState,
} from './stream-state.ts';

/** What a sending job wants live on the spare. */
export interface Goods {
  readonly stream: string;
  /** Of the whole state after the drop: `sha256:HEX`. */
  readonly digest: string;
  readonly kind: DropKind;
  readonly base?: string;
  readonly deleted?: readonly string[];
  readonly needs?: readonly Need[];
  readonly detail?: Readonly<Record<string, unknown>>;
  /** A dump: sent beside the hot connection, in small blocks against the last one. */
  readonly bulk?: boolean;
  /** Sent although the digest is the acknowledged one: what the digest leaves out has changed. */
  readonly evenIfUnchanged?: boolean;
  /** Fills an empty directory with the payload; files are named relative to it. */
  pack(directory: string, signal: AbortSignal): Promise<readonly ManifestFile[]>;
}

/** What of a pass the delivery needs; a job hands its PassContext. */
export interface DeliveryContext extends Leaving {
  readonly epoch: Epoch;
  readonly fence: () => Promise<void>;
  readonly progress?: (point: string) => void;
}

/** The points of a delivery on the active, in their order. */
export const deliveryPoints = ['numbered', 'packed', 'signed', 'sending', 'sent', 'noted'] as const;

export type Delivered =
  /** With the last word on what the spare has: it need not be a good one. */
  | { readonly kind: 'confirmed'; readonly receipt: Receipt }
  | { readonly kind: 'pushed'; readonly sequence: number; readonly receipt: Receipt | undefined };

export interface LastPush {
  readonly sequence: number;
  readonly digest: string;
  /** ISO 8601, by our own clock. */
  readonly publishedAt: string;
  readonly word: Receipt | undefined;
}

/** The active's side of the way, within one epoch: capture, manifest, signature, push, receipt. */
export interface Delivery {
  /** The newest receipt that says a drop of the stream arrived (staged, applied, held, failed), if any. */
  acknowledged(stream: string): Promise<Receipt | undefined>;
  /** What became of the last push: its digest, when it was published, and the word on it, if one has come. */
  lastPush(stream: string): Promise<LastPush | undefined>;
  /** The manifest of a drop of ours that is still in the outbox. */
  manifest(stream: string, place: { epoch: Epoch; sequence: number }): Promise<Manifest | undefined>;
  /** True when the spare asked for a whole drop (a delta did not fit, or it has no accepted set). */
  needsWhole(stream: string): Promise<boolean>;
  /** True until the spare has a drop that was made since this master's disk was set back: nothing that this one lacks was removed here. */
  unites(stream: string): Promise<boolean>;
  /**
   * Greets the spare when that was long ago, notes what it has lost since, and collects the words still awaited.
   * A pass begins with it, so that what it then decides is decided on what the spare really has. Gives the words that
   * came since the last pass: they are still to be said. Throws `latched` where this master's drops are forked or rolled back.
   */
  catchUp(stream: string, signal: AbortSignal): Promise<Receipt[]>;
  /** The fingerprint of the CA that the spare asks for with its keys, as of its last greeting. */
  adoptionAsked(stream: string, signal: AbortSignal): Promise<string | undefined>;
  /** How large the last dump was, and how large one the spare has room for, by its last greeting; each where it is known. */
  sizes(stream: string, signal: AbortSignal): Promise<{ readonly last?: number; readonly room?: number }>;
  /** After `catchUp`. Digest equal to the acknowledged one: a signed `confirm`. Else: drop, push, and the receipt as far as it came. */
  deliver(goods: Goods, context: DeliveryContext): Promise<Delivered>;
}

export interface DeliveryParts {
  readonly epoch: Epoch;
  readonly peer: Peer;
  /** The spare's greeting, asked again when it is old. Throws what keeps the spare from being reached. */
  readonly greet: (signal: AbortSignal) => Promise<Greeting>;
  readonly outbox: Outbox;
  /** Of the directory `state/streams`. */
  readonly state: State;
  readonly signer: Signer;
  readonly clock: Clock;
  readonly log: Pick<JobLog, 'failure'>;
  readonly origin: Omit<Origin, 'target'>;
  /** Missing: nothing is kept for `history`. */
  readonly drops?: Pick<DropBook, 'note' | 'noteWord'>;
}

const confirmEveryMs = 60_000;
/** How long a pass waits for root's word on a drop, beyond what the push itself waited. */
const receiptWaitSeconds = 20;

export function createDelivery(parts: DeliveryParts): Delivery {
  const read = (stream: string): Promise<StreamState> => readStream(parts.state, stream, parts.epoch);
  const catchUp = async (stream: string, signal: AbortSignal): Promise<Receipt[]> => {
    const greeting = await parts.greet(signal);
    await noteGreeting(parts.state, greeting);
    await demandUnforked(parts, stream, greeting);
    const known = await read(stream);
    if (hasLost(known, stream, greeting.hello)) await parts.state.write(stream, forgotten(known));
    return await collect(parts, stream, 0, signal);
  };
  return {
    acknowledged: async (stream) => (await read(stream)).acknowledged,
    lastPush: async (stream) => lastPushOf(await read(stream)),
    manifest: (stream, place) => parts.outbox.manifest(stream, place),
    needsWhole: async (stream) => (await read(stream)).needsWhole ?? false,
    unites: async (stream) => unites(await read(stream)),
    catchUp,
    adoptionAsked: async (stream, signal) => {
      const { hello } = await parts.greet(signal);
      const answered = ((await read(stream)).acknowledged?.at ?? '') > hello.at;
      return answered ? undefined : hello.adopt;
    },
    sizes: (stream, signal) => sizes(parts, stream, signal),
    deliver: async (goods, context) => {
      const known = await read(goods.stream);
      const agreed = goods.evenIfUnchanged === true ? undefined : agreedOn(known, goods);
      if (agreed !== undefined) return await confirm(parts, known, agreed, context.signal);
      return await push(parts, known, goods, context);
    },
  };
}

async function sizes(parts: DeliveryParts, stream: string, signal: AbortSignal) {
  const { room } = (await parts.greet(signal)).hello;
  const { epoch, sequence, capturedAt } = await readStream(parts.state, stream, parts.epoch);
  const packed = await parts.outbox.manifest(stream, { epoch, sequence });
  const last = packed?.files.reduce((sum, { size }) => sum + size, 0);
  // What a broken push left there takes no room from the next one, which goes on from it or in its place.
  const half = packed !== undefined && packed.capturedAt !== capturedAt ? (last ?? 0) : 0;
  return { ...(last === undefined ? {} : { last }), ...(room === undefined ? {} : { room: room + half }) };
}

/** The spare's word on these same goods, where it still holds. */
const agreedOn = ({ acknowledged, needsWhole }: StreamState, { digest }: Goods): Receipt | undefined =>
  acknowledged?.digest === digest && needsWhole !== true ? acknowledged : undefined;

function lastPushOf({ sequence, digest, publishedAt, last }: StreamState): LastPush | undefined {
  if (digest === undefined || publishedAt === undefined) return undefined;
  return { sequence, digest, publishedAt, word: last?.sequence === sequence ? last : undefined };
}

async function push(
  parts: DeliveryParts,
  known: StreamState,
  goods: Goods,
  context: DeliveryContext,
): Promise<Delivered> {
  const at = context.progress ?? (() => undefined);
  const target = (await parts.greet(context.signal)).pairing.certname;
  const waiting = goods.evenIfUnchanged === true ? undefined : await parts.outbox.find(goods, parts.epoch);
  const drop =
    waiting === undefined || isOfNoUse(known, waiting) ? await pack(parts, known, goods, target, context) : waiting;
  const { sequence, capturedAt } = drop.manifest;
  await context.fence();
  at('sending');
  const pushOptions = { bulk: goods.bulk ?? false, signal: context.signal };
  const answer = await parts.peer.push({ ...drop.manifest, directory: drop.directory }, pushOptions);
  // What root signed, the gate chose: it may be the word on another drop.
  const receipt = answer !== undefined && isAbout(answer, drop.manifest) ? answer : undefined;
  at('sent');
  const publishedAt = parts.clock.now().toISOString();
  const published = {
    ...known,
    sequence: Math.max(known.sequence, sequence),
    digest: goods.digest,
    capturedAt,
    publishedAt,
  };
  await parts.state.write(goods.stream, receipt === undefined ? published : withReceipt(published, receipt));
  at('noted');
  await parts.drops?.note(drop.manifest);
  if (receipt !== undefined) await parts.drops?.noteWord(receipt);
  const late = receipt === undefined ? await waitForReceipt(parts, goods.stream, context) : [];
  return { kind: 'pushed', sequence, receipt: receipt ?? late.findLast((word) => word.sequence === sequence) };
}

/** What the spare did not believe is captured anew, not sent again; so is what has a number that it knows for another drop. */
const isOfNoUse = ({ last, setBack, lostUpTo = 0 }: StreamState, { manifest }: PackedDrop): boolean =>
  (last?.state === 'refused' && last.sequence === manifest.sequence) ||
  manifest.sequence <= Math.max(setBack?.to ?? 0, lostUpTo);

// The number is given out before it is used: a crash leaves a gap, never two drops of one number.
async function pack(
  parts: DeliveryParts,
  known: StreamState,
  goods: Goods,
  target: string,
  context: DeliveryContext,
): Promise<PackedDrop> {
  const at = context.progress ?? (() => undefined);
  const sequence = known.sequence + 1;
  await parts.state.write(goods.stream, { ...known, sequence });
  at('numbered');
  const options = { capturedAt: parts.clock.now(), signal: context.signal, packed: () => at('packed') };
  const drop = await parts.outbox.pack(goods, { epoch: parts.epoch, sequence }, { ...parts.origin, target }, options);
  at('signed');
  return drop;
}

async function confirm(
  parts: DeliveryParts,
  known: StreamState,
  agreed: Receipt,
  signal: AbortSignal,
): Promise<Delivered> {
  const now = parts.clock.now();
  const isRecent = (at: string | undefined): boolean =>
    at !== undefined && Math.abs(now.getTime() - Date.parse(at)) < confirmEveryMs;
  const confirmed = { kind: 'confirmed', receipt: agreed } as const;
  if (isRecent(known.askedAt) || isRecent(known.confirmedAt)) return confirmed;
  const { hello, pairing } = await parts.greet(signal);
  const { stream, digest } = agreed;
  const words: Confirmation = {
    format: 1,
    stream,
    epoch: parts.epoch,
    digest,
    source: parts.origin.source,
    target: pairing.certname,
    at: now.toISOString(),
    greeting: hello.at,
    program: programVersion,
  };
  await parts.peer.confirm(seal(parts.signer, 'confirm', words), signal);
  await parts.state.write(stream, { ...known, askedAt: words.at });
  return confirmed;
}

/** Waits for root's word, unless the role is left meanwhile: the word is collected by whoever comes next. */
async function waitForReceipt(parts: DeliveryParts, stream: string, context: DeliveryContext): Promise<Receipt[]> {
  return await collect(parts, stream, receiptWaitSeconds, leavingOf(context)).catch((error: unknown) => {
    if (context.leaving?.aborted !== true || context.signal.aborted) throw error;
    return [];
  });
}

async function collect(
  parts: DeliveryParts,
  stream: string,
  waitSeconds: number,
  signal: AbortSignal,
): Promise<Receipt[]> {
  const { hello } = await parts.greet(signal);
  let known = await readStream(parts.state, stream, parts.epoch);
  if (!isMoreToHear(known, stream, hello)) return [];
  const end = parts.clock.monotonic() + waitSeconds * 1000;
  for (;;) {
    const left = Math.max(0, Math.ceil((end - parts.clock.monotonic()) / 1000));
    const before = known.heard ?? 0;
    const answer = (await parts.peer.receipts(stream, before, left, signal)).sort((a, b) => a.n - b.n);
    const isAnew = (answer.at(-1)?.n ?? before) < before && countsAnew(known, stream, hello);
    const fresh = isAnew ? answer : answer.filter(({ n }) => n > before);
    const heard = fresh.at(-1)?.n;
    if (heard === undefined) return [];
    const ours = fresh.filter((receipt) => isOurs(receipt, known, stream));
    const news = ours.filter((word, at) => saysMore(ours[at - 1] ?? known.last, word));
    known = { ...ours.reduce(withReceipt, known), heard };
    await parts.state.write(stream, known);
    for (const word of news) await parts.drops?.noteWord(word);
    if (ours.length > 0 || isAnew || left === 0) return news;
  }
}

// A refusal names the drop as it lay in the inbox, where an enemy may have put it: of a number that we never gave out.
const isOurs = ({ epoch, stream, sequence }: Receipt, known: StreamState, name: string): boolean =>
  stream === name && sameEpoch(epoch, known.epoch) && sequence <= known.sequence;

/** What a later delta is made against. */
export const baseOf = (receipt: Receipt): string => dropName(receipt);
