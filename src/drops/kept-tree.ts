import { join } from 'node:path';
import { stat } from 'node:fs/promises';
import { toFailure } from '../errors.ts';
import { parseGroups, type Group } from '../rules/groups.ts';
import type { Generation } from '../rules/history.ts';
import { digestOf } from '../rules/json.ts';
import { readIfThere } from '../system/files.ts';

/** A tree of node groups as it is kept, with the digest of its text. */
export interface KeptTree {
  readonly groups: readonly Group[];
  readonly digest: string;
}

/** Of an archived drop or of a tree that was live here. Undefined: it is gone, or the disk lost it. */
export async function readKeptTree({ path }: Pick<Generation, 'path'>): Promise<KeptTree | undefined> {
  if (path === undefined) return undefined;
  const isDirectory = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  const text = await readIfThere(isDirectory ? join(path, 'groups.json') : path);
  try {
    return text === undefined ? undefined : { groups: parseGroups(text), digest: digestOf(text) };
  } catch (error) {
    if (toFailure(error).class === 'bad-data') return undefined;
    throw error;
  }
}

/**
 * On an active a drop and the tree that was kept of that moment are one generation: the drop, with the content of the tree.
 * `own`: where the trees of this master are kept.
 */
export async function withOwnTrees(generations: readonly Generation[], own: string): Promise<Generation[]> {
  const trees: { readonly tree: Generation; readonly digest: string }[] = [];
  for (const tree of generations.filter(({ path }) => path?.startsWith(`${own}/`) === true)) {
    const kept = await readKeptTree(tree);
    if (kept !== undefined) trees.push({ tree, digest: kept.digest });
  }
  const merged = new Set<Generation>();
  const isSentHere = ({ component, place, path, content }: Generation): boolean =>
    component === 'nc' && place !== undefined && content !== undefined && (path === undefined || isOutbox(path));
  const all = generations.map((one) => {
    if (!isSentHere(one)) return one;
    const fits = trees.find(
      ({ tree, digest }) => digest === one.content?.digest && !merged.has(tree) && tree.at <= later(one.at),
    );
    if (fits === undefined) return one;
    merged.add(fits.tree);
    return { ...one, ...(fits.tree.path === undefined ? {} : { path: fits.tree.path }) };
  });
  return all.filter((one) => !merged.has(one));
}

const isOutbox = (path: string): boolean => path.includes('/outbox/');
const later = (at: string): string => new Date(Date.parse(at) + 60_000).toISOString();
