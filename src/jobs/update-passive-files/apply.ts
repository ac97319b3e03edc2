import { lstat, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { FilesPlan } from '../../rules/files-plan.ts';
import { dropName, type Manifest, type ManifestFile } from '../../rules/manifest.ts';
import { fileWeight } from '../../rules/set-digest.ts';
import type { AcceptedEntry, AcceptedSet } from '../../system/accepted-set.ts';
import type { Accounts } from '../../system/accounts.ts';
import type { ContentStore } from '../../system/content-store.ts';
import { copyFileAtomic, ensureDirectory, removeIfThere, sha256File, type Ownership } from '../../system/files.ts';
import type { Step } from '../../system/journal.ts';

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

/**
 * Always rolled forward: each file is old or new, content is kept before it is placed, and the accepted set comes last,
 * so that a killed apply is repeated whole.
 */
export function applySteps(
  home: FilesHome,
  manifest: Manifest,
  taken: string,
  plan: FilesPlan,
  archive: string,
  accounts: Accounts,
): Step[] {
  const live = (path: string): string => join(home.root, path);
  const never = (): Promise<boolean> => Promise.resolve(false); // every step below is cheap to repeat
  const replaced = [...plan.place.map(({ path }) => path), ...plan.remove];
  return [
    { name: 'archive', isDone: never, do: () => archiveFiles(home, replaced, join(archive, dropName(manifest))) },
    {
      name: 'keep',
      isDone: never,
      do: () => home.store.add(manifest.files.map(({ path, sha256 }) => ({ source: join(taken, path), sha256 }))),
    },
    {
      name: 'place',
      isDone: never,
      do: () => inTurn(plan.place, (file) => placeFile(home, file, live(file.path), accounts)),
    },
    {
      name: 'key-files',
      isDone: never,
      do: () => inTurn(plan.keep, (file) => placeFile(home, file, join(home.keyFiles, file.path), accounts)),
    },
    { name: 'remove', isDone: never, do: () => inTurn(plan.remove, (path) => removeIfThere(live(path))) },
    {
      name: 'accept',
      isDone: async () => home.set.digest() === manifest.digest && home.set.reference()?.sequence === manifest.sequence,
      do: async () => accept(home.set, manifest),
    },
  ];
}

/** Puts one accepted file live, unless it is so already. */
export async function placeFile(
  home: FilesHome,
  file: ManifestFile,
  target: string,
  accounts: Accounts,
): Promise<boolean> {
  const found = await lstat(target).catch(() => undefined);
  const same =
    found?.isFile() === true && (found.mode & 0o777) === file.mode && (await sha256File(target)) === file.sha256;
  if (same) return false;
  await mkdir(dirname(target), { recursive: true });
  await copyFileAtomic(home.store.path(file.sha256), target, ownership(home, file, found, accounts));
  return true;
}

// What is there keeps its owner; the active's names count only for what is new here.
function ownership(
  home: FilesHome,
  file: ManifestFile,
  found: { uid: number; gid: number } | undefined,
  accounts: Accounts,
): Ownership {
  if (!home.mayChown) return { mode: file.mode };
  const { uid, gid } = found ?? { uid: accounts.uid(file.owner) ?? 0, gid: accounts.gid(file.group) ?? 0 };
  return { mode: file.mode, uid, gid };
}

async function archiveFiles(home: FilesHome, paths: readonly string[], archive: string): Promise<void> {
  for (const path of paths) {
    const found = await lstat(join(home.root, path)).catch(() => undefined);
    if (found?.isFile() !== true) continue;
    await ensureDirectory(dirname(archive), { mode: 0o700 });
    await mkdir(dirname(join(archive, path)), { recursive: true, mode: 0o700 });
    await copyFileAtomic(join(home.root, path), join(archive, path), { mode: 0o600 });
  }
}

export const entryOf = ({ path, mode, size, sha256 }: ManifestFile): AcceptedEntry => ({
  path,
  mode,
  size,
  sha256,
  mtimeNs: 0n,
  weight: fileWeight(path, mode, sha256),
});

function accept(set: AcceptedSet, manifest: Manifest): void {
  const put = manifest.files.map(entryOf);
  if (manifest.kind === 'whole') set.rebuild(put, manifest);
  else set.commit({ put, remove: manifest.deleted }, manifest);
}

async function inTurn<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<void> {
  for (const item of items) await work(item);
}
