import { join } from 'node:path';
import { contentOf, readDropLine, wordOf, type DropLine } from '../rules/drop-line.ts';
import type { Manifest } from '../rules/manifest.ts';
import type { DropReference, Receipt } from '../rules/receipt.ts';
import { appendLine, ensureDirectory, readIfThere, writeFileAtomic } from '../system/files.ts';
import { bytesOf } from '../system/trees.ts';

/** What this master sent or applied, drop by drop: `state/drops/STREAM.jsonl`. It serves `history`, and fails no pass. */
export interface DropBook {
  /** A drop was published, or settled. */
  note(manifest: Manifest): Promise<void>;
  /** The other root said what became of it. */
  noteWord(receipt: Receipt): Promise<void>;
  /** Oldest first, as far as they are kept. */
  all(stream: string): Promise<DropLine[]>;
}

/** Bytes of one stream's book, and what is kept of it when it has more. */
const most = 1024 * 1024;
const kept = most / 2;

export function createDropBook(directory: string, now: () => Date): DropBook {
  const path = (stream: string): string => join(directory, `${stream}.jsonl`);
  const append = async ({ stream, epoch, sequence }: Omit<DropReference, 'digest'>, what: object): Promise<void> => {
    const line = JSON.stringify({ at: now().toISOString(), epoch, sequence, ...what });
    try {
      await ensureDirectory(directory, { mode: 0o700 });
      await appendLine(path(stream), line);
      if ((await bytesOf(path(stream))) > most) await shorten(path(stream));
    } catch {
      // A disk that is full or read-only is told by what has to be written.
    }
  };
  return {
    note: (manifest) => append(manifest, { content: contentOf(manifest) }),
    noteWord: (receipt) => append(receipt, { word: wordOf(receipt) }),
    all: async (stream) =>
      ((await readIfThere(path(stream))) ?? '').split('\n').flatMap((line) => readDropLine(line) ?? []),
  };
}

async function shorten(path: string): Promise<void> {
  const lines = ((await readIfThere(path)) ?? '').split('\n').slice(0, -1);
  let bytes = 0;
  const newest = lines.reverse().filter((line) => (bytes += line.length + 1) <= kept);
  const text = newest.reverse().map((line) => `${line}\n`);
  await writeFileAtomic(path, text.join(''), { mode: 0o600 });
}
