import { readdir, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno } from '../errors.ts';
import { ensureDirectory, readIfThere, removeIfThere, writeFileAtomic } from '../system/files.ts';
import type { UnitFiles } from '../system/unit-files.ts';
import type { Change } from './change.ts';

// systemd has a slice for each user who logs in, by number: what all its sessions may take together.

export interface OwnSlice {
  readonly files: UnitFiles;
  readonly text: string;
  /** Asked again after the user was made. */
  readonly transferIds: () => Promise<{ uid: number } | undefined>;
}

const sliceOf = (uid: number): string => `user-${uid}.slice`;
const pathOf = (files: UnitFiles, slice: string): string => join(files.directory, `${slice}.d/50-pe-failover.conf`);

/** Limits for the transfer user, and none for whoever has the number of an earlier one by now. */
export function limitUser({ files, text, transferIds }: OwnSlice): Change[] {
  const own = async (): Promise<string | undefined> => {
    const ids = await transferIds();
    return ids === undefined ? undefined : sliceOf(ids.uid);
  };
  const isWritten = async (slice: string): Promise<boolean> => (await readIfThere(pathOf(files, slice))) === text;
  const limit: Change = {
    what: 'limit what the sessions of the transfer user may take of this machine',
    isNeeded: async () => {
      const slice = await own();
      return slice === undefined || !(await isWritten(slice)) || (await files.isStale(slice));
    },
    make: async () => {
      const slice = await own();
      if (slice === undefined) return;
      if (!(await isWritten(slice))) await writeLimits(pathOf(files, slice), text);
      await files.reload();
    },
  };
  return [limit, lift(files, 'lift the limits of a number that the transfer user has no more', own)];
}

/** ORDER: before the user goes; without it nobody knows its number, and the next one to get it would be limited. */
export const unlimitUser = (files: UnitFiles): Change[] => [
  lift(files, 'lift the limits of the transfer user', () => Promise.resolve(undefined)),
];

function lift(files: UnitFiles, what: string, kept: () => Promise<string | undefined>): Change {
  const others = async (): Promise<string[]> => {
    const own = await kept();
    return (await limited(files)).filter((slice) => slice !== own);
  };
  return {
    what,
    isNeeded: async () => (await others()).length > 0,
    make: async () => {
      for (const slice of await others()) {
        await removeIfThere(pathOf(files, slice));
        await removeIfEmpty(dirname(pathOf(files, slice)));
      }
      await files.reload();
    },
  };
}

async function limited(files: UnitFiles): Promise<string[]> {
  const names = await readdir(files.directory);
  const slices = names.flatMap((name) => /^(user-\d+\.slice)\.d$/.exec(name)?.[1] ?? []);
  const texts = await Promise.all(slices.map((slice) => readIfThere(pathOf(files, slice))));
  return slices.filter((_, n) => texts[n] !== undefined);
}

async function writeLimits(path: string, text: string): Promise<void> {
  await ensureDirectory(dirname(path), { mode: 0o755 });
  await writeFileAtomic(path, text, { mode: 0o644 });
}

async function removeIfEmpty(path: string): Promise<void> {
  await rmdir(path).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT', 'ENOTEMPTY')) throw error; // an admin's own limits stay
  });
}
