import { lstat, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Need } from '../rules/manifest.ts';
import { copyFileAtomic, removeIfThere, sha256File } from '../system/files.ts';
import { isErrno } from '../errors.ts';

/**
 * Key files that belong to a database: what was encrypted with them can't be read without. They arrive by another stream and
 * wait below `waiting`, at their path from /, until the database goes live.
 */
export interface KeyFiles {
  /** Of these the files that are neither live nor waiting with the wanted content. */
  missing(needs: readonly Need[]): Promise<string[]>;
  /** Puts what waits in its place and keeps what was there. */
  place(needs: readonly Need[]): Promise<void>;
  /** Undoes `place`. */
  putBack(needs: readonly Need[]): Promise<void>;
  /** Forgets what was kept, once the database is good. */
  forget(needs: readonly Need[]): Promise<void>;
}

export interface KeyFilesOptions {
  /** Where the files themselves are: "/". */
  readonly root: string;
  readonly waiting: string;
  /** Directories of root's alone. */
  readonly kept: string;
}

export function createKeyFiles({ root, waiting, kept }: KeyFilesOptions): KeyFiles {
  const isLive = ({ file, sha256 }: Need): Promise<boolean> => hasContent(join(root, file), sha256);
  const each = async (needs: readonly Need[], work: (need: Need) => Promise<void>): Promise<void> => {
    for (const need of needs) await work(need);
  };
  return {
    missing: async (needs) => {
      const missing: string[] = [];
      for (const need of needs) {
        if (!(await isLive(need)) && !(await hasContent(join(waiting, need.file), need.sha256)))
          missing.push(need.file);
      }
      return missing;
    },
    place: (needs) =>
      each(needs, async (need) => {
        if (await isLive(need)) return;
        const [live, keep] = [join(root, need.file), join(kept, need.file)];
        if (!(await isThere(keep))) await copyIfThere(live, keep, undefined);
        await copyIfThere(join(waiting, need.file), live, await ownership(live));
      }),
    putBack: (needs) =>
      each(needs, async ({ file }) => {
        await copyIfThere(join(kept, file), join(root, file), undefined);
        await removeIfThere(join(kept, file));
      }),
    forget: (needs) => each(needs, ({ file }) => removeIfThere(join(kept, file))),
  };
}

const ownership = async (path: string): Promise<{ mode: number; uid: number; gid: number } | undefined> => {
  const found = await statIfThere(path);
  return found === undefined ? undefined : { mode: found.mode & 0o777, uid: found.uid, gid: found.gid };
};

async function copyIfThere(from: string, to: string, dress: Awaited<ReturnType<typeof ownership>>): Promise<void> {
  const like = dress ?? (await ownership(from));
  if (like === undefined || !(await isThere(from))) return;
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  await copyFileAtomic(from, to, like);
}

const hasContent = async (path: string, sha256: string): Promise<boolean> =>
  (await isThere(path)) && (await sha256File(path)) === sha256;

const isThere = async (path: string): Promise<boolean> => (await statIfThere(path))?.isFile() === true;

async function statIfThere(path: string) {
  try {
    return await lstat(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
