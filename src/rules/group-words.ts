import { rootId, type Group } from './groups.ts';
import { isJsonObject, sameJson, type Json, type JsonObject } from './json.ts';
import { ruleChange, ruleWords } from './rule-words.ts';
import { isSecretName, shortened, shownValue, textWithoutSecrets } from './shown-value.ts';
import { counted } from './spoken.ts';

/** What changed in one node group, in words. */
export interface GroupChange {
  /** Its name after the change. */
  readonly group: string;
  readonly kind: 'added' | 'removed' | 'changed';
  /** Each a whole clause: `profile::nginx port 80 -> 8080`. Values are shortened, secrets masked. */
  readonly lines: readonly string[];
}

/**
 * How one tree of node groups became another, in words; in the order of names. Groups are told apart by id, and where a tree was
 * made anew under other ids, by environment and name. What goes or comes with a group above it is named there alone.
 */
export function groupChanges(before: readonly Group[], after: readonly Group[]): readonly GroupChange[] {
  const pairs = pairUp(before, after);
  const paired = new Set([...pairs.values()].map(({ id }) => id));
  const ids = new Map([...pairs].map(([id, group]) => [group.id, id]));
  const [oldTree, newTree] = [treeOf(before), treeOf(after)];
  const added = new Set(after.filter(({ id }) => !pairs.has(id)).map(({ id }) => id));
  const removed = new Set(before.filter(({ id }) => !paired.has(id)).map(({ id }) => id));
  const changes = [
    ...outermost(after, added).map((group) => addedWords(group, newTree, added)),
    ...outermost(before, removed).map((group) => removedWords(group, oldTree, removed)),
    ...after.flatMap((group) => {
      const old = pairs.get(group.id);
      if (old === undefined) return [];
      const isMoved = group.id !== rootId && ids.get(old.parent) !== group.parent;
      const moved = isMoved ? [`parent ${nameIn(oldTree, old.parent)} -> ${nameIn(newTree, group.parent)}`] : [];
      const lines = [...changesOf(old, group), ...moved];
      return lines.length === 0 ? [] : [{ group: group.name, kind: 'changed' as const, lines }];
    }),
  ];
  return changes.sort((a, b) => (a.group < b.group ? -1 : a.group > b.group ? 1 : 0));
}

/** As a person reads them, a line each: `group Web: profile::nginx port 80 -> 8080`. */
export const groupLines = (changes: readonly GroupChange[]): string[] =>
  changes.flatMap(({ group, lines }) => lines.map((line) => `group ${group}: ${line}`));

/** "3 groups changed: Web, DB, PE Master; 1 added: Test". */
export function groupSummary(changes: readonly GroupChange[]): string {
  const parts = (['changed', 'added', 'removed'] as const).flatMap((kind) => {
    const names = changes.filter((change) => change.kind === kind).map(({ group }) => group);
    if (names.length === 0) return [];
    const more = names.length > 5 ? ` and ${names.length - 5} more` : '';
    return [{ kind, count: names.length, names: `${names.slice(0, 5).join(', ')}${more}` }];
  });
  if (parts.length === 0) return 'the same groups';
  return parts
    .map(({ kind, count, names }, n) => `${n === 0 ? counted(count, 'group') : count} ${kind}: ${names}`)
    .join('; ');
}

function pairUp(before: readonly Group[], after: readonly Group[]): ReadonlyMap<string, Group> {
  const byId = new Map(before.map((group) => [group.id, group]));
  const pairs = new Map<string, Group>();
  for (const group of after) {
    const old = byId.get(group.id);
    if (old !== undefined) pairs.set(group.id, old);
  }
  const used = new Set([...pairs.values()].map(({ id }) => id));
  const byName = new Map(before.filter(({ id }) => !used.has(id)).map((group) => [nameKey(group), group]));
  for (const group of after) {
    const old = pairs.has(group.id) ? undefined : byName.get(nameKey(group));
    if (old !== undefined) pairs.set(group.id, old);
  }
  return pairs;
}

const nameKey = ({ environment, name }: Group): string => JSON.stringify([environment, name]);

interface Tree {
  readonly byId: ReadonlyMap<string, Group>;
  readonly children: ReadonlyMap<string, readonly Group[]>;
}

const treeOf = (groups: readonly Group[]): Tree => ({
  byId: new Map(groups.map((group) => [group.id, group])),
  children: Map.groupBy(groups, ({ parent }) => parent),
});

const nameIn = ({ byId }: Tree, id: string): string => byId.get(id)?.name ?? id;

const outermost = (groups: readonly Group[], among: ReadonlySet<string>): readonly Group[] =>
  groups.filter(({ id, parent }) => among.has(id) && (parent === id || !among.has(parent)));

function below({ children }: Tree, top: Group, among: ReadonlySet<string>): readonly Group[] {
  const found: Group[] = [];
  const open = [top];
  for (let next = open.shift(); next !== undefined; next = open.shift()) {
    const inner = (children.get(next.id) ?? []).filter(({ id }) => among.has(id) && id !== top.id);
    found.push(...inner);
    open.push(...inner);
  }
  return found;
}

function belowWords(groups: readonly Group[]): string {
  if (groups.length === 0) return '';
  const more = groups.length > 10 ? ` and ${groups.length - 10} more` : '';
  const names = groups.slice(0, 10).map(({ name }) => name);
  return `, with ${counted(groups.length, 'group')} below it: ${names.join(', ')}${more}`;
}

function addedWords(group: Group, tree: Tree, among: ReadonlySet<string>): GroupChange {
  const classes = Object.keys(group.classes);
  const about = [
    `added below ${nameIn(tree, group.parent)}, environment ${group.environment}${belowWords(below(tree, group, among))}`,
    ...(group.rule === undefined ? [] : [`rule ${shortened(ruleWords(group.rule), 160)}`]),
    ...(classes.length === 0 ? [] : [`classes ${shortened(classes.join(', '), 160)}`]),
  ];
  return { group: group.name, kind: 'added', lines: about };
}

const removedWords = (group: Group, tree: Tree, among: ReadonlySet<string>): GroupChange => ({
  group: group.name,
  kind: 'removed',
  lines: [`removed from below ${nameIn(tree, group.parent)}${belowWords(below(tree, group, among))}`],
});

const known = ['id', 'name', 'parent', 'environment', 'environment_trumps', 'classes', 'variables', 'config_data'];
const inWords = new Set([...known, 'rule', 'description', 'last_edited', 'serial_number', 'deleted']);

function changesOf(old: Group, now: Group): string[] {
  const others = [...new Set([...Object.keys(old), ...Object.keys(now)])].filter((field) => !inWords.has(field));
  return [
    ...(old.name === now.name ? [] : [`renamed from ${old.name}`]),
    ...valueChange('environment', old.environment, now.environment, (value) =>
      typeof value === 'string' ? value : 'unset',
    ),
    ...(old.environment_trumps === now.environment_trumps
      ? []
      : [`${now.environment_trumps ? 'is' : 'is no longer'} an environment group`]),
    ...ruleChange(old.rule, now.rule),
    ...classChanges(old.classes, now.classes, ''),
    ...classChanges(old.config_data ?? {}, now.config_data ?? {}, 'data of '),
    ...parameterChanges(old.variables, now.variables, 'variable '),
    ...valueChange('description', old.description, now.description, (value) =>
      typeof value === 'string' ? shortened(JSON.stringify(textWithoutSecrets(value))) : 'unset',
    ),
    ...others.flatMap((field) => parameterChange(field, old[field], now[field], '')),
  ];
}

function classChanges(old: JsonObject, now: JsonObject, prefix: string): string[] {
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])].sort();
  return names.flatMap((name) => {
    const [was, is] = [old[name], now[name]];
    if (!isJsonObject(was)) return [`${prefix === '' ? 'class ' : prefix}${name} added${parametersOf(is)}`];
    if (!isJsonObject(is)) return [`${prefix === '' ? 'class ' : prefix}${name} removed${parametersOf(was)}`];
    return parameterChanges(was, is, `${prefix}${name} `);
  });
}

function parametersOf(value: Json | undefined): string {
  if (!isJsonObject(value)) return '';
  const parts = Object.entries(value).map(([name, one]) => `${name} ${shownValue(name, one)}`);
  return parts.length === 0 ? '' : ` (${shortened(parts.join(', '), 160)})`;
}

const parameterChanges = (old: JsonObject, now: JsonObject, prefix: string): string[] =>
  [...new Set([...Object.keys(old), ...Object.keys(now)])]
    .sort()
    .flatMap((name) => parameterChange(name, old[name], now[name], prefix));

function parameterChange(name: string, old: Json | undefined, now: Json | undefined, prefix: string): string[] {
  return valueChange(`${prefix}${name}`, old, now, (value) => shownValue(name, value), isSecretName(name));
}

function valueChange(
  what: string,
  old: Json | undefined,
  now: Json | undefined,
  show: (value: Json | undefined) => string,
  isSecret = false,
): string[] {
  if (sameJson(old, now)) return [];
  if (isSecret && old !== undefined && now !== undefined) return [`${what} changed (not shown)`];
  const [was, is] = [show(old), show(now)];
  return [was === is ? `${what} changed (not shown)` : `${what} ${was} -> ${is}`];
}
