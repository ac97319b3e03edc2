import { canonicalJson, sameJson } from './json.ts';
import { rootId, type Group } from './groups.ts';
import { isTooMuch, type BrakeLimits } from './brake-limits.ts';

/** A reason to hold a tree until an admin says so. */
export interface ClassifierBrake {
  readonly rule: 'groups-vanish' | 'source-empty' | 'root-rule-changed';
  readonly sentence: string;
  /** One line each, for the admin who decides. */
  readonly difference: readonly string[];
}

export const classifierLimits: BrakeLimits = { share: 0.2, atLeast: 10 };

/** What in an incoming tree looks like a mistake, compared with the spare's live one. `wanted` is the merged tree. */
export function classifierBrakes(
  incoming: readonly Group[],
  wanted: readonly Group[],
  live: readonly Group[],
  limits: BrakeLimits = classifierLimits,
): readonly ClassifierBrake[] {
  const brakes = [emptied(incoming, live), vanishing(wanted, live, limits), rootRule(incoming, live)];
  return brakes.filter((brake) => brake !== undefined);
}

function emptied(incoming: readonly Group[], live: readonly Group[]): ClassifierBrake | undefined {
  const left = incoming.filter((group) => group.id !== rootId);
  const here = live.filter((group) => group.id !== rootId);
  if (left.length > 0 || here.length === 0) return undefined;
  const sentence = `The active's classifier has only its root group, the spare has ${here.length} more`;
  return { rule: 'source-empty', sentence, difference: here.map(removed) };
}

function vanishing(wanted: readonly Group[], live: readonly Group[], limits: BrakeLimits): ClassifierBrake | undefined {
  const ids = new Set(wanted.map((group) => group.id));
  const names = new Set(wanted.map(nameOf));
  // A group that was made again under another id, or renamed, is still there.
  const gone = live.filter((group) => !ids.has(group.id) && !names.has(nameOf(group)));
  if (!isTooMuch(gone.length, live.length, limits)) return undefined;
  const sentence = `${gone.length} of ${live.length} node groups would vanish from the spare`;
  return { rule: 'groups-vanish', sentence, difference: gone.map(removed) };
}

function rootRule(incoming: readonly Group[], live: readonly Group[]): ClassifierBrake | undefined {
  const theirs = incoming.find((group) => group.id === rootId)?.rule;
  const ours = live.find((group) => group.id === rootId)?.rule;
  if (sameJson(theirs, ours)) return undefined;
  const shown = (rule: typeof ours): string => (rule === undefined ? 'no rule' : canonicalJson(rule));
  return {
    rule: 'root-rule-changed',
    sentence: "The root group's rule differs; the classifier lets nobody import another, the spare's stays",
    difference: [`- ${shown(ours)}`, `+ ${shown(theirs)}`],
  };
}

const nameOf = (group: Group): string => `${group.environment}/${group.name}`;
const removed = (group: Group): string => `- ${group.name} (environment ${group.environment}, id ${group.id})`;
