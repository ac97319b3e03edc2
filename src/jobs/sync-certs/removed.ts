import { kindOf } from '../../rules/ca-paths.ts';
import type { AcceptedSet, SetChanges } from '../../system/accepted-set.ts';

/** How many certificates the spare loses by these changes. A whole drop names what stays, not what goes. */
export function countRemoved(set: Pick<AcceptedSet, 'all'>, { put, remove }: SetChanges, whole: boolean): number {
  const isCertificate = (path: string): boolean => kindOf(path) === 'certificate';
  if (!whole) return remove.filter(isCertificate).length;
  const stays = new Set(put.map(({ path }) => path));
  let count = 0;
  for (const { path } of set.all()) if (isCertificate(path) && !stays.has(path)) count += 1;
  return count;
}
