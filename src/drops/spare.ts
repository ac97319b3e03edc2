import { isNews, type Confirmation, type TakenConfirmation } from '../rules/confirm.ts';
import { isEpoch } from '../rules/epoch.ts';
import type { Gate } from '../rules/gate.ts';
import type { Quota } from '../rules/inbox-quota.ts';
import type { KnownPeer, Pairing } from '../rules/pairing.ts';
import type { Paths } from '../rules/paths.ts';
import { arrived, isLive, type Receipt } from '../rules/receipt.ts';
import type { Clock } from '../system/clock.ts';
import { fileSystemOf } from '../system/file-systems.ts';
import type { Ownership } from '../system/files.ts';
import { inTurn } from '../system/in-turn.ts';
import type { JobLog } from '../system/log.ts';
import type { Signer } from '../system/sign.ts';
import type { KeyWords, NextKeys } from '../rules/rotation.ts';
import { createState, type State } from '../system/state.ts';
import { createBinding, type Binding } from './binding.ts';
import { createDropBook } from './drop-book.ts';
import { createEpochBook, noEpoch, type EpochBook } from './epoch-book.ts';
import { createFetchAnewBook, type FetchAnewBook } from './fetch-anew.ts';
import { createGateFile, type GateFile } from './gate-file.ts';
import { writeHello } from './hello-file.ts';
import { createHolds, type Holds } from './holds.ts';
import { createIntake, type Intake, type IntakeParts } from './intake.ts';
import { createMadeHereFile, type MadeHereFile } from './made-here-file.ts';
import { signOutboxAnew } from './outbox.ts';
import { createReceiptBook, type ReceiptBook } from './receipt-book.ts';
import { neededBy } from './retention.ts';

export interface SpareParts {
  readonly paths: Paths;
  readonly clock: Clock;
  readonly log: JobLog;
  readonly signer: Signer;
  readonly own: Pairing;
  /** While this master changes its keys: the next ones. */
  readonly nextKeys?: () => Promise<NextKeys | undefined>;
  /** The active, by the pairing line in the fact. */
  readonly source: () => Promise<KnownPeer>;
  /** Of what the gate reads. */
  readonly published: Ownership;
  readonly archives: (stream: string) => number;
  /** Of the inbox. */
  readonly quota: Quota;
  /** Bytes that no dump may use up. */
  readonly freeSpace?: number;
}

/** Everything that a spare needs to take drops in. */
export interface Spare {
  readonly intake: Intake;
  readonly holds: Holds;
  readonly book: ReceiptBook;
  readonly gate: GateFile;
  readonly epochs: EpochBook;
  readonly binding: Binding;
  readonly adoption: AdoptionRequest;
  readonly madeHere: MadeHereFile;
  /** From now on, each receipt that is written here. */
  hear(listener: (receipt: Receipt) => void): void;
  readonly fetchAnew: FetchAnewBook;
  /** Tells the gate anew who we are and what we have. */
  introduce(): Promise<void>;
  /** All that this master's root signed and others may still read, with the key in use now; the greeting last. */
  signAnew(): Promise<void>;
}

/** An admin's word that the active's CA shall replace what is here: `state/adopt.json`. */
export interface AdoptionRequest {
  /** sha256 of the CA certificate, hexadecimal. */
  wanted(): Promise<string | undefined>;
  ask(fingerprint: string): Promise<void>;
  done(): Promise<void>;
}

export function createSpare(parts: SpareParts): Spare {
  const { paths, clock, signer, own, published } = parts;
  const now = (): Date => clock.now();
  const written = createReceiptBook(paths.receipts, signer, own.certname, published, now);
  const binding = createBinding(createState(paths.state));
  const gate = createGateFile(paths.gate, signer, own.certname, published, now, settledIn(binding, parts.quota));
  const epochs = createEpochBook(createState(paths.state), now);
  const adoption = createAdoptionRequest(createState(paths.state), () => introduce());
  const confirmations = createConfirmations(createState(paths.streams), written, now);
  const fetchAnew = createFetchAnewBook(createState(paths.state));
  const madeHere = madeHereOf(parts, () => introduce());
  const turn = inTurn(); // what is written last was read last
  const introduce = (): Promise<void> =>
    turn(async () =>
      writeHello({
        adopt: await adoption.wanted(),
        madeHere: await madeHere.digest(),
        room: await roomForDump(paths, parts.freeSpace),
        keyWords: await keyWords(parts, gate),
        forgotten: await fetchAnew.read(),
        ...{ path: paths.hello, receipts: paths.receipts, signer, own },
        book: written,
        confirmation: confirmations.last,
        now,
        ownership: published,
      }),
    );
  let heard: (receipt: Receipt) => void = () => undefined;
  const book = announcing(written, epochs, introduce, (receipt) => heard(receipt));
  const confirmed = async (words: Confirmation): Promise<void> =>
    (await confirmations.take(words)) ? await introduce() : undefined;
  const intake = createIntake({ ...intakeParts(parts, book, gate, epochs), confirmed });
  return {
    ...{ intake, book, gate, epochs, binding, adoption, madeHere, fetchAnew, introduce },
    holds: createHolds(createState(paths.holds), now),
    hear: (listener) => void (heard = listener),
    signAnew: () => signAnew(parts, { gate, written, madeHere, introduce }),
  };
}

interface Signed {
  readonly gate: GateFile;
  readonly written: ReceiptBook;
  readonly madeHere: MadeHereFile;
  readonly introduce: () => Promise<void>;
}

async function signAnew({ paths, signer }: SpareParts, { gate, written, madeHere, introduce }: Signed): Promise<void> {
  await gate.update(() => ({}));
  await written.signAnew();
  await madeHere.signAnew();
  await signOutboxAnew(paths.outbox, signer);
  await introduce();
}

async function keyWords({ nextKeys }: SpareParts, gate: GateFile): Promise<KeyWords> {
  const next = await nextKeys?.();
  const accepts = (await gate.read().catch(() => undefined))?.logins; // one that cannot be read is made anew
  return { ...(next === undefined ? {} : { next }), ...(accepts === undefined ? {} : { accepts }) };
}

const settledIn = (binding: Binding, quota: Quota) => async (): Promise<Pick<Gate, 'machine' | 'quota'>> => {
  const id = (await binding.read())?.id;
  return { quota, ...(id === undefined ? {} : { machine: id }) };
};

/** A word is in the greeting as soon as it is written. */
const announcing = (
  written: ReceiptBook,
  epochs: EpochBook,
  introduce: () => Promise<void>,
  heard: (receipt: Receipt) => void,
): ReceiptBook => ({
  all: written.all,
  signAnew: written.signAnew,
  write: async (words) => {
    const receipt = await written.write(words);
    if (isLive(receipt)) await epochs.applied(receipt.stream, receipt.epoch);
    await introduce();
    heard(receipt);
    return receipt;
  },
});

const madeHereOf = ({ paths, signer, own, published, clock, source }: SpareParts, introduce: () => Promise<void>) =>
  createMadeHereFile({
    ...{ path: paths.madeHere, signer, source: own.certname, ownership: published, introduce },
    target: async () => (await source()).certname,
    now: () => clock.now(),
  });

/** It lies in the inbox and is copied out of it: where that is one file system, each byte is needed twice. */
async function roomForDump({ inbox, taken }: Paths, reserve = 0): Promise<number | undefined> {
  const [arrives, copied] = [await fileSystemOf(inbox), await fileSystemOf(taken)];
  if (arrives === undefined || copied === undefined) return undefined;
  const free = Math.min(arrives.free, copied.free) - reserve;
  return Math.max(0, Math.floor(arrives.mount === copied.mount ? free / 2 : free));
}

interface Confirmations {
  last(stream: string): Promise<TakenConfirmation | undefined>;
  /** False: it says nothing new. */
  take(words: Confirmation): Promise<boolean>;
}

function createConfirmations(state: State, book: ReceiptBook, now: () => Date): Confirmations {
  const last = async (stream: string): Promise<TakenConfirmation | undefined> => {
    const found = await state.read<Partial<TakenConfirmation>>(`${stream}.confirmed`);
    // One of an earlier version names no greeting: the next confirm takes its place.
    return isEpoch(found?.epoch) && found.greeting !== undefined ? (found as TakenConfirmation) : undefined;
  };
  return {
    last,
    take: async (words) => {
      const { stream, epoch, digest, at, greeting } = words;
      const accepted = (await book.all(stream)).findLast((receipt) => arrived(receipt.state));
      if (!isNews(words, accepted, await last(stream), now())) return false;
      await state.write(`${stream}.confirmed`, { epoch, digest, at, greeting } satisfies TakenConfirmation);
      return true;
    },
  };
}

function intakeParts(
  parts: SpareParts,
  book: ReceiptBook,
  gate: GateFile,
  epochs: EpochBook,
): Omit<IntakeParts, 'confirmed'> {
  const { paths, own, source, log, archives, clock } = parts;
  return {
    directories: { inbox: paths.inbox, taken: paths.taken, archive: paths.archive },
    certname: own.certname,
    source,
    book,
    log,
    now: () => clock.now(),
    epoch: async () => (await epochs.read())?.seen ?? noEpoch,
    raiseEpoch: async (epoch) => {
      await epochs.raise(epoch);
      await gate.update(() => ({ epoch }));
    },
    archives,
    drops: createDropBook(paths.drops, () => clock.now()),
    freeSpace: parts.freeSpace ?? 0,
    needed: () => neededBy({ paths, book }),
  };
}

function createAdoptionRequest(state: State, introduce: () => Promise<void>): AdoptionRequest {
  return {
    wanted: async () => (await state.read<{ fingerprint: string }>('adopt'))?.fingerprint,
    ask: async (fingerprint) => {
      await state.write('adopt', { fingerprint });
      await introduce();
    },
    done: async () => {
      await state.remove('adopt');
      await introduce();
    },
  };
}
