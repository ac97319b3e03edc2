import { canonicalGroups, type Group } from './groups.ts';

/** Names of groups that people added to or changed on the spare since its last restore. */
export interface MadeHereGroups {
  readonly added: readonly string[];
  readonly changed: readonly string[];
}

/** Compares the live tree with what the last restore left. */
export function madeHereGroups(live: readonly Group[], accepted: readonly Group[]): MadeHereGroups {
  const before = new Map(accepted.map((group) => [group.id, canonicalGroups([group])]));
  const added = live.filter((group) => !before.has(group.id));
  const changed = live.filter((group) => before.has(group.id) && before.get(group.id) !== canonicalGroups([group]));
  return { added: added.map((group) => group.name), changed: changed.map((group) => group.name) };
}
