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

export interface Trees {
  /** As the active sent it. */
  readonly incoming: readonly Group[];
  /** The merged tree. */
  readonly wanted: readonly Group[];
  readonly live: readonly Group[];
  /** What this active's last restore left; undefined: this is its first. What the spare has besides was made there. */
  readonly left?: readonly Group[] | undefined;
  /** An admin said that the active's data may replace what is here, and nothing did so yet. */
  readonly replaces?: boolean;
}

/** What in an incoming tree looks like a mistake, compared with the spare's live one. */
export function classifierBrakes(trees: Trees, limits: BrakeLimits = classifierLimits): readonly ClassifierBrake[] {
  return [emptied(trees), vanishing(trees, limits), rootRule(trees)].filter((brake) => brake !== undefined);
}

function emptied({ incoming, live }: Trees): ClassifierBrake | undefined {
  const left = incoming.filter((group) => group.id !== rootId);
  const here = live.filter((group) => group.id !== rootId);
  if (left.length > 0 || here.length === 0) return undefined;
  const sentence = `The active's classifier has only its root group, the spare has ${here.length} more`;
  return { rule: 'source-empty', sentence, difference: here.map(removed) };
}

function vanishing({ wanted, live, left, replaces }: Trees, limits: BrakeLimits): ClassifierBrake | undefined {
  if (replaces === true) return undefined;
  const before = left === undefined ? live : live.filter(isAmong(left));
  const gone = groupsGone(before, wanted);
  if (!isTooMuch(gone.length, before.length, limits)) return undefined;
  const sentence = `${gone.length} of ${before.length} node groups would vanish from the spare`;
  return { rule: 'groups-vanish', sentence, difference: gone.map(removed) };
}

/** Those that `wanted` lacks. A group that was made again under another id, or renamed, is still there. */
export const groupsGone = (before: readonly Group[], wanted: readonly Group[]): readonly Group[] => {
  const isThere = isAmong(wanted);
  return before.filter((group) => !isThere(group));
};

function isAmong(tree: readonly Group[]): (group: Group) => boolean {
  const ids = new Set(tree.map((group) => group.id));
  const names = new Set(tree.map(nameOf));
  return (group) => ids.has(group.id) || names.has(nameOf(group));
}

function rootRule({ incoming, live }: Trees): ClassifierBrake | undefined {
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
const removed = (group: Group): string => `- ${group.name}, environment ${group.environment}`;
