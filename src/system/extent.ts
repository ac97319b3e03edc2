import { lstatSync, readdirSync, statfsSync, type Dirent, type Stats } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../errors.ts';
import type { Extent, Room } from '../rules/inbox-quota.ts';

/**
 * What lies beneath a directory: a file counts once, however many links it has, with the larger one of its size and of what it
 * takes of the disk. What vanishes meanwhile does not count. Without a pause: some hundred thousand files take a second.
 */
export function extentOf(directory: string): Extent {
  const seen = new Set<number>();
  const open = [directory];
  let bytes = 0;
  let files = 0;
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const entry of entriesOf(at)) {
      const path = join(at, entry.name);
      if (entry.isDirectory()) open.push(path);
      const found = lookAt(path);
      if (found === undefined || (found.nlink > 1 && !found.isDirectory() && seen.has(found.ino))) continue;
      if (found.nlink > 1) seen.add(found.ino);
      bytes += Math.max(found.size, found.blocks * 512);
      files += 1;
    }
  }
  return { bytes, files };
}

export function roomOf(directory: string): Room {
  const { bsize, blocks, bavail, files, ffree } = statfsSync(directory);
  return { bytes: blocks * bsize, freeBytes: bavail * bsize, files, freeFiles: ffree };
}

function entriesOf(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

function lookAt(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
