import { link, lstat, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../errors.ts';
import { copyFileAtomic, listDirectory, removeIfThere, sha256File, syncDirectory, writeFileAtomic } from './files.ts';

/** Files kept by the sha256 of their content: what the active last had, so that drift is healed without it. */
export interface ContentStore {
  path(sha256: string): string;
  has(sha256: string): Promise<boolean>;
  /** Takes files in, by hard link where possible; durable. The sources are never changed in place afterwards. */
  add(files: readonly { readonly source: string; readonly sha256: string }[]): Promise<void>;
  /** Takes in what was put together in memory. */
  addBytes(content: Uint8Array, sha256: string): Promise<void>;
  /** True when what is stored is what its name says. */
  isIntact(sha256: string): Promise<boolean>;
  remove(hashes: readonly string[]): Promise<void>;
  /** Removes all that `isKept` does not know. */
  sweep(isKept: (sha256: string) => boolean): Promise<void>;
}

export function openContentStore(directory: string): ContentStore {
  const path = (sha256: string): string => join(directory, sha256);
  const has = async (sha256: string): Promise<boolean> =>
    (await lstat(path(sha256)).catch(() => undefined)) !== undefined;
  return {
    path,
    has,
    add: async (files) => {
      for (const { source, sha256 } of files) await take(source, path(sha256));
      if (files.length > 0) await syncDirectory(directory);
    },
    addBytes: async (content, sha256) => {
      if (!(await has(sha256))) await writeFileAtomic(path(sha256), content, { mode: 0o600 });
    },
    isIntact: async (sha256) => (await has(sha256)) && (await sha256File(path(sha256))) === sha256,
    remove: async (hashes) => {
      for (const sha256 of hashes) await removeIfThere(path(sha256));
    },
    sweep: async (isKept) => {
      for (const name of await listDirectory(directory)) {
        if (!isKept(name)) await rm(join(directory, name), { force: true });
      }
    },
  };
}

async function take(source: string, target: string): Promise<void> {
  await link(source, target).catch(async (error: unknown) => {
    if (isErrno(error, 'EEXIST')) return;
    if (!isErrno(error, 'EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP')) throw error;
    await copyFileAtomic(source, target, { mode: 0o600 });
  });
}
