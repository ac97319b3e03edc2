import { lstat, mkdir, readdir, readlink, rmdir, symlink, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Failure, isErrno, toFailure } from '../../errors.ts';
import type { Directory } from '../../rules/files-plan.ts';
import { directoriesAbove, type ManifestFile } from '../../rules/manifest.ts';
import { obstacleAt, type Obstacle } from '../../rules/obstacles.ts';
import type { AcceptedSet } from '../../system/accepted-set.ts';
import type { Accounts } from '../../system/accounts.ts';
import type { ContentStore } from '../../system/content-store.ts';
import {
  copyFileAtomic,
  ensureDirectory,
  makeDirectoryAtomic,
  sha256File,
  sweepTemporary,
  type Ownership,
} from '../../system/files.ts';

/** Where files live, and where their content is kept. */
export interface FilesHome {
  readonly root: string;
  readonly set: AcceptedSet;
  readonly store: ContentStore;
  /** Key files wait here for the switch of the database that needs them. */
  readonly keyFiles: string;
  /** Whether we may give files away: root may, an ordinary user may not. */
  readonly mayChown: boolean;
}

/** What the active's names stand for here. */
export interface Names {
  readonly accounts: Accounts;
  /** What directories are on the active, as far as it told. */
  readonly directories: readonly Directory[];
}

/** True unless the file is there as accepted. */
export async function differs({ root }: FilesHome, file: ManifestFile): Promise<boolean> {
  return await isOther(file, join(root, file.path));
}

async function isOther(file: ManifestFile, target: string): Promise<boolean> {
  const found = await lstat(target).catch(() => undefined);
  return found === undefined || (found.mode & 0o777) !== file.mode || (await hasOtherContent(file.sha256, target));
}

async function hasOtherContent(sha256: string, target: string): Promise<boolean> {
  const found = await lstat(target).catch(() => undefined);
  return found?.isFile() !== true || (await sha256File(target)) !== sha256;
}

/** Puts one accepted file live, unless it is so already. What is there is archived first; true where something was. */
export async function placeFile(home: FilesHome, file: ManifestFile, names: Names, archive: string): Promise<boolean> {
  const target = join(home.root, file.path);
  if (!(await isOther(file, target))) return false;
  await demandContent(home, file);
  const archived = await archiveFile(home, file.path, file.sha256, archive);
  await makeMissing(home, file.path, names);
  const found = await lstat(target).catch(() => undefined);
  if (found?.isDirectory() === true) await removeEmptied(target);
  const kept = found?.isFile() === true ? found : undefined;
  await copyFileAtomic(home.store.path(file.sha256), target, dress(home, file, kept, names.accounts));
  return archived;
}

/** Removes what a killed pass left beside accepted files: half a secret, or a directory that was being made. */
export async function sweepBesideFiles({ root, set, keyFiles }: FilesHome): Promise<void> {
  const directories = new Set<string>(['']);
  for (const { path } of set.all()) for (const directory of directoriesAbove(path)) directories.add(directory);
  for (const path of [...[...directories].map((directory) => join(root, directory)), keyFiles])
    await sweepTemporary(path).catch(() => undefined); // what stands in the way there is the pass's to name
}

async function demandContent({ store }: FilesHome, { sha256 }: ManifestFile): Promise<void> {
  if (await store.isIntact(sha256)) return;
  throw new Failure('bad-data', 'its content is not kept here intact, copy it from the active by hand');
}

/** A key file waits aside until its database goes live. */
export async function keepAside(home: FilesHome, file: ManifestFile, accounts: Accounts): Promise<void> {
  const target = join(home.keyFiles, file.path);
  if (!(await isOther(file, target))) return;
  await demandContent(home, file);
  await mkdir(dirname(target), { recursive: true, mode: 0o700 });
  await copyFileAtomic(home.store.path(file.sha256), target, dress(home, file, undefined, accounts));
}

/** True where something was removed. */
export async function removeFile(home: FilesHome, path: string, archive: string): Promise<boolean> {
  const found = await lstat(join(home.root, path)).catch(ignoreMissing);
  if (found === undefined || found.isDirectory()) return false; // a directory of this master's own is not what was accepted
  await archiveFile(home, path, undefined, archive);
  await unlink(join(home.root, path)).catch(ignoreMissing);
  return true;
}

// What is there keeps its owner; the active's names count only for what is new here.
function dress(
  home: Pick<FilesHome, 'mayChown'>,
  { mode, owner, group }: Omit<Directory, 'path'>,
  found: { uid: number; gid: number } | undefined,
  accounts: Accounts,
): Ownership {
  if (!home.mayChown) return { mode };
  const { uid, gid } = found ?? { uid: accounts.uid(owner) ?? 0, gid: accounts.gid(group) ?? 0 };
  return { mode, uid, gid };
}

const rootsAlone = { mode: 0o700, owner: 'root', group: 'root' };

/** A directory of which the active told nothing is root's alone: it may be what keeps a readable file from others. */
async function makeMissing(home: FilesHome, path: string, names: Names): Promise<void> {
  for (const directory of directoriesAbove(path)) {
    if ((await lstat(join(home.root, directory)).catch(ignoreMissing)) !== undefined) continue;
    const like = names.directories.find((one) => one.path === directory) ?? rootsAlone;
    await makeDirectoryAtomic(join(home.root, directory), dress(home, like, undefined, names.accounts));
  }
}

/** Directories that hold nothing but such directories. Throws ENOTEMPTY at the first that holds more. */
async function removeEmptied(path: string): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeEmptied(join(path, entry.name));
  }
  await rmdir(path);
}

/** Keeps a copy of what is there, unless that is what comes: a repeated apply must not keep the new as the old. */
async function archiveFile(
  home: FilesHome,
  path: string,
  coming: string | undefined,
  archive: string,
): Promise<boolean> {
  const [live, copy] = [join(home.root, path), join(archive, path)];
  const found = await lstat(live).catch(ignoreMissing);
  const isLink = found?.isSymbolicLink() === true;
  if (found?.isFile() !== true && !isLink) return false;
  if (coming !== undefined && !(await hasOtherContent(coming, live))) return false;
  await ensureDirectory(dirname(archive), { mode: 0o700 });
  await mkdir(dirname(copy), { recursive: true, mode: 0o700 });
  if (isLink) await symlink(await readlink(live), copy).catch(ignoreThere);
  else await copyFileAtomic(live, copy, { mode: 0o600 });
  return true;
}

/** Does it for each, and leaves out what does not let itself: one bad file must not keep the others, nor the next drop. */
export async function attemptEach<Item extends { readonly path: string }>(
  items: readonly Item[],
  obstacles: Obstacle[],
  work: (item: Item) => Promise<unknown>,
): Promise<void> {
  for (const item of items) {
    try {
      await work(item);
    } catch (error) {
      if (isOurs(error)) throw error;
      obstacles.push(obstacleAt(item.path, error));
    }
  }
}

/** The role is left, the pass is over: nothing that a file could be blamed for. */
const isOurs = (error: unknown): boolean =>
  toFailure(error).class === 'interrupted' || (error instanceof Failure && error.class !== 'bad-data');

function ignoreMissing(error: unknown): undefined {
  if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
}

function ignoreThere(error: unknown): void {
  if (!isErrno(error, 'EEXIST')) throw error;
}
