import { basename, dirname, join } from 'node:path';
import { rename } from 'node:fs/promises';
import { isErrno } from '../errors.ts';
import {
  dropsNamedIn,
  mayJudgeAge,
  toPrune,
  watchClock,
  type Archived,
  type ClockWatch,
  type RetentionLimits,
} from '../rules/retention.ts';
import type { Paths } from '../rules/paths.ts';
import { lastSettled } from '../rules/receipt.ts';
import { dropName, isStream } from '../rules/manifest.ts';
import { fileSystemOf } from '../system/file-systems.ts';
import { listDirectory, readIfThere, sweepTemporary, temporaryPattern } from '../system/files.ts';
import { createState } from '../system/state.ts';
import { bytesOf, changedAt, removeWhole } from '../system/trees.ts';
import { generationsIn } from './archive.ts';
import type { ReceiptBook } from './receipt-book.ts';

export interface RetentionParts {
  readonly paths: Paths;
  readonly book: Pick<ReceiptBook, 'all'>;
  readonly limits: RetentionLimits & {
    /** Of the events, with what is kept of them. */
    readonly eventsBytes: number;
  };
  readonly now: () => Date;
  /** So much the next dump wants free where the archives lie: the oldest of them give way to it. */
  readonly wanted: () => Promise<number>;
  /** Where the CA lies, whose predecessors lie beside it; undefined where it is not known now. */
  readonly cadir: () => Promise<string | undefined>;
}

/** What was removed, as paths. */
export type Pruned = readonly string[];

/** In none of these lies what can be spared: the way back of a switch. */
const notArchives = new Set(['key-files']);
/** One file for each certificate. */
const certificates = 'made-by-spare';

/**
 * Prunes everything that this program archives, by number, age and size. Killed anywhere, the next one goes on. Throws what it
 * could not do at the end, when the rest is done.
 */
export async function pruneAll(parts: RetentionParts): Promise<Pruned> {
  const { paths, limits, now } = parts;
  const at = now().getTime();
  const ageMs = (await isClockSteady(paths, at)) ? limits.ageMs : Infinity;
  const archived = await listArchives(parts);
  const bytes = Math.min(limits.bytes, await bytesToSpare(parts, archived));
  const gone = toPrune(archived, { ...limits, ageMs, bytes }, at).map(({ kind, name }) =>
    join(paths.archive, kind, name),
  );
  const replaced = await replacedAuthorities(parts);
  const failures: unknown[] = [];
  for (const path of [...gone, ...replaced]) await removeWhole(path).catch((error: unknown) => failures.push(error));
  await turnEvents(paths.events, limits.eventsBytes).catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
  return [...gone, ...replaced];
}

async function bytesToSpare({ paths, wanted }: RetentionParts, archived: readonly Archived[]): Promise<number> {
  const found = await fileSystemOf(paths.archive);
  const taken = archived.reduce((sum, { bytes }) => sum + bytes, 0);
  return found === undefined ? Infinity : taken + found.free - (await wanted());
}

/** Every archive but the CAs that an adoption replaced, each kind oldest first. */
export async function listArchives(parts: Pick<RetentionParts, 'paths' | 'book'>): Promise<Archived[]> {
  const { paths } = parts;
  const isNeeded = await neededBy(parts);
  const found: Archived[] = [];
  for (const kind of await listDirectory(paths.archive)) {
    if (notArchives.has(kind)) continue;
    const directory = join(paths.archive, kind);
    await sweepTemporary(directory).catch(() => undefined); // a file system that takes nothing is told by what follows
    const generations =
      kind === certificates
        ? await filesIn(directory, kind)
        : await generationsIn(directory, kind, (name) => isNeeded(kind, name), { measured: true });
    found.push(...generations);
  }
  return found;
}

async function filesIn(directory: string, kind: string): Promise<Archived[]> {
  const found: Archived[] = [];
  for (const name of await listDirectory(directory)) {
    const at = name.endsWith('.pem') ? await changedAt(join(directory, name)) : undefined;
    if (at === undefined) continue;
    found.push({ kind, name, at, good: true, needed: false, bytes: await bytesOf(join(directory, name)) });
  }
  return found.sort((one, other) => one.at - other.at);
}

/**
 * What anybody still counts on: what a hold, a record of a database, an interrupted operation or a drop that waits names, and
 * the drop with the last word on a stream, which a release hands out once more.
 */
export async function neededBy({
  paths,
  book,
}: Pick<RetentionParts, 'paths' | 'book'>): Promise<(kind: string, name: string) => boolean> {
  const texts = [
    ...(await textsIn(paths.holds, /\.json$/)),
    ...(await textsIn(paths.journal, /\.jsonl$/)),
    ...(await textsIn(paths.state, /^(restore-.*|held-ca)\.json$/)),
  ];
  const drops = new Set<string>();
  for (const text of texts) for (const line of text.split('\n')) dropsNamedIn(parsed(line), drops);
  for (const text of texts) dropsNamedIn(parsed(text), drops);
  for (const name of await listDirectory(paths.receipts)) {
    const stream = name.replace(/\.jsonl$/, '');
    const last = isStream(stream) ? lastSettled(await book.all(stream)) : undefined;
    if (last !== undefined) drops.add(`${stream} ${dropName(last)}`);
  }
  for (const stream of await listDirectory(paths.taken))
    for (const name of await listDirectory(join(paths.taken, stream))) drops.add(`${stream} ${name}`);
  return (kind, name) =>
    drops.has(`${kind} ${name}`) || drops.has(`* ${name}`) || texts.some((text) => text.includes(name));
}

async function textsIn(directory: string, pattern: RegExp): Promise<string[]> {
  const names = (await listDirectory(directory)).filter((name) => pattern.test(name));
  return await Promise.all(names.map(async (name) => (await readIfThere(join(directory, name))) ?? ''));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function isClockSteady(paths: Paths, now: number): Promise<boolean> {
  const state = createState(paths.state);
  const watch = watchClock(await state.read<ClockWatch>('clock-watch').catch(() => undefined), now);
  await state.write('clock-watch', watch);
  return mayJudgeAge(watch);
}

/** By number alone: the key in it is nowhere else. */
async function replacedAuthorities({ cadir, limits }: RetentionParts): Promise<string[]> {
  const live = await cadir();
  if (live === undefined) return [];
  const directory = dirname(live);
  const kind = `${basename(live)}.replaced`;
  const all = await generationsIn(directory, kind, () => false, { measured: false });
  const ours = all.filter(({ name }) => name.startsWith(`${kind}-`));
  const gone = toPrune(ours, { count: limits.count, ageMs: Infinity, bytes: Infinity }, 0).map(({ name }) => name);
  const half = (await listDirectory(directory)).filter(
    (name) => temporaryPattern.test(name) && name.startsWith(`.pe-failover-${kind}-`),
  );
  return [...half, ...gone].map((name) => join(directory, name));
}

/** The events go on in a new file; one older is kept. */
async function turnEvents(path: string, limit: number): Promise<void> {
  if ((await bytesOf(path)) * 2 <= limit) return;
  await rename(path, `${path}.1`).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT')) throw error;
  });
}

/** The bytes of the largest of the last dumps, wherever it lies: what the next one may take. */
export async function largestDump(paths: Pick<Paths, 'outbox' | 'taken' | 'archive'>): Promise<number> {
  const sizes = [0];
  for (const home of [paths.outbox, paths.taken, paths.archive]) {
    for (const stream of (await listDirectory(home)).filter((name) => name.startsWith('db-dump.'))) {
      const last = (await generationsIn(join(home, stream), stream, () => false, { measured: false })).at(-1);
      if (last !== undefined) sizes.push(await bytesOf(join(home, stream, last.name)));
    }
  }
  return Math.max(...sizes);
}
