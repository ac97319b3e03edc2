import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdir, open, opendir, rename, rmdir, unlink, type FileHandle } from 'node:fs/promises';
import { Failure, isErrno } from '../errors.ts';
import type { Ownership } from './files.ts';

/**
 * A tree that an enemy owns, read without ever following a link: each directory is opened first, and its children
 * beneath that descriptor (/proc/self/fd), so that a directory exchanged for a link meanwhile leads nowhere.
 */
export interface HostileTree extends AsyncDisposable {
  /** Opens a regular file; never waits for a pipe. Throws `bad-data` for anything else. */
  openFile(path: string): Promise<FileHandle>;
  /** Reads a small file whole. Throws `bad-data` when it is longer. */
  readText(path: string, limit: number): Promise<string>;
  /** Every path beneath that is not a directory, links and pipes too. Throws `bad-data` beyond `limit` files or directories. */
  list(limit: number): Promise<string[]>;
  /** The tree of a directory beneath. Throws `bad-data` for anything else, with ENOENT as its cause where nothing is. */
  directory(path: string): Promise<HostileTree>;
  /** What lies directly in it, sorted; of very many names, some. */
  names(): Promise<string[]>;
  /** When that name directly in it was last changed, in ms since the epoch, by the kernel's word; undefined: it is gone. */
  changedAt(name: string): Promise<number | undefined>;
  /** Removes what has that name directly in it: a link, not what it points to; a directory with all beneath it. */
  remove(name: string): Promise<void>;
  /** Makes the directory of that name directly in it, with this mode and owner, and opens it. What else stands there is removed. */
  make(name: string, ownership: Ownership): Promise<HostileTree>;
}

const asDirectory = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const asFile = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

const longestPath = 4096;
const deepest = 128;
const mostNames = 10_000;
const mostLifted = 1_000_000;

/** INVARIANT: nobody but root can exchange `path` itself; all beneath it is the enemy's. */
export async function openHostileTree(path: string): Promise<HostileTree> {
  return treeOf(await openOrRefuse(path, asDirectory, path));
}

const treeOf = (root: FileHandle): HostileTree => ({
  openFile: (path) => openBeneath(root, path, async (open) => regular(await open(asFile), path)),
  readText: async (path, limit) => {
    await using file = await openBeneath(root, path, async (open) => regular(await open(asFile), path));
    const { size } = await file.stat();
    if (size > limit) throw new Failure('bad-data', 'file is too long', { where: path, why: `${size} bytes` });
    const { bytesRead, buffer } = await file.read(Buffer.alloc(size), 0, size, 0);
    return buffer.toString('utf8', 0, bytesRead);
  },
  list: async (limit) => {
    const found: Found = { files: [], directories: 0 };
    await listBeneath(root, '', found, limit);
    return found.files;
  },
  directory: (path) => openBeneath(root, path, async (open) => treeOf(await open(asDirectory))),
  names: () => firstNames(child(root, '.')),
  changedAt: (name) => changedAt(listed(root, name)),
  remove: (name) => removeBeneath(root, name),
  make: (name, ownership) => makeBeneath(root, name, ownership),
  [Symbol.asyncDispose]: () => root.close(),
});

const child = (directory: FileHandle, name: string): string => `/proc/self/fd/${directory.fd}/${name}`;

/** Of a name as it was listed: one character a byte, because an enemy's names need not be text. */
const listed = (directory: FileHandle, name: string): Buffer => Buffer.from(child(directory, name), 'latin1');

/** Goes down to the directory of `path`, and lets `last` open the name in it. */
async function openBeneath<Opened>(
  root: FileHandle,
  path: string,
  last: (open: (flags: number) => Promise<FileHandle>) => Promise<Opened>,
): Promise<Opened> {
  const parts = path.split('/');
  const name = parts.pop() ?? '';
  let directory = root;
  try {
    for (const part of parts) {
      const inner = await openOrRefuse(child(directory, part), asDirectory, path);
      if (directory !== root) await directory.close();
      directory = inner;
    }
    const parent = directory;
    return await last((flags) => openOrRefuse(child(parent, name), flags, path));
  } finally {
    if (directory !== root) await directory.close();
  }
}

async function regular(handle: FileHandle, path: string): Promise<FileHandle> {
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw new Failure('bad-data', 'not a regular file', { where: path });
}

async function openOrRefuse(path: string | Buffer, flags: number, where: string): Promise<FileHandle> {
  try {
    return await open(path, flags);
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) throw new Failure('bad-data', 'file is missing', { where, cause });
    if (isErrno(cause, 'ELOOP', 'ENOTDIR', 'ENXIO'))
      throw new Failure('bad-data', 'not a regular file', { where, cause });
    throw cause;
  }
}

interface Found {
  readonly files: string[];
  directories: number;
}

async function listBeneath(
  directory: FileHandle,
  prefix: string,
  found: Found,
  limit: number,
  depth = 1,
): Promise<void> {
  for await (const entry of await opendir(child(directory, '.'))) {
    const path = `${prefix}${entry.name}`;
    if (Buffer.byteLength(path) > longestPath || depth > deepest)
      throw new Failure('bad-data', 'nested too deep', { where: prefix.slice(0, 80) });
    if (found.files.length >= limit || found.directories >= limit)
      throw new Failure('bad-data', 'too many files', { why: `over ${limit}` });
    if (!entry.isDirectory()) found.files.push(path);
    else {
      found.directories += 1;
      await using inner = await openOrRefuse(child(directory, entry.name), asDirectory, path);
      await listBeneath(inner, `${path}/`, found, limit, depth + 1);
    }
  }
}

/** What lies in a directory, sorted; of very many names, some. */
export async function firstNames(path: string): Promise<string[]> {
  const found: string[] = [];
  for await (const name of namesIn(path)) if (found.push(name) >= mostNames) break;
  return found.sort();
}

async function* namesIn(path: string): AsyncGenerator<string> {
  for await (const { name } of await opendir(path, { encoding: 'latin1', bufferSize: 256 })) yield name;
}

async function changedAt(path: Buffer): Promise<number | undefined> {
  try {
    return (await lstat(path)).ctimeMs;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** By its descriptor: a link that takes its place meanwhile gives nothing away. */
async function makeBeneath(root: FileHandle, name: string, { mode, uid, gid }: Ownership): Promise<HostileTree> {
  const path = child(root, name);
  if ((await lstat(path).catch(() => undefined))?.isDirectory() === false) await removeBeneath(root, name);
  await mkdir(path, { mode: 0o700 }).catch((error: unknown) => {
    if (!isErrno(error, 'EEXIST')) throw error;
  });
  const made = await openOrRefuse(path, asDirectory, name);
  try {
    const found = await made.stat();
    const [owner, group] = [uid ?? found.uid, gid ?? found.gid];
    if (found.uid !== owner || found.gid !== group) await made.chown(owner, group);
    if ((found.mode & 0o7777) !== mode) await made.chmod(mode);
    return treeOf(made);
  } catch (error) {
    await made.close();
    throw error;
  }
}

/**
 * INVARIANT: a few descriptors and no list, however deep and wide the tree is. What lies deeper is not gone down to but moved up,
 * into the directory that is removed, under a number. What is left when this gives up is removed by the next call.
 */
async function removeBeneath(root: FileHandle, name: string): Promise<void> {
  if (await isRemoved(root, name)) return;
  await using top = await openOrRefuse(listed(root, name), asDirectory, name);
  const lifted = { prefix: `.${randomBytes(6).toString('hex')}-`, count: 0 };
  let done = 0;
  for (let round = 1; !(await isRemoved(root, name)); round += 1) {
    const why = 'more is put into it than can be removed';
    if (round > 10 || lifted.count > mostLifted) throw new Failure('refused', 'not removed', { where: name, why });
    for await (const inner of namesIn(child(top, '.'))) await removeLevel(top, inner, lifted);
    for (; done < lifted.count && done < mostLifted; done += 1)
      await removeLevel(top, `${lifted.prefix}${done}`, lifted);
  }
}

/** Removes a name in `top`. Directories that have something in them are lifted out of it first. */
async function removeLevel(top: FileHandle, name: string, lifted: { prefix: string; count: number }): Promise<void> {
  if (await isRemoved(top, name)) return;
  await using directory = await openOrRefuse(listed(top, name), asDirectory, name);
  for await (const inner of namesIn(child(directory, '.'))) {
    if (await isRemoved(directory, inner)) continue;
    await rename(listed(directory, inner), listed(top, `${lifted.prefix}${lifted.count}`));
    lifted.count += 1;
  }
  await isRemoved(top, name);
}

/** Removes a file, a link or an empty directory. False: a directory with something in it. */
async function isRemoved(directory: FileHandle, name: string): Promise<boolean> {
  const path = listed(directory, name);
  try {
    await unlink(path).catch(async (error: unknown) => {
      if (!isErrno(error, 'EISDIR', 'EPERM')) throw error;
      await rmdir(path);
    });
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return true;
    if (isErrno(error, 'ENOTEMPTY', 'EEXIST', 'ENOTDIR')) return false;
    throw error;
  }
}
