import { lstat, opendir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../errors.ts';
import { temporaryName } from './files.ts';

/** The bytes that a file or a tree of our own takes on its file system; what vanishes meanwhile is none, other file systems do not count. */
export async function bytesOf(path: string): Promise<number> {
  const found = await standing(path);
  if (found === undefined) return 0;
  let bytes = found.blocks * 512;
  const open = found.isDirectory() ? [path] : [];
  for (let directory = open.pop(); directory !== undefined; directory = open.pop()) {
    for (const name of await namesIn(directory)) {
      const inner = join(directory, name);
      const one = await standing(inner);
      if (one === undefined || one.dev !== found.dev) continue;
      bytes += one.blocks * 512;
      if (one.isDirectory()) open.push(inner);
    }
  }
  return bytes;
}

/** When what is at a path was last changed, in ms since the epoch; undefined: it is gone. */
export const changedAt = async (path: string): Promise<number | undefined> => (await standing(path))?.mtimeMs;

async function standing(path: string) {
  return await lstat(path).catch(ifThere(undefined));
}

async function namesIn(directory: string): Promise<string[]> {
  const names: string[] = [];
  const handle = await opendir(directory).catch(ifThere(undefined));
  if (handle !== undefined) for await (const { name } of handle) names.push(name);
  return names;
}

/** Removes a file or tree at once for whoever looks: killed in between, a temporary name is left, which `sweepTemporary` knows. */
export async function removeWhole(path: string): Promise<void> {
  const aside = temporaryName(path);
  await rename(path, aside).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT', 'ENOSPC')) throw error; // a full directory takes no other name: gone it must be all the same
  });
  await rm(aside, { recursive: true, force: true });
  await rm(path, { recursive: true, force: true });
}

const ifThere =
  <Value>(otherwise: Value) =>
  (error: unknown): Value => {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return otherwise;
    throw error;
  };

/** The files and links below a directory of our own, relative to it, in their order; none where it is gone. */
export async function listFiles(directory: string): Promise<string[]> {
  const found: string[] = [];
  const open = [''];
  for (let below = open.pop(); below !== undefined; below = open.pop()) {
    for (const name of await namesIn(join(directory, below))) {
      const one = await standing(join(directory, below, name));
      if (one?.isDirectory() === true) open.push(join(below, name));
      else if (one !== undefined) found.push(join(below, name));
    }
  }
  return found.sort();
}
