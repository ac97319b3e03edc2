import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { Failure } from '../errors.ts';
import { replyLimit, type Reply } from '../rules/order.ts';
import { programVersion } from '../rules/program.ts';
import { listDirectory, writeFileAtomic, type Ownership } from '../system/files.ts';
import { seal, type Signer } from '../system/sign.ts';

/** Root's answers to the orders of the other master, where the gate reads them. */
export interface Replies {
  write(reply: Omit<Reply, 'format' | 'kind' | 'program'>): Promise<void>;
  /** What is left of an earlier life of the agent is nobody's answer. */
  clear(): Promise<void>;
  /** Keeps the newest of them. */
  prune(ids: readonly string[]): Promise<void>;
}

export interface RepliesParts {
  readonly directory: string;
  readonly signer: Signer;
  readonly ownership: Ownership;
}

export function createReplies({ directory, signer, ownership }: RepliesParts): Replies {
  const removeBut = async (ids: readonly string[]): Promise<void> => {
    for (const name of await listDirectory(directory))
      if (!ids.some((id) => name === `${id}.json`)) await rm(join(directory, name), { force: true });
  };
  return {
    write: (reply) => {
      const whole: Reply = { format: 1, kind: 'reply', ...reply, program: programVersion };
      return writeFileAtomic(join(directory, `${reply.id}.json`), `${seal(signer, 'message', whole)}\n`, ownership);
    },
    clear: () => removeBut([]),
    prune: removeBut,
  };
}

const [zip, unzip] = [promisify(gzip), promisify(gunzip)];
const unpackedLimit = 200_000_000;

/** A result for a reply. Throws `refused` where no answer has room for it. */
export async function packResult(result: unknown): Promise<string> {
  const packed = (await zip(JSON.stringify(result ?? null))).toString('base64');
  if (packed.length <= replyLimit) return packed;
  throw new Failure('refused', 'the answer is too long', { why: `${packed.length} bytes, at most ${replyLimit}` });
}

/** Throws `bad-data`. */
export async function unpackResult(packed: string): Promise<unknown> {
  try {
    const text = await unzip(Buffer.from(packed, 'base64'), { maxOutputLength: unpackedLimit });
    return JSON.parse(text.toString('utf8'));
  } catch (cause) {
    throw new Failure('bad-data', 'reply refused', { why: 'its result cannot be read', cause });
  }
}
