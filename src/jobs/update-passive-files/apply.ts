import { join } from 'node:path';
import { directoriesIn, type FilesPlan } from '../../rules/files-plan.ts';
import { dropName, type Manifest, type ManifestFile } from '../../rules/manifest.ts';
import type { Obstacle } from '../../rules/obstacles.ts';
import { fileWeight } from '../../rules/set-digest.ts';
import type { AcceptedEntry, AcceptedSet } from '../../system/accepted-set.ts';
import type { Accounts } from '../../system/accounts.ts';
import type { Operation, Step } from '../../system/journal.ts';
import { attemptEach, keepAside, placeFile, removeFile, type FilesHome, type Names } from './place.ts';

/** All that is needed to make the same steps again after a crash. */
export interface ApplyArguments {
  readonly taken: string;
  readonly manifest: Manifest;
  readonly plan: FilesPlan;
}

/** Where an apply acts, and what it could not do. */
export interface Surroundings {
  readonly home: FilesHome;
  readonly archive: string;
  readonly accounts: Accounts;
  readonly obstacles: Obstacle[];
}

export function applyOperation(around: Surroundings, args: ApplyArguments): Operation<ApplyArguments> {
  const run = dropName(args.manifest);
  return { job: 'update-passive-files', run, args, steps: applySteps(around, args), pointOfNoReturn: 'keep' };
}

/**
 * Always rolled forward: each file is old or new, what is replaced is archived right before, removals come before what
 * is placed (a file may become a directory, or the other way round), and the accepted set comes last, so that a killed
 * apply is repeated whole.
 */
export function applySteps(around: Surroundings, { manifest, taken, plan }: ApplyArguments): Step[] {
  const { home, archive, accounts, obstacles } = around;
  const never = (): Promise<boolean> => Promise.resolve(false); // every step below is cheap to repeat
  const replaced = join(archive, dropName(manifest));
  return [
    {
      name: 'keep',
      isDone: never,
      do: () => home.store.add(manifest.files.map(({ path, sha256 }) => ({ source: join(taken, path), sha256 }))),
    },
    {
      name: 'remove',
      isDone: never,
      do: () => attemptEach(pathsOf(plan.remove), obstacles, ({ path }) => removeFile(home, path, replaced)),
    },
    {
      name: 'place',
      isDone: never,
      do: () => {
        const names = namesOf(around, manifest);
        return attemptEach(plan.place, obstacles, (file) => placeFile(home, file, names, replaced));
      },
    },
    {
      name: 'key-files',
      isDone: never,
      do: () => attemptEach(plan.keep, obstacles, (file) => keepAside(home, file, accounts)),
    },
    {
      name: 'accept',
      isDone: async () => home.set.digest() === manifest.digest && home.set.reference()?.sequence === manifest.sequence,
      do: async () => accept(home.set, manifest),
    },
  ];
}

/** What earlier drops left out lies in directories that they named. */
const namesOf = ({ home, accounts }: Surroundings, { detail }: Manifest): Names => ({
  accounts,
  directories: [...directoriesIn(detail), ...home.set.directories()],
});

export const pathsOf = (paths: readonly string[]): { path: string }[] => paths.map((path) => ({ path }));

export const entryOf = ({ path, mode, size, sha256, owner, group }: ManifestFile): AcceptedEntry => ({
  path,
  mode,
  size,
  sha256,
  owner,
  group,
  mtimeNs: 0n,
  weight: fileWeight(path, mode, sha256),
});

function accept(set: AcceptedSet, manifest: Manifest): void {
  const [put, directories] = [manifest.files.map(entryOf), directoriesIn(manifest.detail)];
  if (manifest.kind === 'whole') set.rebuild(put, manifest, directories);
  else set.commit({ put, remove: manifest.deleted, directories }, manifest);
}
