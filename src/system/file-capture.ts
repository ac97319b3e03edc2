import { constants, type BigIntStats } from 'node:fs';
import { copyFile, lstat, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno } from '../errors.ts';
import type { Directory } from '../rules/files-plan.ts';
import { directoriesAbove, pathProblem, type ManifestFile } from '../rules/manifest.ts';
import { fileWeight } from '../rules/set-digest.ts';
import type { AcceptedEntry } from './accepted-set.ts';
import type { Accounts } from './accounts.ts';
import { sha256File } from './files.ts';

export interface CapturedFile {
  readonly file: ManifestFile;
  readonly entry: AcceptedEntry;
}

export interface FileCapture {
  /** Copied below the capture's directory; what the copy holds is what was hashed. */
  readonly changed: readonly CapturedFile[];
  /** What the changed files lie in, for where it is missing. */
  readonly directories: readonly Directory[];
  /** Every path that was found, changed or not. */
  readonly found: ReadonlySet<string>;
  /** What can't travel, and why: links, sockets, names that are not printable. */
  readonly skipped: readonly string[];
}

export interface CaptureOrder {
  /** What the listed paths are below. */
  readonly root: string;
  /** Files and directories, relative to the root; what does not exist is no error. */
  readonly paths: readonly string[];
  readonly directory: string;
  readonly known: (path: string) => AcceptedEntry | undefined;
  readonly accounts: Accounts;
}

/** Copies what differs from the known set out of the live tree, as it is found there. */
export async function captureFiles(order: CaptureOrder): Promise<FileCapture> {
  const changed: CapturedFile[] = [];
  const found = new Set<string>();
  const skipped: string[] = [];
  for (const path of order.paths) await visit(path);
  return { changed, directories: await directoriesOf(order, changed), found, skipped };

  async function visit(path: string): Promise<void> {
    const stat = await lstat(join(order.root, path), { bigint: true }).catch(ignoreMissing);
    if (stat === undefined || found.has(path)) return;
    const problem = pathProblem(path);
    if (problem !== undefined) skipped.push(`${JSON.stringify(path)} (${problem})`);
    else if (stat.isDirectory()) {
      for (const name of (await readdir(join(order.root, path))).sort()) await visit(join(path, name));
    } else if (stat.isFile()) {
      found.add(path);
      const captured = await captureOne(order, path, stat);
      if (captured !== undefined) changed.push(captured);
    } else skipped.push(`${path} (not a regular file)`);
  }
}

async function directoriesOf({ root, accounts }: CaptureOrder, changed: readonly CapturedFile[]): Promise<Directory[]> {
  const directories: Directory[] = [];
  for (const path of new Set(changed.flatMap(({ file }) => directoriesAbove(file.path)))) {
    const found = await stat(join(root, path)).catch(ignoreMissing);
    if (found === undefined) continue; // gone meanwhile, as its files are at the next pass
    const [owner, group] = [accounts.userName(found.uid), accounts.groupName(found.gid)];
    directories.push({ path, mode: found.mode & 0o777, owner, group });
  }
  return directories;
}

/** Moves what was captured into a drop's payload. */
export async function packFiles(
  directory: string,
  payload: string,
  changed: readonly CapturedFile[],
): Promise<ManifestFile[]> {
  for (const { file } of changed) {
    await mkdir(dirname(join(payload, file.path)), { recursive: true, mode: 0o700 });
    await rename(join(directory, file.path), join(payload, file.path));
  }
  return changed.map(({ file }) => file);
}

// Times are read before the content: a file that changes meanwhile is read again at the next pass.
async function captureOne(order: CaptureOrder, path: string, stat: BigIntStats): Promise<CapturedFile | undefined> {
  const known = order.known(path);
  const mode = Number(stat.mode) & 0o777;
  const sameOutside = known !== undefined && known.size === Number(stat.size) && known.mode === mode;
  if (sameOutside && known.mtimeNs === stat.mtimeNs) return undefined;
  const copy = join(order.directory, path);
  await mkdir(dirname(copy), { recursive: true, mode: 0o700 });
  await copyFile(join(order.root, path), copy, constants.COPYFILE_FICLONE);
  const sha256 = await sha256File(copy);
  const size = Number((await lstat(copy)).size);
  if (known?.sha256 === sha256 && known.mode === mode) {
    await rm(copy);
    return undefined;
  }
  const owner = order.accounts.userName(Number(stat.uid));
  const group = order.accounts.groupName(Number(stat.gid));
  const entry = { path, mode, size, sha256, mtimeNs: stat.mtimeNs, weight: fileWeight(path, mode, sha256) };
  return { file: { path, size, sha256, mode, owner, group }, entry };
}

function ignoreMissing(error: unknown): undefined {
  if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
}
