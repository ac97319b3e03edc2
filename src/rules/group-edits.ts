import type { Group } from './groups.ts';
import { canonicalJson, isJsonObject, sameJson, type Json, type JsonObject } from './json.ts';

/** One value of one node group, as it was and as it becomes; a missing one is unset. */
export interface GroupEdit {
  /** Id and name of the group. */
  readonly id: string;
  readonly group: string;
  readonly place: 'classes' | 'config_data' | 'rule';
  /** Of a parameter. */
  readonly className?: string;
  readonly parameter?: string;
  readonly before?: Json;
  readonly after?: Json;
  /** The group does not have the class without it. */
  readonly ownsClass?: true;
}

/** What takes it back. */
export const turnedRound = ({ before, after, ...edit }: GroupEdit): GroupEdit => ({
  ...edit,
  ...(after === undefined ? {} : { before: after }),
  ...(before === undefined ? {} : { after: before }),
});

export const isSamePlace = (a: GroupEdit, b: GroupEdit): boolean =>
  a.id === b.id && a.place === b.place && a.className === b.className && a.parameter === b.parameter;

/** Of a value that was edited twice by the same hand, what was before the first time counts. */
export function mergeEdits(standing: readonly GroupEdit[], made: readonly GroupEdit[]): GroupEdit[] {
  const merged = made.map((edit): GroupEdit => {
    const earlier = standing.find((one) => isSamePlace(one, edit));
    if (earlier === undefined || !sameJson(earlier.after, edit.before)) return edit;
    const { before: _since, ...rest } = edit;
    const owns = earlier.ownsClass === undefined ? {} : { ownsClass: earlier.ownsClass };
    return { ...rest, ...owns, ...(earlier.before === undefined ? {} : { before: earlier.before }) };
  });
  return [...standing.filter((one) => !made.some((edit) => isSamePlace(one, edit))), ...merged];
}

/** What stands there now. */
export function valueAt(group: Group, { place, className = '', parameter = '' }: GroupEdit): Json | undefined {
  if (place === 'rule') return group.rule;
  const params = group[place]?.[className];
  return isJsonObject(params) ? params[parameter] : undefined;
}

/** How the group is to an edit: not yet, already, or edited by somebody else. */
export function standingOf(group: Group | undefined, edit: GroupEdit): 'before' | 'after' | 'other' {
  if (group === undefined) return 'other';
  const now = valueAt(group, edit);
  if (sameJson(now, edit.after)) return 'after';
  return sameJson(now, edit.before) ? 'before' : 'other';
}

/** The body of one request that makes these edits of one group; null takes a value out. */
export function deltaOf(group: Group, edits: readonly GroupEdit[]): JsonObject {
  const delta: Record<string, Json> = {};
  for (const edit of edits) {
    const { place, className = '', parameter = '', after, ownsClass } = edit;
    if (place === 'rule') {
      delta['rule'] = after ?? null;
      continue;
    }
    const classes = (delta[place] ?? {}) as Record<string, Json>;
    const params = { ...((classes[className] ?? {}) as JsonObject), [parameter]: after ?? null };
    const left = { ...(group[place]?.[className] as JsonObject | undefined), ...params };
    const isEmpty = Object.values(left).every((value) => value === undefined || value === null);
    delta[place] = { ...classes, [className]: ownsClass === true && isEmpty ? null : params };
  }
  return delta;
}

/** `PE Agent: server_list: unset -> ["a:8140"]`, a line each. */
export function spokenEdit({ group, place, parameter, before, after }: GroupEdit): string {
  return `${group}: ${place === 'rule' ? 'rule' : (parameter ?? '')}: ${spoken(before)} -> ${spoken(after)}`;
}

const spoken = (value: Json | undefined): string => (value === undefined ? 'unset' : canonicalJson(value));
