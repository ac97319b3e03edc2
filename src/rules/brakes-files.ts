import { counted } from './spoken.ts';
import { isTooMuch, type BrakeLimits } from './brake-limits.ts';

/** Why removals of files wait for a person. */
export interface FilesBrake {
  readonly rule: 'files-source-empty' | 'files-vanish';
  readonly sentence: string;
}

export const filesLimits: BrakeLimits = { share: 0.2, atLeast: 10 };

export interface FilesCounts {
  /** Files that the active had; of these, how many it has no more; new ones. */
  readonly before: number;
  readonly removed: number;
  readonly added: number;
  /** New ones of a moment before, in whose place none went yet. */
  readonly others?: number;
}

/** Who replaces files whose names have versions in them lost none. */
export function filesBrake(
  { before, removed, added, others = 0 }: FilesCounts,
  limits: BrakeLimits = filesLimits,
): FilesBrake | undefined {
  if (removed === 0) return undefined;
  if (before - removed + added === 0) {
    const all = before === 1 ? 'its only file is gone from the active' : `all ${before} files are gone from the active`;
    const sentence = `${all}: is a file system not mounted there?`;
    return { rule: 'files-source-empty', sentence };
  }
  if (!isTooMuch(removed - added - others, before, limits)) return undefined;
  const sentence = `${counted(removed, 'file')} of ${before} vanished on the active: is a file system not mounted there?`;
  return { rule: 'files-vanish', sentence };
}
