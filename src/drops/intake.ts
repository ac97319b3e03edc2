import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure, isErrno, toFailure } from '../errors.ts';
import { parseConfirmation, type Confirmation } from '../rules/confirm.ts';
import { compareEpochs, formatEpoch, sameEpoch, type Epoch } from '../rules/epoch.ts';
import { dropName, manifestName, parseManifest, type Manifest } from '../rules/manifest.ts';
import { signingKeysOf, type KnownPeer } from '../rules/pairing.ts';
import { parseSigned } from '../rules/program.ts';
import {
  isJudged,
  judgeSequence,
  lastSettled,
  type DropReference,
  type LiveComparison,
  type Receipt,
  type ReceiptState,
} from '../rules/receipt.ts';
import { openHostileTree, type HostileTree } from '../system/beneath.ts';
import { listDirectory, readIfThere, removeIfThere, writeFileAtomic } from '../system/files.ts';
import type { JobLog } from '../system/log.ts';
import { unseal } from '../system/sign.ts';
import { appliedMark, byPlace, isForRoot, placeOf, pruneArchive, type DropPlace } from './archive.ts';
import type { DropBook } from './drop-book.ts';
import type { ReceiptBook } from './receipt-book.ts';
import { readSigned, takeOver, type SignedManifest } from './take-over.ts';

/** A drop that root copied out of the inbox, hashing; signature, target, epoch, sequence and every sha256 are right. */
export interface VerifiedDrop {
  readonly manifest: Manifest;
  /** A directory that only root can write; `manifest.files[].path` lie below it. */
  readonly directory: string;
}

export interface Verdict {
  readonly state: ReceiptState;
  readonly why: string;
  readonly holdId?: string;
  /** Of a report: the drop is not settled, and is handed out again. */
  readonly waits?: true;
  readonly live?: LiveComparison;
  readonly madeHere?: Readonly<Record<string, number>>;
}

/** The spare's side of the way: take-over by root, verification, receipts, archive. */
export interface Intake {
  /** The newest verified drop of a stream that is not settled yet; older ones got the receipt "superseded". */
  next(stream: string): Promise<VerifiedDrop | undefined>;
  /** Signs and stores a receipt. */
  report(drop: DropReference, verdict: Verdict): Promise<void>;
  /** The last word on a drop: its receipt, then its files leave `taken` (to the archive where the stream has one). */
  settle(drop: VerifiedDrop, verdict: Verdict): Promise<void>;
  /** Hands a settled drop out once more, if nothing newer was settled: its hold was released. */
  reopen(drop: DropReference): Promise<void>;
}

export interface IntakeParts {
  readonly directories: { readonly inbox: string; readonly taken: string; readonly archive: string };
  readonly certname: string;
  /** The active, by the pairing line in the fact. */
  readonly source: () => Promise<KnownPeer>;
  readonly book: ReceiptBook;
  readonly log: JobLog;
  readonly now: () => Date;
  /** The highest epoch seen. */
  readonly epoch: () => Promise<Epoch>;
  /** Remembers a higher epoch, after its signature was verified. */
  readonly raiseEpoch: (epoch: Epoch) => Promise<void>;
  /** The active said, signed and in our epoch, that a stream is as it was. */
  readonly confirmed: (words: Confirmation) => Promise<void>;
  /** How many whole drops of a stream are kept; 0: the job archives what it replaces. */
  readonly archives: (stream: string) => number;
  /** Bytes that no dump may use up. */
  readonly freeSpace: number;
  /** Missing: nothing is kept for `history`. */
  readonly drops?: Pick<DropBook, 'note'>;
  /** Whether somebody still counts on an archived drop. */
  readonly needed: () => Promise<(stream: string, name: string) => boolean>;
}

const noDigest = `sha256:${'0'.repeat(64)}`;

export function createIntake(parts: IntakeParts): Intake {
  return {
    next: async (stream) => {
      await takeIn(parts, stream);
      return await newest(parts, stream);
    },
    report: async (drop, verdict) => void (await report(parts, drop, verdict)),
    settle: (drop, verdict) => settle(parts, drop, verdict),
    reopen: (drop) => reopen(parts, drop),
  };
}

/** INVARIANT: beneath the inbox nothing is opened or removed by its path: the transfer user may put a link anywhere in it. */
async function takeIn(parts: IntakeParts, stream: string): Promise<void> {
  await using inbox = await openHostileTree(parts.directories.inbox);
  await using ready = await inbox.directory(`${stream}/ready`).catch((error: unknown) => {
    if (!isErrno(toFailure(error).cause, 'ENOENT')) throw error;
    return undefined; // no drop of this stream was ever expected
  });
  if (ready === undefined) return;
  await takeAll(parts, ready, stream);
  await takeConfirm(parts, ready, stream);
}

async function takeAll(parts: IntakeParts, ready: HostileTree, stream: string): Promise<void> {
  for (const name of await ready.names()) {
    const place = placeOf(name);
    if (place === undefined) {
      if (!isForRoot(name) && (await isLeftOver(parts, ready, name))) await ready.remove(name);
      continue;
    }
    await mkdir(join(parts.directories.taken, stream), { recursive: true, mode: 0o700 });
    await takeOne(parts, ready, { stream, name, ...place });
    await ready.remove(name);
  }
}

/** The gate has such names for the moment of a write alone. */
async function isLeftOver({ now }: IntakeParts, ready: HostileTree, name: string): Promise<boolean> {
  const changed = await ready.changedAt(name);
  return changed !== undefined && now().getTime() - changed > 60_000;
}

type Arrival = DropPlace & { readonly stream: string; readonly name: string };

async function takeOne(parts: IntakeParts, ready: HostileTree, arrival: Arrival): Promise<void> {
  const { stream, name } = arrival;
  const active = await parts.source();
  const [source, signingKey] = [active.certname, signingKeysOf(active)];
  let signed: SignedManifest | undefined;
  try {
    await using drop = await ready.directory(name);
    signed = await readSigned(drop, { stream, name, source, target: parts.certname, signingKey });
    if ((await judge(parts, signed.manifest)) === 'repeated') return; // settled, and its last word stands
    // What is kept free is kept free of dumps: for a certificate there is room still.
    const reserve = stream.startsWith('db-dump.') ? parts.freeSpace : 0;
    await takeOver(drop, join(parts.directories.taken, stream, name), signed, reserve);
  } catch (error) {
    await refuse(parts, arrival, signed?.manifest.digest, error);
  }
}

/**
 * Epoch and sequence, by root, after the signature and before anything is copied: the gate asked the same before, but the
 * gate is not believed.
 */
async function judge(parts: IntakeParts, manifest: Manifest): Promise<'new' | 'repeated'> {
  const own = await parts.epoch();
  const order = compareEpochs(manifest.epoch, own);
  const both = `its epoch is ${formatEpoch(manifest.epoch)}, the highest seen here is ${formatEpoch(own)}`;
  if (order === 'lower' || order === 'conflict')
    throw new Failure('bad-data', 'drop refused', { where: manifest.stream, why: both });
  const verdict = judgeSequence(manifest, lastSettled(await parts.book.all(manifest.stream)));
  if (verdict !== 'new' && verdict !== 'repeated') {
    const hint = `On the active, pe-failover status and its log say what to do`;
    throw new Failure('bad-data', 'drop refused', {
      where: `${manifest.stream} ${dropName(manifest)}`,
      why: `its sequence is ${verdict}`,
      hint,
    });
  }
  if (order === 'higher') await parts.raiseEpoch(manifest.epoch);
  return verdict;
}

// A fault of ours (a full disk, a missing key) is thrown on: the drop stays where it is and is taken at the next pass.
async function refuse(
  parts: IntakeParts,
  arrival: Arrival,
  signedDigest: string | undefined,
  error: unknown,
): Promise<void> {
  const failure = toFailure(error);
  if (failure.class !== 'bad-data') throw failure;
  parts.log.failure(`${failure.message}. Nothing live was touched`);
  const { stream, name, epoch, sequence } = arrival;
  const waits = (await readIfThere(join(parts.directories.taken, stream, name, manifestName))) !== undefined;
  if (waits || isJudged(await parts.book.all(stream), arrival, signedDigest)) return;
  await report(parts, { stream, epoch, sequence, digest: noDigest }, { state: 'refused', why: failure.message });
}

async function takeConfirm(parts: IntakeParts, ready: HostileTree, stream: string): Promise<void> {
  if (!(await ready.names()).includes('confirm')) return;
  try {
    const source = await parts.source();
    const words = parseSigned(
      unseal(signingKeysOf(source), 'confirm', await ready.readText('confirm', 64 * 1024)),
      parseConfirmation,
    );
    const forUs = words.target === parts.certname && words.source === source.certname && words.stream === stream;
    if (forUs && sameEpoch(words.epoch, await parts.epoch())) await parts.confirmed(words);
  } catch (error) {
    const failure = toFailure(error);
    if (failure.class !== 'bad-data') throw failure;
    parts.log.warning(failure.message);
  }
  await ready.remove('confirm');
}

/** Of what was taken: settled ones are cleared away (a crash left them), all but the newest are superseded. */
async function newest(parts: IntakeParts, stream: string): Promise<VerifiedDrop | undefined> {
  const taken = join(parts.directories.taken, stream);
  const last = lastSettled(await parts.book.all(stream));
  const open: VerifiedDrop[] = [];
  for (const name of await listDirectory(taken)) {
    const directory = join(taken, name);
    const text = name.startsWith('.') ? undefined : await readIfThere(join(directory, manifestName));
    const manifest = text === undefined ? undefined : await readTaken(parts, stream, name, text);
    const isOpen = manifest !== undefined && (judgeSequence(manifest, last) === 'new' || (await isReopened(directory)));
    if (!isOpen) await rm(directory, { recursive: true, force: true });
    else open.push({ manifest, directory });
  }
  open.sort((a, b) => byPlace(a.manifest, b.manifest));
  const next = open.pop();
  for (const old of open) {
    await rm(old.directory, { recursive: true, force: true });
    await report(parts, old.manifest, {
      state: 'superseded',
      why: `overtaken by ${next === undefined ? '' : dropName(next.manifest)}`,
    });
  }
  return next;
}

/** Written durably and whole: what is unreadable was lost by the disk. Undefined then, and the active sends it anew. */
async function readTaken(
  parts: IntakeParts,
  stream: string,
  name: string,
  text: string,
): Promise<Manifest | undefined> {
  try {
    return parseManifest(text);
  } catch (error) {
    const failure = toFailure(error);
    if (failure.class !== 'bad-data') throw failure;
    const place = placeOf(name);
    if (place === undefined || isJudged(await parts.book.all(stream), place)) return undefined;
    const why = `drop ${name} of ${stream} was taken over whole and is unreadable now: the disk lost it`;
    parts.log.warning(`${why}. It is asked for again`);
    await report(parts, { ...place, stream, digest: noDigest }, { state: 'refused', why });
    return undefined;
  }
}

async function report(parts: IntakeParts, drop: DropReference, verdict: Verdict): Promise<Receipt> {
  const { stream, epoch, sequence, digest } = drop;
  return await parts.book.write({ stream, epoch, sequence, digest, ...verdict });
}

async function settle(parts: IntakeParts, drop: VerifiedDrop, verdict: Verdict): Promise<void> {
  await report(parts, drop.manifest, verdict);
  // After the word, which the active waits for; what is not believed tells nothing.
  if (verdict.state !== 'refused') await parts.drops?.note(drop.manifest);
  const { stream } = drop.manifest;
  const keep = ['applied', 'held', 'failed'].includes(verdict.state) ? parts.archives(stream) : 0;
  if (keep === 0) return await rm(drop.directory, { recursive: true, force: true });
  const archive = join(parts.directories.archive, stream);
  await removeIfThere(join(drop.directory, reopenMark));
  const mark = join(drop.directory, appliedMark);
  await (verdict.state === 'applied' ? writeFileAtomic(mark, '', { mode: 0o600 }) : removeIfThere(mark));
  await mkdir(archive, { recursive: true, mode: 0o700 });
  await rm(join(archive, dropName(drop.manifest)), { recursive: true, force: true });
  await rename(drop.directory, join(archive, dropName(drop.manifest)));
  await pruneArchive(archive, keep, async () => {
    const isNeeded = await parts.needed();
    return (name) => isNeeded(stream, name);
  });
}

const reopenMark = '.reopened';
const isReopened = async (directory: string): Promise<boolean> =>
  (await readIfThere(join(directory, reopenMark))) !== undefined;

async function reopen({ directories, book }: IntakeParts, drop: DropReference): Promise<void> {
  const name = dropName(drop);
  const archived = join(directories.archive, drop.stream, name);
  const last = lastSettled(await book.all(drop.stream));
  if (last === undefined || dropName(last) !== name || (await readIfThere(join(archived, manifestName))) === undefined)
    return;
  await writeFileAtomic(join(archived, reopenMark), '', { mode: 0o600 });
  await mkdir(join(directories.taken, drop.stream), { recursive: true, mode: 0o700 });
  await rename(archived, join(directories.taken, drop.stream, name));
}
