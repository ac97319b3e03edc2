import { isAccount, pathProblem, type ManifestFile } from './manifest.ts';

export interface FilesPlan {
  /** To be placed live now. */
  readonly place: readonly ManifestFile[];
  /** Key files that a database needs: kept aside, placed inside the stop of its switch. */
  readonly keep: readonly ManifestFile[];
  /** To be removed live: what the accepted set had and the new one lacks. */
  readonly remove: readonly string[];
  /** Named by the active, but not listed in this master's own configuration. */
  readonly notAllowed: readonly string[];
}

/** What a directory is on the active. It counts where it is missing here. */
export type Directory = Pick<ManifestFile, 'path' | 'mode' | 'owner' | 'group'>;

/** The `directories` of a drop's detail. An active of an older version names none; what is malformed is as if not named. */
export function directoriesIn(detail: Readonly<Record<string, unknown>>): Directory[] {
  const listed: unknown = detail['directories'];
  return Array.isArray(listed) ? listed.filter(isDirectory) : [];
}

function isDirectory(value: unknown): value is Directory {
  const { path, mode, owner, group } = (value ?? {}) as Record<string, unknown>;
  const named = [owner, group].every((name) => typeof name === 'string' && isAccount(name));
  const permissions = typeof mode === 'number' && Number.isInteger(mode) && mode >= 0 && mode <= 0o777;
  return typeof path === 'string' && pathProblem(path) === undefined && permissions && named;
}

/** What a drop of files does here. `allowed` are absolute paths of files and directories, `keyFiles` absolute paths. */
export function planFiles(
  drop: FilesDrop,
  own: { readonly allowed: readonly string[]; readonly keyFiles: readonly string[] },
): FilesPlan {
  const mayPlace = (path: string): boolean => isBelow(path, own.allowed);
  const isKey = (path: string): boolean => own.keyFiles.includes(`/${path}`);
  const allowed = drop.files.filter(({ path }) => mayPlace(path) || isKey(path));
  return {
    place: allowed.filter(({ path }) => !isKey(path)),
    keep: allowed.filter(({ path }) => isKey(path)),
    remove: drop.deleted.filter((path) => mayPlace(path) && !isKey(path)),
    notAllowed: [...drop.files.map(({ path }) => path), ...drop.deleted].filter(
      (path) => !mayPlace(path) && !isKey(path),
    ),
  };
}

interface FilesDrop {
  readonly files: readonly ManifestFile[];
  readonly deleted: readonly string[];
}

/** The newest drop decides; what it does not name is as it was left. */
export function withLeftOut(
  { files, deleted }: FilesDrop,
  leftOut: { readonly files: readonly ManifestFile[]; readonly removals: readonly string[] } | undefined,
): FilesDrop {
  const named = new Set([...files.map(({ path }) => path), ...deleted]);
  const [older, removals] = [leftOut?.files ?? [], leftOut?.removals ?? []];
  return {
    files: [...older.filter(({ path }) => !named.has(path)), ...files],
    deleted: [...removals.filter((path) => !named.has(path)), ...deleted],
  };
}

/** True when the relative path is one of the listed ones or lies below it. */
export const isBelow = (path: string, listed: readonly string[]): boolean =>
  listed.some((one) => `/${path}` === one || `/${path}`.startsWith(one.endsWith('/') ? one : `${one}/`));
