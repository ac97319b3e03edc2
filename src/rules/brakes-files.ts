import { counted } from './spoken.ts';
import { isTooMuch, type BrakeLimits } from './brake-limits.ts';

/** Why removals of files wait for a person. */
export interface FilesBrake {
  readonly rule: 'files-source-empty' | 'files-vanish';
  readonly sentence: string;
}

export const filesLimits: BrakeLimits = { share: 0.2, atLeast: 10 };

/** `before`: files that the active had; `removed`: of these, how many it has no more; `added`: new ones. */
export function filesBrake(
  { before, removed, added }: { readonly before: number; readonly removed: number; readonly added: number },
  limits: BrakeLimits = filesLimits,
): FilesBrake | undefined {
  if (removed === 0) return undefined;
  if (before - removed + added === 0) {
    const sentence = `the active has none of the ${before} files any more: is a file system not mounted there?`;
    return { rule: 'files-source-empty', sentence };
  }
  if (!isTooMuch(removed, before, limits)) return undefined;
  const sentence = `${counted(removed, 'file')} of ${before} vanished on the active: is a file system not mounted there?`;
  return { rule: 'files-vanish', sentence };
}
