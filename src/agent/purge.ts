import { lstat, rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { withoutFacts } from '../rules/fact-text.ts';
import type { Paths } from '../rules/paths.ts';
import { openHostileTree } from '../system/beneath.ts';
import { readIfThere, removeIfThere, writeFileAtomic } from '../system/files.ts';
import type { Change } from './change.ts';
import { linkRemoved } from './facter-link.ts';

/** What an installation keeps: said when it is left. */
export const keptPlaces = (paths: Paths): { readonly what: string; readonly path: string }[] => [
  { what: 'the configuration and keys', path: dirname(paths.config) },
  { what: 'the state and archive', path: paths.data },
  { what: 'the fact', path: paths.fact },
  { what: 'the events', path: dirname(paths.events) },
];

/**
 * Everything that an installation and its agent wrote. ORDER: the configuration goes last, because the next run, after a crash,
 * learns from it where the rest is.
 */
export function purgeFiles(paths: Paths): Change[] {
  const { data, inbox, events, config } = paths;
  return [
    { ...removeTree(inbox, 'the inbox'), make: () => removeHostile(inbox) },
    removeTree(data, 'the state and archive'),
    removeTree(dirname(events), 'the events'),
    linkRemoved(paths),
    removeFacts(paths),
    removeTree(dirname(config), 'the configuration and keys'),
  ];
}

/** Sockets alone: nothing of it is kept. */
export const removeRun = ({ run }: Paths): Change => removeTree(run, 'the sockets');

export const isThere = async (path: string): Promise<boolean> =>
  (await lstat(path).catch(() => undefined)) !== undefined;

const removeTree = (path: string, what: string): Change => ({
  what: `remove ${what}: ${path}`,
  isNeeded: () => isThere(path),
  make: () => rm(path, { recursive: true, force: true }),
});

/** What the transfer user could write: as deep and as wide as it liked. */
async function removeHostile(path: string): Promise<void> {
  await using parent = await openHostileTree(dirname(path));
  await parent.remove(basename(path));
}

function removeFacts({ fact }: Paths): Change {
  return {
    what: `remove our facts: ${fact}`,
    isNeeded: async () => {
      const text = await readIfThere(fact);
      return text !== undefined && withoutFacts(text) !== text;
    },
    make: async () => {
      const left = withoutFacts((await readIfThere(fact)) ?? '');
      if (left === undefined) return await removeIfThere(fact);
      const { mode, uid } = await lstat(fact);
      await writeFileAtomic(fact, left, { mode: mode & 0o777, uid, gid: 0 });
    },
  };
}
