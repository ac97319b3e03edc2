import { lstat, readlink, rm, symlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Paths } from '../rules/paths.ts';
import { ensureDirectory } from '../system/files.ts';
import type { Change } from './change.ts';

/** Facter of Debian's own packages looks elsewhere than all others. What an admin has put at that place stays. */
export function factLinked({ fact, facterLink }: Paths): Change {
  return {
    what: `let Debian's facter find the fact: link ${facterLink}`,
    isNeeded: async () => (await lstat(facterLink).catch(() => undefined)) === undefined,
    make: async () => {
      await ensureDirectory(dirname(facterLink), { mode: 0o755 });
      await symlink(fact, facterLink);
    },
  };
}

export function linkRemoved({ fact, facterLink }: Paths): Change {
  return {
    what: `remove the link to the fact: ${facterLink}`,
    isNeeded: async () => (await readlink(facterLink).catch(() => undefined)) === fact,
    make: () => rm(facterLink),
  };
}
