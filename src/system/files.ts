import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import {
  chmod,
  chown,
  copyFile,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  unlink,
  type FileHandle,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Failure, isErrno } from '../errors.ts';
import { firstBytes } from '../rules/first-bytes.ts';

export interface Ownership {
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * The one recipe for writing a file: beside the target, written, synced, renamed, directory synced, so that a reader
 * sees the old file or the new one, also after a loss of power.
 */
export async function writeFileAtomic(path: string, content: string | Uint8Array, ownership: Ownership): Promise<void> {
  await placeAtomic(path, ownership, (handle) => handle.writeFile(content));
}

/** The same recipe with the content of another file (a reflink where the file system can). */
export async function copyFileAtomic(source: string, path: string, ownership: Ownership): Promise<void> {
  const temporary = temporaryName(path);
  await cleaningUp(temporary, async () => {
    await copyFile(source, temporary, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    const handle = await open(temporary, 'r+');
    try {
      await dress(handle, ownership);
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  });
  await syncDirectory(dirname(path));
}

/** Temporary files of ours: left behind by a killed process only, and swept by `sweepTemporary`. */
export const temporaryPattern = /^\.pe-failover-.*\.[0-9a-f]{12}$/;

export function temporaryName(path: string): string {
  const slash = path.lastIndexOf('/') + 1;
  const begin = firstBytes(path.slice(slash), 200);
  return `${path.slice(0, slash)}.pe-failover-${begin}.${randomBytes(6).toString('hex')}`;
}

/** Removes what killed writers left in a directory that only we write such names to. */
export async function sweepTemporary(directory: string): Promise<void> {
  for (const name of await listDirectory(directory)) {
    if (temporaryPattern.test(name)) await rm(join(directory, name), { recursive: true, force: true });
  }
}

async function placeAtomic(
  path: string,
  ownership: Ownership,
  write: (handle: FileHandle) => Promise<unknown>,
): Promise<void> {
  const temporary = temporaryName(path);
  await cleaningUp(temporary, async () => {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await write(handle);
      await dress(handle, ownership);
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  });
  await syncDirectory(dirname(path));
}

// Owner before mode: a change of owner clears set-id bits. Both before the sync.
async function dress(handle: FileHandle, { mode, uid, gid }: Ownership): Promise<void> {
  if (uid !== undefined || gid !== undefined) await handle.chown(uid ?? -1, gid ?? -1);
  await handle.chmod(mode);
  await handle.sync();
}

/** What a full disk makes an open file throw names no path. */
export async function naming<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Error && !(error instanceof Failure) && !('path' in error)) Object.assign(error, { path });
    throw error;
  }
}

async function cleaningUp(temporary: string, work: () => Promise<void>): Promise<void> {
  try {
    await naming(temporary, work);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Makes names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await naming(path, () => handle.sync());
  } finally {
    await handle.close();
  }
}

/**
 * Appends one line and makes it durable before it returns. INVARIANT: whole lines only. What a crash tore is cut off
 * first, and what did not fit on the disk is taken back, or the next line would be glued to it.
 */
export function appendLine(path: string, line: string, mode = 0o600): Promise<void> {
  return naming(path, () => append(path, line, mode));
}

async function append(path: string, line: string, mode: number): Promise<void> {
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT, mode);
  try {
    const { size } = await handle.stat();
    const end = await endOfLastLine(handle, size);
    try {
      if (end < size) await handle.truncate(end);
      await writeWhole(handle, Buffer.from(`${line}\n`), end);
      await handle.sync();
    } catch (error) {
      await handle.truncate(end);
      throw error;
    }
  } finally {
    await handle.close();
  }
}

async function endOfLastLine(handle: FileHandle, size: number): Promise<number> {
  const newline = 0x0a;
  const buffer = Buffer.alloc(4096);
  for (let end = size; end > 0; end -= buffer.length) {
    const start = Math.max(0, end - buffer.length);
    const { bytesRead } = await handle.read(buffer, 0, end - start, start);
    const last = buffer.subarray(0, bytesRead).lastIndexOf(newline);
    if (last >= 0) return start + last + 1;
  }
  return 0;
}

/** The text of a file, or undefined where there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  return (await readBytesIfThere(path))?.toString('utf8');
}

export async function readBytesIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** Names in a directory, sorted; none where it does not exist. */
export async function listDirectory(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Makes a directory with exactly this mode and owner, whatever the umask; parents get 0755. */
export async function ensureDirectory(path: string, { mode, uid, gid }: Ownership): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await mkdir(path, { mode }).catch((error: unknown) => {
    if (!isErrno(error, 'EEXIST')) throw error;
  });
  const found = await lstat(path);
  if (!found.isDirectory())
    throw new Failure('config', 'not a directory', { where: path, hint: `Move it away: mv ${path} ${path}.old` });
  if ((found.mode & 0o7777) !== mode) await chmod(path, mode);
  if ((uid !== undefined && found.uid !== uid) || (gid !== undefined && found.gid !== gid)) {
    await chown(path, uid ?? found.uid, gid ?? found.gid);
  }
}

/** Whether what is there, and not a link, has this mode and owner. */
export async function hasOwnership(path: string, { mode, uid, gid }: Ownership): Promise<boolean> {
  const found = await lstat(path).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  });
  if (found === undefined || found.isSymbolicLink() || (found.mode & 0o7777) !== mode) return false;
  return (uid === undefined || found.uid === uid) && (gid === undefined || found.gid === gid);
}

/** Makes one directory that is there with its mode and owner at once, whatever kills us: a half-dressed one would stay so. */
export async function makeDirectoryAtomic(path: string, { mode, uid, gid }: Ownership): Promise<void> {
  const temporary = temporaryName(path);
  await mkdir(temporary, { mode: 0o700 });
  try {
    if (uid !== undefined && gid !== undefined) await chown(temporary, uid, gid);
    await chmod(temporary, mode);
    await rename(temporary, path);
  } catch (error) {
    await rmdir(temporary);
    throw error;
  }
  await syncDirectory(dirname(path));
}

export async function removeIfThere(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT')) throw error;
  });
}

export interface HashedCopy {
  readonly size: number;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
}

/** Copies an open file to a new path, hashing what it writes: the copy is what was hashed. Refuses more than `limit` bytes. */
export function copyHashing(source: FileHandle, target: string, mode: number, limit = Infinity): Promise<HashedCopy> {
  return naming(target, () => copyInto(source, target, mode, limit));
}

async function copyInto(source: FileHandle, target: string, mode: number, limit: number): Promise<HashedCopy> {
  const hash = createHash('sha256');
  const out = await open(target, 'wx', mode);
  let size = 0;
  try {
    const buffer = Buffer.allocUnsafe(256 * 1024);
    for (;;) {
      const { bytesRead } = await source.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) break;
      size += bytesRead;
      if (size > limit) throw new Failure('bad-data', 'file is longer than announced', { where: target });
      const chunk = buffer.subarray(0, bytesRead);
      hash.update(chunk);
      await writeWhole(out, chunk);
    }
    await out.sync();
  } finally {
    await out.close();
  }
  return { size, sha256: hash.digest('hex') };
}

/** A full disk takes a part of a write without an error: it fails at the next one. */
async function writeWhole(handle: FileHandle, chunk: Uint8Array, at: number | null = null): Promise<void> {
  for (let done = 0; done < chunk.length;) {
    const place = at === null ? null : at + done;
    done += (await handle.write(chunk, done, chunk.length - done, place)).bytesWritten;
  }
}

/** Opens a file that an enemy may have placed: a link, a pipe or a directory is refused, and never waited for. */
export async function openRegular(path: string): Promise<FileHandle> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    (error: unknown) => {
      if (isErrno(error, 'ELOOP', 'ENXIO'))
        throw new Failure('bad-data', 'not a regular file', { where: path, cause: error });
      throw error;
    },
  );
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw new Failure('bad-data', 'not a regular file', { where: path });
}

/** The sha256 of a regular file, as lower-case hexadecimal. */
export async function sha256File(path: string): Promise<string> {
  const handle = await openRegular(path);
  try {
    const hash = createHash('sha256');
    for await (const chunk of handle.createReadStream({ autoClose: false })) hash.update(chunk as Buffer);
    return hash.digest('hex');
  } finally {
    await handle.close();
  }
}
