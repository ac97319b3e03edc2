import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pruneArchive } from '../../drops/archive.ts';
import { toFailure } from '../../errors.ts';
import { formatEpoch, type Epoch } from '../../rules/epoch.ts';
import { treeName } from '../../rules/generation.ts';
import { canonicalGroups, parseGroups, type Group } from '../../rules/groups.ts';
import { ensureDirectory, listDirectory, readIfThere, sweepTemporary, writeFileAtomic } from '../../system/files.ts';

/** The replaced trees, and what the last restore left: one directory of this job's own. */
export interface TreeArchive {
  open(): Promise<void>;
  /** Where a tree goes that is replaced at a time by a drop. */
  pathFor(at: Date, drop: string): string;
  /** What the last restore of an active of this epoch left; undefined: none is known. */
  accepted(epoch: Epoch): Promise<readonly Group[] | undefined>;
  /** True once any was restored here. */
  hasAccepted(): Promise<boolean>;
  accept(groups: readonly Group[], epoch: Epoch): Promise<void>;
  /** Keeps the newest. */
  prune(keep: number): Promise<void>;
}

export function createTreeArchive(directory: string): TreeArchive {
  const acceptedName = (epoch: Epoch): string => `accepted-${formatEpoch(epoch)}.json`;
  const allAccepted = async (): Promise<string[]> =>
    (await listDirectory(directory)).filter((name) => /^accepted.*\.json$/.test(name));
  return {
    open: async () => {
      await ensureDirectory(directory, { mode: 0o700 });
      await sweepTemporary(directory);
    },
    pathFor: (at, drop) => join(directory, treeName(at, drop)),
    accepted: async (epoch) => readTree(await readIfThere(join(directory, acceptedName(epoch)))),
    hasAccepted: async () => (await allAccepted()).length > 0,
    accept: async (groups, epoch) => {
      const name = acceptedName(epoch);
      await writeFileAtomic(join(directory, name), canonicalGroups(groups), { mode: 0o600 });
      for (const older of await allAccepted()) if (older !== name) await rm(join(directory, older), { force: true });
    },
    prune: (keep) => pruneArchive(directory, keep),
  };
}

// Unreadable is as good as unknown.
function readTree(text: string | undefined): readonly Group[] | undefined {
  try {
    return text === undefined ? undefined : parseGroups(text);
  } catch (error) {
    if (toFailure(error).class === 'bad-data') return undefined;
    throw error;
  }
}
