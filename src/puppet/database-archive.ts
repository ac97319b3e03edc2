import { constants } from 'node:fs';
import { chmod, chown, mkdtemp, open, readdir, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Result } from '../system/exec.ts';
import type { Postgres, ToolRun } from '../system/postgres.ts';

/** How the tools see the directory of an archive. */
export const archive = '/proc/self/fd/3';

export interface ArchiveRun extends Omit<ToolRun, 'descriptors'> {
  readonly directory: string;
  /** Entries for `pg_restore -L`. */
  readonly list?: string;
}

/**
 * Runs pg_dump or pg_restore on an archive's directory. Directory and list are handed on as open descriptors: the tool's
 * user needs rights on them, but none on what lies above, which stays root's.
 */
export async function runOnArchive(
  postgres: Postgres,
  tool: 'pg_dump' | 'pg_restore',
  { directory, list, ...run }: ArchiveRun,
): Promise<Result> {
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    if (list === undefined) return await postgres.tool(tool, { ...run, descriptors: [handle.fd] });
    return await withList(list, (file) => {
      const args = ['-L', '/proc/self/fd/4', ...run.args];
      return postgres.tool(tool, { ...run, args, descriptors: [handle.fd, file.fd] });
    });
  } finally {
    await handle.close();
  }
}

// Without a name from the beginning: a killed pass leaves none.
async function withList(list: string, work: (file: FileHandle) => Promise<Result>): Promise<Result> {
  const directory = await mkdtemp(join(tmpdir(), 'pe-failover-list-'));
  const file = await open(join(directory, 'list'), 'wx+', 0o600).finally(() =>
    rm(directory, { recursive: true, force: true }),
  );
  try {
    await file.chmod(0o644);
    await file.writeFile(list);
    return await work(file);
  } finally {
    await file.close();
  }
}

/** Lets the tools' user read a directory of ours, and nobody else, while `work` runs. */
export async function lendArchive<Value>(
  postgres: Postgres,
  directory: string,
  work: () => Promise<Value>,
): Promise<Value> {
  const user = await postgres.osUser();
  if (user === undefined) return work();
  await hand(directory, user.gid, { directory: 0o750, file: 0o640 });
  try {
    return await work();
  } finally {
    await hand(directory, process.getegid?.() ?? 0, { directory: 0o700, file: 0o600 });
  }
}

async function hand(directory: string, gid: number, mode: { directory: number; file: number }): Promise<void> {
  const uid = process.geteuid?.() ?? 0;
  for (const name of await readdir(directory)) {
    await chown(join(directory, name), uid, gid);
    await chmod(join(directory, name), mode.file);
  }
  await chown(directory, uid, gid);
  await chmod(directory, mode.directory);
}
