import { constants } from 'node:fs';
import { open, readdir, rmdir, unlink, type FileHandle } from 'node:fs/promises';
import { Failure, isErrno } from '../errors.ts';

/**
 * A tree that an enemy owns, read without ever following a link: each directory is opened first, and its children
 * beneath that descriptor (/proc/self/fd), so that a directory exchanged for a link meanwhile leads nowhere.
 */
export interface HostileTree extends AsyncDisposable {
  /** Opens a regular file; never waits for a pipe. Throws `bad-data` for anything else. */
  openFile(path: string): Promise<FileHandle>;
  /** Reads a small file whole. Throws `bad-data` when it is longer. */
  readText(path: string, limit: number): Promise<string>;
  /** Every path beneath that is not a directory, links and pipes too. Throws `bad-data` beyond `limit` names. */
  list(limit: number): Promise<string[]>;
  /** The tree of a directory beneath. Throws `bad-data` for anything else, with ENOENT as its cause where nothing is. */
  directory(path: string): Promise<HostileTree>;
  /** What lies directly in it, sorted. */
  names(): Promise<string[]>;
  /** Removes what has that name directly in it: a link, not what it points to; a directory with all beneath it. */
  remove(name: string): Promise<void>;
}

const asDirectory = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const asFile = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

const longestPath = 4096;

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
    const found: string[] = [];
    await listBeneath(root, '', found, limit);
    return found;
  },
  directory: (path) => openBeneath(root, path, async (open) => treeOf(await open(asDirectory))),
  names: async () => (await readdir(child(root, '.'))).sort(),
  remove: (name) => removeBeneath(root, name),
  [Symbol.asyncDispose]: () => root.close(),
});

const child = (directory: FileHandle, name: string): string => `/proc/self/fd/${directory.fd}/${name}`;

/** Goes down to the directory of `path`, and lets `last` open the name in it. */
async function openBeneath<Opened>(
  root: FileHandle,
  path: string,
  last: (open: (flags: number) => Promise<FileHandle>) => Promise<Opened>,
): Promise<Opened> {
  const parts = path.split('/');
  const name = parts.pop() ?? '';
  const opened: FileHandle[] = [];
  try {
    let directory = root;
    for (const part of parts) {
      directory = await openOrRefuse(child(directory, part), asDirectory, path);
      opened.push(directory);
    }
    const parent = directory;
    return await last((flags) => openOrRefuse(child(parent, name), flags, path));
  } finally {
    for (const handle of opened) await handle.close();
  }
}

async function regular(handle: FileHandle, path: string): Promise<FileHandle> {
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw new Failure('bad-data', 'not a regular file', { where: path });
}

async function openOrRefuse(path: string, flags: number, where: string): Promise<FileHandle> {
  try {
    return await open(path, flags);
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) throw new Failure('bad-data', 'file is missing', { where, cause });
    if (isErrno(cause, 'ELOOP', 'ENOTDIR', 'ENXIO'))
      throw new Failure('bad-data', 'not a regular file', { where, cause });
    throw cause;
  }
}

async function listBeneath(directory: FileHandle, prefix: string, found: string[], limit: number): Promise<void> {
  for (const entry of await readdir(child(directory, '.'), { withFileTypes: true })) {
    const path = `${prefix}${entry.name}`;
    if (Buffer.byteLength(path) > longestPath)
      throw new Failure('bad-data', 'nested too deep', { where: prefix.slice(0, 80) });
    if (found.length >= limit) throw new Failure('bad-data', 'too many files', { why: `over ${limit}` });
    if (!entry.isDirectory()) found.push(path);
    else {
      await using inner = await openOrRefuse(child(directory, entry.name), asDirectory, path);
      await listBeneath(inner, `${path}/`, found, limit);
    }
  }
}

async function removeBeneath(directory: FileHandle, name: string): Promise<void> {
  try {
    await unlink(child(directory, name));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    if (!isErrno(error, 'EISDIR', 'EPERM')) throw error;
    await emptyBeneath(directory, name);
    await rmdir(child(directory, name));
  }
}

async function emptyBeneath(directory: FileHandle, name: string): Promise<void> {
  await using inner = await openOrRefuse(child(directory, name), asDirectory, name);
  for (const entry of await readdir(child(inner, '.'))) await removeBeneath(inner, entry);
}
