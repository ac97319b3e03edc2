import type { AcceptedDrop, Hello } from '../rules/hello.ts';
import { formatPairing, type Pairing } from '../rules/pairing.ts';
import { arrived } from '../rules/receipt.ts';
import { listDirectory, writeFileAtomic, type Ownership } from '../system/files.ts';
import { seal, type Signer } from '../system/sign.ts';
import type { ReceiptBook } from './receipt-book.ts';

export interface HelloParts {
  readonly path: string;
  readonly receipts: string;
  readonly signer: Signer;
  readonly own: Pairing;
  readonly book: ReceiptBook;
  readonly ownership: Ownership;
  readonly adopt: string | undefined;
}

/** Writes what the gate tells a peer of this master: who it is, and what it has accepted of each stream. */
export async function writeHello(parts: HelloParts): Promise<void> {
  const accepted: Record<string, AcceptedDrop> = {};
  for (const name of await listDirectory(parts.receipts)) {
    const stream = name.replace(/\.jsonl$/, '');
    const last = name.endsWith('.jsonl')
      ? (await parts.book.all(stream)).findLast(({ state }) => arrived(state))
      : undefined;
    if (last !== undefined) accepted[stream] = { epoch: last.epoch, sequence: last.sequence, digest: last.digest };
  }
  const hello: Hello = {
    format: 1,
    pairing: formatPairing(parts.own),
    accepted,
    ...(parts.adopt === undefined ? {} : { adopt: parts.adopt }),
  };
  await writeFileAtomic(parts.path, `${seal(parts.signer, 'message', hello)}\n`, parts.ownership);
}
