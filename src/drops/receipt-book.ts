import { join } from 'node:path';
import { programVersion } from '../rules/program.ts';
import { lastSettled, parseReceipt, shortened, type Receipt } from '../rules/receipt.ts';
import { appendLine, listDirectory, readIfThere, writeFileAtomic, type Ownership } from '../system/files.ts';
import { readSealed, resealed, seal, type Signer } from '../system/sign.ts';

const keep = 200;
const rewriteAt = 2 * keep;

/** The spare's words, `receipts/STREAM.jsonl`: each line signed by root, read by the gate, never changed. */
export interface ReceiptBook {
  all(stream: string): Promise<Receipt[]>;
  write(receipt: Omit<Receipt, 'format' | 'n' | 'at' | 'spare' | 'program'>): Promise<Receipt>;
  /** Every line with the key in use now: the words stay as they are. */
  signAnew(): Promise<void>;
}

export function createReceiptBook(
  directory: string,
  signer: Signer,
  spare: string,
  ownership: Ownership,
  now: () => Date,
): ReceiptBook {
  const path = (stream: string): string => join(directory, `${stream}.jsonl`);
  const lines = async (stream: string): Promise<string[]> =>
    ((await readIfThere(path(stream))) ?? '').split('\n').slice(0, -1);
  return {
    signAnew: async () => {
      for (const name of await listDirectory(directory)) {
        if (!name.endsWith('.jsonl')) continue;
        const anew = (await lines(name.replace(/\.jsonl$/, ''))).map((line) => resealed(signer, 'receipt', line));
        await writeFileAtomic(join(directory, name), anew.map((line) => `${line}\n`).join(''), ownership);
      }
    },
    all: async (stream) => (await lines(stream)).map(read),
    write: async (words) => {
      const known = await lines(words.stream);
      const last = known.at(-1);
      const n = last === undefined ? 1 : read(last).n + 1;
      const place = { at: now().toISOString(), spare, program: programVersion };
      const receipt = shortened({ format: 1, n, ...words, ...place });
      const line = seal(signer, 'receipt', receipt);
      // The first line makes the file with its owner; later ones are single durable appends.
      if (known.length === 0 || known.length >= rewriteAt) {
        await writeFileAtomic(path(words.stream), `${[...worthKeeping(known), line].join('\n')}\n`, ownership);
      } else {
        await appendLine(path(words.stream), line);
      }
      return receipt;
    },
  };
}

// Neither a flood of refused drops nor reports of one that waits may push out what was settled: old drops would pass for new ones.
function worthKeeping(lines: readonly string[]): string[] {
  const settled = lastSettled(lines.map(read))?.n;
  const believed = lines.filter((line) => read(line).state !== 'refused').slice(-keep / 4);
  return lines.filter((line, at) => at >= lines.length - keep || believed.includes(line) || read(line).n === settled);
}

const read = (line: string): Receipt => parseReceipt(readSealed(line, 'receipt'));
