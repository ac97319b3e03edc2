import { failed, type Trouble } from './repeats.ts';
import { spokenBytes } from './spoken.ts';

/** What is known of a file system, in bytes and in files. */
export interface FileSystem {
  readonly mount: string;
  readonly bytes: number;
  /** For root, who may not use what is reserved for others either. */
  readonly free: number;
  /** Zero: it counts none. */
  readonly files: number;
  readonly freeFiles: number;
}

export interface SpaceLimits {
  /** Of all bytes and of all files, from 0 to 1. */
  readonly share: number;
  /** So many free bytes are enough, whatever the share. */
  readonly enough: number;
  /** What the program itself wants free there: below it, the next dump would fail. */
  readonly wanted: (mount: string) => number;
}

/** Once it is said, so much more must be free for it to be over: what comes and goes near the limit says nothing. */
const againFactor = 1.25;

/** Why there is too little room soon, in words; undefined: there is enough. `was`: it was said before. */
export function whyNearlyFull(one: FileSystem, limits: SpaceLimits, was: boolean): string | undefined {
  const factor = was ? againFactor : 1;
  const least = Math.max(Math.min(one.bytes * limits.share, limits.enough), limits.wanted(one.mount));
  if (one.free < least * factor) return `${spokenBytes(one.free)} of ${spokenBytes(one.bytes)} free`;
  if (one.freeFiles < one.files * limits.share * factor)
    return `room for ${one.freeFiles} of ${one.files} files is left`;
  return undefined;
}

/** A file system that has too little room soon. */
export interface NearlyFull {
  readonly mount: string;
  readonly why: string;
  /** The largest of ours there; undefined: nothing of ours lies there. */
  readonly largest: { readonly path: string; readonly bytes: number } | undefined;
}

/** One sentence, with what to type. */
export function nearlyFullSentence({ mount, why, largest }: NearlyFull): string {
  const ours =
    largest === undefined ? '' : `. The largest of ours there: ${largest.path}, ${spokenBytes(largest.bytes)}`;
  return `${mount} is nearly full: ${why}${ours}. Free some space; see what lies there: du -xh ${mount} | sort -h | tail`;
}

/** What was said of each file system, by where it is mounted. */
export type SpaceTroubles = ReadonlyMap<string, Trouble>;

export interface SpaceLine {
  readonly status: 'WARNING' | 'SUCCESS';
  readonly text: string;
}

/** What to say after a look: each once, again after hours, and when it is over. One that could not be looked at stays as it was. */
export function tellSpace(
  before: SpaceTroubles,
  seen: readonly FileSystem[],
  full: readonly NearlyFull[],
  now: number,
): { readonly troubles: SpaceTroubles; readonly lines: readonly SpaceLine[] } {
  const troubles = new Map(before);
  const lines: SpaceLine[] = [];
  for (const { mount, free, bytes } of seen) {
    const nearly = full.find((one) => one.mount === mount);
    if (nearly !== undefined) {
      const { trouble, say } = failed(troubles.get(mount), { class: 'dependency', cause: mount }, now);
      troubles.set(mount, trouble);
      if (say !== undefined) lines.push({ status: 'WARNING', text: nearlyFullSentence(nearly) });
    } else if (troubles.delete(mount)) {
      const text = `${mount} has room again: ${spokenBytes(free)} of ${spokenBytes(bytes)} free`;
      lines.push({ status: 'SUCCESS', text });
    }
  }
  return { troubles, lines };
}

/** Why so much does not fit; undefined: it does. */
export function whyNoRoom(free: number, needed: number, reserve: number): string | undefined {
  if (free >= needed + reserve) return undefined;
  const kept = reserve === 0 ? '' : `, and ${spokenBytes(reserve)} are to stay free`;
  return `${spokenBytes(free)} free, ${spokenBytes(needed)} needed${kept}`;
}
