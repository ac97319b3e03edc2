import type { TakenConfirmation } from '../rules/confirm.ts';
import { sameEpoch } from '../rules/epoch.ts';
import { countingWords } from '../rules/fetch-anew.ts';
import type { AcceptedDrop, Hello } from '../rules/hello.ts';
import { formatPairing, type Pairing } from '../rules/pairing.ts';
import { programVersion } from '../rules/program.ts';
import type { KeyWords } from '../rules/rotation.ts';
import { arrived, type Receipt } from '../rules/receipt.ts';
import { listDirectory, writeFileAtomic, type Ownership } from '../system/files.ts';
import { seal, type Signer } from '../system/sign.ts';
import type { ForgottenWords } from './fetch-anew.ts';
import type { ReceiptBook } from './receipt-book.ts';

export interface HelloParts {
  readonly path: string;
  readonly receipts: string;
  readonly signer: Signer;
  readonly own: Pairing;
  readonly book: ReceiptBook;
  /** The last confirmation of a stream that was taken. */
  readonly confirmation: (stream: string) => Promise<TakenConfirmation | undefined>;
  readonly now: () => Date;
  readonly ownership: Ownership;
  readonly adopt: string | undefined;
  readonly madeHere: string | undefined;
  readonly room: number | undefined;
  readonly keyWords: KeyWords;
  /** What is to be fetched anew counts no more. */
  readonly forgotten: ForgottenWords;
}

/**
 * Writes what the gate tells a peer of this master: who it is, what it has accepted of each stream, and that its root was
 * there at this time. INVARIANT: the time is taken first, so all that was settled before it is in.
 */
export async function writeHello(parts: HelloParts): Promise<void> {
  const at = parts.now().toISOString();
  const accepted: Record<string, AcceptedDrop> = {};
  const receipts: Record<string, number> = {};
  for (const name of await listDirectory(parts.receipts)) {
    if (!name.endsWith('.jsonl')) continue;
    const stream = name.replace(/\.jsonl$/, '');
    const words = await parts.book.all(stream);
    const counting = countingWords(words, parts.forgotten[stream]);
    const [last, newest] = [words.at(-1), counting.findLast(({ state }) => arrived(state))];
    if (last !== undefined) receipts[stream] = last.n;
    if (newest !== undefined) accepted[stream] = acceptedDrop(newest, await parts.confirmation(stream));
  }
  const hello: Hello = {
    format: 1,
    at,
    pairing: formatPairing(parts.own),
    accepted,
    receipts,
    program: programVersion,
    ...parts.keyWords,
    ...(parts.adopt === undefined ? {} : { adopt: parts.adopt }),
    ...(parts.madeHere === undefined ? {} : { madeHere: parts.madeHere }),
    ...(parts.room === undefined ? {} : { room: parts.room }),
  };
  await writeFileAtomic(parts.path, `${seal(parts.signer, 'message', hello)}\n`, parts.ownership);
}

function acceptedDrop({ epoch, sequence, digest }: Receipt, taken: TakenConfirmation | undefined): AcceptedDrop {
  const isOfIt = taken !== undefined && taken.digest === digest && sameEpoch(taken.epoch, epoch);
  return { epoch, sequence, digest, ...(isOfIt ? { confirmed: taken.at } : {}) };
}
