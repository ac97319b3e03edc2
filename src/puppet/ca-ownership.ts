import { lstat } from 'node:fs/promises';
import { isErrno } from '../errors.ts';
import type { ManifestFile } from '../rules/manifest.ts';
import type { Accounts } from '../system/accounts.ts';
import type { Ownership } from '../system/files.ts';

/** Owner, group and mode of what is there, or undefined. */
export async function liveOwnership(path: string): Promise<Required<Ownership> | undefined> {
  try {
    const { mode, uid, gid } = await lstat(path);
    return { mode: mode & 0o777, uid, gid };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

export interface OwnershipSources {
  readonly live: { readonly cadir: string; path(name: string): string };
  readonly described: (path: string) => Pick<ManifestFile, 'mode' | 'owner' | 'group'> | undefined;
  readonly accounts: Accounts;
}

/** As found live; else as the active has it, where its user exists here; else as the directory. */
export async function ownershipOf({ live, described, accounts }: OwnershipSources, path: string): Promise<Ownership> {
  const found = await liveOwnership(live.path(path));
  if (found !== undefined) return found;
  const wanted = described(path);
  const parent = await liveOwnership(live.cadir);
  const uid = (wanted && accounts.uid(wanted.owner)) ?? parent?.uid ?? 0;
  const gid = (wanted && accounts.gid(wanted.group)) ?? parent?.gid ?? 0;
  return { mode: wanted?.mode ?? 0o640, uid, gid };
}
