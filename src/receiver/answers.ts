import { existsSync } from 'node:fs';
import { open, readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { addAbortSignal, type Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure, isErrno } from '../errors.ts';
import { isStream } from '../rules/manifest.ts';
import type { DropReference, Receipt } from '../rules/receipt.ts';
import { isEpoch, sameEpoch, type Epoch } from '../rules/epoch.ts';
import { readIfThere } from '../system/files.ts';
import { readSealed } from '../system/sign.ts';
import { enter, streamDirectory, type Receiver, type ReceiverPaths } from './gate.ts';

export type Answer = Readonly<Record<string, unknown>>;

const maxMessageBytes = 64 * 1024;
const inputMs = 10_000;
const confirmEveryMs = 55_000;
const maxMessages = 100;

/** Role, epoch and key of this master, as root signed them. Told to a refused caller too. */
export async function hello(paths: ReceiverPaths): Promise<Answer> {
  return {
    gate: (await readIfThere(paths.gate))?.trim(),
    hello: (await readIfThere(paths.hello))?.trim(),
    clock: new Date().toISOString(),
  };
}

export async function status(paths: ReceiverPaths): Promise<Answer> {
  const text = await readIfThere(paths.status);
  if (text === undefined) throw new Failure('refused', 'no status yet', { why: 'the agent does not run here' });
  return { status: JSON.parse(text) as unknown };
}

/** What this master made itself of a stream, as root signed it; nothing where it made nothing. */
export async function madeHere(paths: ReceiverPaths, stream: string): Promise<Answer> {
  return stream === 'sync-certs' ? { export: (await readIfThere(paths.madeHere))?.trim() } : {};
}

/**
 * Receipts of a stream that are newer than number `since`; waits for the first one at most `waitSeconds`. A number that
 * was never given out here is of a spare that this one replaced: then all are newer.
 */
export async function receiptsSince(
  paths: ReceiverPaths,
  request: { stream: string; since: number; waitSeconds: number },
): Promise<Answer> {
  const path = receiptPath(paths, request.stream);
  const newer = async (): Promise<string[] | undefined> => {
    const receipts = await readReceipts(path);
    const since = request.since > (receipts.at(-1)?.receipt.n ?? 0) ? 0 : request.since;
    const lines = receipts.filter(({ receipt }) => receipt.n > since).map(({ line }) => line);
    return lines.length === 0 ? undefined : lines;
  };
  return { receipts: (await poll(newer, path, request.waitSeconds * 1000, 50)) ?? [] };
}

/** Root's last word on one drop, waited for: the line as it was signed. */
export async function receiptFor(
  paths: ReceiverPaths,
  drop: DropReference,
  waitMs: number,
): Promise<string | undefined> {
  const path = receiptPath(paths, drop.stream);
  const word = async (): Promise<string | undefined> =>
    (await readReceipts(path)).findLast(
      ({ receipt }) => receipt.sequence === drop.sequence && sameEpoch(receipt.epoch, drop.epoch),
    )?.line;
  return await poll(word, path, waitMs, 4);
}

/** What root says of an order, as it signed it: its last word, waited for, or what it is at. */
export async function replyTo(
  { replies }: ReceiverPaths,
  { id, waitSeconds }: { id: string; waitSeconds: number },
): Promise<Answer> {
  const path = join(replies, `${id}.json`);
  const read = async (): Promise<string | undefined> => (await readIfThere(path))?.trim();
  const isLast = (line: string): boolean => {
    const { state } = Object(readSealed(line, 'message')) as Readonly<Record<string, unknown>>;
    return state !== 'working';
  };
  const last = async (): Promise<string | undefined> => {
    const line = await read();
    return line !== undefined && isLast(line) ? line : undefined;
  };
  return { reply: (await poll(last, path, waitSeconds * 1000, 50)) ?? (await read()) };
}

/** Keeps the peer's signed "nothing new" for root to verify, if it may write; one a minute and stream is enough. */
export async function keepConfirm(receiver: Receiver): Promise<Answer> {
  const line = await readInput(receiver.stdin);
  const { stream, epoch } = claimOf(line);
  await enter(receiver, epoch);
  const ready = join(streamDirectory(receiver.paths, stream), 'ready');
  if (!existsSync(ready)) throw new Failure('refused', 'confirm refused', { why: `${stream} is not taken in here` });
  const last = await stat(join(ready, 'confirm')).catch(() => undefined);
  if (last !== undefined && Date.now() - last.mtimeMs < confirmEveryMs) return { kept: false };
  await place(ready, 'confirm', line);
  return { kept: true };
}

/** Keeps a signed request for root to judge. */
export async function keepMessage(receiver: Receiver): Promise<Answer> {
  const line = await readInput(receiver.stdin);
  const directory = join(receiver.paths.inbox, 'messages');
  if ((await readdir(directory)).length >= maxMessages)
    throw new Failure('refused', 'message refused', { why: 'too many are waiting' });
  await place(directory, `${Date.now()}-${process.pid}`, line);
  return { kept: true };
}

async function place(directory: string, name: string, line: string): Promise<void> {
  const temporary = join(directory, `.${name}.${process.pid}`);
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(line);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, join(directory, name));
}

// Read without verifying: root alone believes it. Here it only picks the directory, out of the known names.
function claimOf(line: string): { stream: string; epoch: Epoch } {
  const { stream, epoch } = Object(readSealed(line, 'confirm')) as Readonly<Record<string, unknown>>;
  if (typeof stream !== 'string' || !isStream(stream))
    throw new Failure('refused', 'confirm refused', { why: 'unknown stream' });
  if (!isEpoch(epoch)) throw new Failure('refused', 'confirm refused', { why: 'it names no epoch' });
  return { stream, epoch };
}

async function readInput(stdin: Readable): Promise<string> {
  const refused = (cause?: unknown): Failure =>
    new Failure('refused', 'message refused', { why: 'too long, or too slow', cause });
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of addAbortSignal(AbortSignal.timeout(inputMs), stdin)) {
      size += (chunk as Buffer).length;
      if (size > maxMessageBytes) throw refused();
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    throw error instanceof Failure ? error : refused(error);
  }
  return Buffer.concat(chunks).toString('utf8').trim();
}

const receiptPath = (paths: ReceiverPaths, stream: string): string => join(paths.receipts, `${stream}.jsonl`);

async function readReceipts(path: string): Promise<{ line: string; receipt: Receipt }[]> {
  const lines = ((await readIfThere(path)) ?? '').split('\n').slice(0, -1);
  return lines.map((line) => ({ line, receipt: readSealed(line, 'receipt') as Receipt }));
}

/** Asks again whenever the file has changed, until there is an answer or the time is over. */
async function poll<T>(
  ask: () => Promise<T | undefined>,
  path: string,
  forMs: number,
  everyMs: number,
): Promise<T | undefined> {
  const deadline = performance.now() + forMs;
  let seen = '';
  for (;;) {
    const now = await changeMark(path);
    const answer = now === seen ? undefined : await ask();
    if (answer !== undefined || performance.now() >= deadline) return answer;
    seen = now;
    await sleep(everyMs);
  }
}

async function changeMark(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs}`;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 'missing';
    throw error;
  }
}
