import { Failure } from '../errors.ts';
import { canonicalJson, digestOf, isJsonObject, isRawNumber, parseJson, type Json, type JsonObject } from './json.ts';

/** A node group of the classifier. Fields that we do not know are kept: what a newer PE adds must not be lost. */
export interface Group extends JsonObject {
  readonly id: string;
  readonly name: string;
  /** The root group is its own parent. */
  readonly parent: string;
  readonly environment: string;
  readonly environment_trumps: boolean;
  readonly classes: JsonObject;
  readonly variables: JsonObject;
  readonly config_data?: JsonObject;
  readonly rule?: readonly Json[];
  readonly description?: string;
}

export const rootId = '00000000-0000-4000-8000-000000000000';
export const maxGroups = 50_000;

// The server makes these up; import refuses, ignores or resets them.
const readOnlyFields = new Set(['last_edited', 'serial_number', 'deleted']);

/** Reads and checks an untrusted tree. Throws a Failure of class bad-data that names the first wrong group and field. */
export function parseGroups(text: string): readonly Group[] {
  const value = parseJson(text, 'list of node groups');
  if (!Array.isArray(value)) throw refuse('node groups', 'are not a list');
  if (value.length > maxGroups) throw refuse('node groups', `are more than ${maxGroups}`);
  const groups = (value as readonly Json[]).map(parseGroup);
  const problem = treeProblem(groups);
  if (problem !== undefined) throw refuse('node groups', problem);
  return [...groups].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** The one text of a tree, whatever the order it came in; also a valid body for import-hierarchy. */
export function canonicalGroups(groups: readonly Group[]): string {
  return canonicalJson([...groups].sort((a, b) => (a.id < b.id ? -1 : 1)).map(canonicalGroup));
}

/** `sha256:HEX` of the canonical text. */
export const digestGroups = (groups: readonly Group[]): string => digestOf(canonicalGroups(groups));

/** Why the classifier would refuse a tree with 422, as a sentence, or undefined. */
export function treeProblem(groups: readonly Group[]): string | undefined {
  const byId = new Map(groups.map((group) => [group.id, group]));
  if (byId.size < groups.length) return `have an id twice: ${firstTwice(groups.map((group) => group.id))}`;
  const names = groups.map((group) => `${group.name} in environment ${group.environment}`);
  const twice = firstTwice(names);
  if (twice !== undefined) return `have a name twice: ${twice}`;
  const root = byId.get(rootId);
  if (root === undefined) return `lack the root group ${rootId}`;
  if (root.parent !== rootId) return 'have a root group with a parent';
  const orphan = groups.find((group) => !byId.has(group.parent));
  if (orphan !== undefined) return `lack the parent ${orphan.parent} of ${orphan.name}`;
  const lost = unreachable(groups)[0];
  return lost === undefined ? undefined : `have a circle of parents at ${lost.name}`;
}

function unreachable(groups: readonly Group[]): readonly Group[] {
  const children = Map.groupBy(groups, (group) => group.parent);
  const reached = new Set<string>([rootId]);
  for (const id of reached) for (const child of children.get(id) ?? []) reached.add(child.id);
  return groups.filter((group) => !reached.has(group.id));
}

function firstTwice(texts: readonly string[]): string | undefined {
  const seen = new Set<string>();
  return texts.find((text) => seen.has(text) || !seen.add(text));
}

// A class without data is not stored below config_data, and a group without any has no such field before PE 2018.
function canonicalGroup(group: Group): Group {
  const data = Object.entries(group.config_data ?? {}).filter(
    ([, params]) => isJsonObject(params) && Object.keys(params).length > 0,
  );
  const kept = Object.entries(group).filter(([key]) => !readOnlyFields.has(key) && key !== 'config_data');
  return Object.fromEntries(data.length > 0 ? [...kept, ['config_data', Object.fromEntries(data)]] : kept) as Group;
}

function parseGroup(value: Json, n: number): Group {
  if (!isJsonObject(value)) throw refuse(`group ${n}`, 'is not an object');
  const where =
    typeof value['name'] === 'string' ? `group ${JSON.stringify(value['name'].slice(0, 100))}` : `group ${n}`;
  const field = (key: string, problem: string | undefined): void => {
    if (problem !== undefined) throw refuse(`${where}: ${key}`, problem);
  };
  field('id', uuidProblem(value['id']));
  field('parent', uuidProblem(value['parent']));
  for (const key of ['name', 'environment']) field(key, textProblem(value[key]));
  field('environment_trumps', typeof value['environment_trumps'] === 'boolean' ? undefined : 'is not true or false');
  field('classes', mapOfMapsProblem(value['classes']));
  field('variables', isJsonObject(value['variables']) ? undefined : 'are not an object');
  if (value['config_data'] !== undefined) field('config_data', mapOfMapsProblem(value['config_data']));
  if (value['description'] !== undefined)
    field('description', typeof value['description'] === 'string' ? undefined : 'is not text');
  if (value['rule'] !== undefined && value['rule'] !== null) field('rule', ruleProblem(value['rule']));
  return withoutNullRule(value as Group);
}

function withoutNullRule(group: Group): Group {
  if ((group['rule'] as Json | undefined) !== null) return group;
  return Object.fromEntries(Object.entries(group).filter(([key]) => key !== 'rule')) as Group;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const uuidProblem = (value: Json | undefined): string | undefined =>
  typeof value === 'string' && uuid.test(value) ? undefined : 'is not a lower-case UUID';

const textProblem = (value: Json | undefined): string | undefined =>
  typeof value === 'string' && value.length > 0 && value.length <= 10_000 ? undefined : 'is not text';

const mapOfMapsProblem = (value: Json | undefined): string | undefined =>
  isJsonObject(value) && Object.values(value).every(isJsonObject) ? undefined : 'is not class -> parameters';

const comparisons = new Set(['=', '~', '>', '>=', '<', '<=']);

/** Why something is not a rule of the classifier, or undefined. */
export function ruleProblem(rule: Json): string | undefined {
  if (!Array.isArray(rule)) return 'is not a list';
  const [operator, ...rest] = rule as readonly Json[];
  if (operator === 'and' || operator === 'or') {
    if (rest.length === 0) return `has an empty "${operator}"`;
    return rest.map(ruleProblem).find((problem) => problem !== undefined);
  }
  if (operator === 'not') return rest.length === 1 ? ruleProblem(rest[0] ?? null) : 'has a "not" of other than one';
  if (typeof operator !== 'string' || !comparisons.has(operator)) return `has the unknown operator ${shown(operator)}`;
  const [path, text] = rest;
  if (rest.length !== 2 || typeof text !== 'string') return `compares with what is not text: ${shown(rule as Json)}`;
  return typeof path === 'string' || isFactPath(path) ? undefined : `has the unknown path ${shown(path)}`;
}

const isFactPath = (path: Json | undefined): boolean =>
  Array.isArray(path) &&
  path.length >= 2 &&
  (path[0] === 'trusted' || path[0] === 'fact') &&
  (path as readonly Json[]).every((part) => typeof part === 'string' || typeof part === 'number' || isRawNumber(part));

const shown = (value: Json | undefined): string =>
  value === undefined ? 'nothing' : canonicalJson(value).slice(0, 100);

const refuse = (where: string, why: string): Failure => new Failure('bad-data', 'node groups refused', { where, why });
