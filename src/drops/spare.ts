import type { Pairing } from '../rules/pairing.ts';
import type { Paths } from '../rules/paths.ts';
import type { Clock } from '../system/clock.ts';
import type { Ownership } from '../system/files.ts';
import type { JobLog } from '../system/log.ts';
import type { Signer } from '../system/sign.ts';
import { createState, type State } from '../system/state.ts';
import { createEpochBook, noEpoch, type EpochBook } from './epoch-book.ts';
import { createGateFile, type GateFile } from './gate-file.ts';
import { writeHello } from './hello-file.ts';
import { createHolds, type Holds } from './holds.ts';
import { createIntake, type Intake, type IntakeParts } from './intake.ts';
import { createReceiptBook, type ReceiptBook } from './receipt-book.ts';

export interface SpareParts {
  readonly paths: Paths;
  readonly clock: Clock;
  readonly log: JobLog;
  readonly signer: Signer;
  readonly own: Pairing;
  /** The active, by the pairing line in the fact. */
  readonly source: () => Promise<Pairing>;
  /** Of what the gate reads. */
  readonly published: Ownership;
  readonly archives: (stream: string) => number;
}

/** Everything that a spare needs to take drops in. */
export interface Spare {
  readonly intake: Intake;
  readonly holds: Holds;
  readonly book: ReceiptBook;
  readonly gate: GateFile;
  readonly epochs: EpochBook;
  readonly adoption: AdoptionRequest;
  /** Tells the gate anew who we are and what we have. */
  introduce(): Promise<void>;
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
  const gate = createGateFile(paths.gate, signer, own.certname, published, now);
  const epochs = createEpochBook(createState(paths.state), now);
  const adoption = createAdoptionRequest(createState(paths.state), () => introduce());
  const introduce = async (): Promise<void> =>
    writeHello({
      adopt: await adoption.wanted(),
      path: paths.hello,
      receipts: paths.receipts,
      signer,
      own,
      book: written,
      ownership: published,
    });
  const book: ReceiptBook = {
    all: written.all,
    write: async (words) => {
      const receipt = await written.write(words);
      if (receipt.state === 'applied' || receipt.state === 'unchanged') await epochs.applied(receipt.epoch);
      await introduce();
      return receipt;
    },
  };
  const intake = createIntake(intakeParts(parts, book, gate, epochs));
  return { intake, holds: createHolds(createState(paths.holds), now), book, gate, epochs, adoption, introduce };
}

function intakeParts(parts: SpareParts, book: ReceiptBook, gate: GateFile, epochs: EpochBook): IntakeParts {
  const { paths, clock, own, source, log, archives } = parts;
  const confirmations = createState(paths.streams);
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
      const known = await gate.read();
      if (known !== undefined) await gate.write({ ...known, epoch });
    },
    confirmed: (stream, digest) =>
      confirmations.write(`${stream}.confirmed`, { digest, at: clock.now().toISOString() }),
    archives,
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
