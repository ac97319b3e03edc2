import { join } from 'node:path';
import { readNamedTime, treeName } from '../rules/generation.ts';
import { listDirectory, ensureDirectory, readIfThere, writeFileAtomic } from '../system/files.ts';
import { pruneArchive } from './archive.ts';

/** The trees of node groups that were live here, each as it was first seen: `archive/own-groups/groups-TIME.json`. */
export interface OwnTrees {
  /** Keeps a tree, in its one text, unless the newest one is the same. */
  keep(text: string, at: Date): Promise<void>;
}

export const ownTrees = 'own-groups';

/** `count`: how many of them stay. */
export function createOwnTrees(directory: string, count: number): OwnTrees {
  let last: string | undefined;
  return {
    keep: async (text, at) => {
      last ??= await newest(directory);
      if (last === text) return;
      await ensureDirectory(directory, { mode: 0o700 });
      await writeFileAtomic(join(directory, treeName(at)), text, { mode: 0o600 });
      last = text;
      await pruneArchive(directory, count);
    },
  };
}

async function newest(directory: string): Promise<string | undefined> {
  const names = (await listDirectory(directory)).filter((name) => readNamedTime(name) !== undefined);
  const name = names.sort().at(-1);
  return name === undefined ? undefined : await readIfThere(join(directory, name));
}
