import { join } from 'node:path';
import { pruneArchive } from '../../drops/archive.ts';
import { toFailure } from '../../errors.ts';
import { treeName } from '../../rules/generation.ts';
import { canonicalGroups, parseGroups, type Group } from '../../rules/groups.ts';
import { ensureDirectory, readIfThere, sweepTemporary, writeFileAtomic } from '../../system/files.ts';

/** The replaced trees, and what the last restore left: one directory of this job's own. */
export interface TreeArchive {
  open(): Promise<void>;
  /** Where a tree goes that is replaced at a time by a drop. */
  pathFor(at: Date, drop: string): string;
  /** What the last restore left, if it is known. */
  accepted(): Promise<readonly Group[] | undefined>;
  accept(groups: readonly Group[]): Promise<void>;
  /** Keeps the newest. */
  prune(keep: number): Promise<void>;
}

export function createTreeArchive(directory: string): TreeArchive {
  const acceptedPath = join(directory, 'accepted.json');
  return {
    open: async () => {
      await ensureDirectory(directory, { mode: 0o700 });
      await sweepTemporary(directory);
    },
    pathFor: (at, drop) => join(directory, treeName(at, drop)),
    accepted: async () => readTree(await readIfThere(acceptedPath)),
    accept: (groups) => writeFileAtomic(acceptedPath, canonicalGroups(groups), { mode: 0o600 }),
    prune: (keep) => pruneArchive(directory, keep),
  };
}

// It serves a report only: unreadable is as good as unknown.
function readTree(text: string | undefined): readonly Group[] | undefined {
  try {
    return text === undefined ? undefined : parseGroups(text);
  } catch (error) {
    if (toFailure(error).class === 'bad-data') return undefined;
    throw error;
  }
}
