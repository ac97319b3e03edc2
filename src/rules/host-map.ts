import { Failure } from '../errors.ts';
import type { Group } from './groups.ts';
import { isJsonObject, isRawNumber, type Json, type JsonObject } from './json.ts';

/** Two names that stand for the same role on the two masters: their certnames, and pairs that the admin adds. */
export interface HostPair {
  readonly active: string;
  readonly passive: string;
}

export interface HostChange {
  /** Where in the tree, such as `PE Console: classes.a.b[0]`. */
  readonly path: string;
  readonly old: string;
  readonly new: string;
}

export interface MappedGroups {
  readonly groups: readonly Group[];
  readonly changes: readonly HostChange[];
}

/**
 * Exchanges the names of the two masters, active to passive and passive to active, where they stand as whole tokens.
 * A value (one parameter, one variable, one rule, one description) that names both masters is about the pair: left alone.
 * Ids, names of groups, environments, classes, parameters and variables are nobody's host: left alone.
 */
export function mapHosts(groups: readonly Group[], pairs: readonly HostPair[]): MappedGroups {
  const exchange = createExchange(pairs);
  const changes: HostChange[] = [];
  const mapped = groups.map((group) => mapGroup(group, exchange, changes));
  return { groups: mapped, changes };
}

/** Lists of where agents go: they say the same on both masters, whoever is active. */
export const agentLists: ReadonlySet<string> = new Set([
  'server_list',
  'pcp_broker_list',
  'primary_uris',
  'master_uris',
]);
export const agentProfile = 'puppet_enterprise::profile::agent';

interface Exchange {
  namesBoth(value: Json): boolean;
  text(text: string): string;
  /** In a regular expression the dots of a name are escaped. */
  pattern(text: string): string;
}

function mapGroup(group: Group, exchange: Exchange, changes: HostChange[]): Group {
  const value = (found: Json, path: string, isRule = false): Json => {
    if (exchange.namesBoth(found)) return found;
    return isRule ? mapRule(found, path, exchange, changes) : mapValue(found, path, exchange, changes);
  };
  const params = (name: string, classes: JsonObject): JsonObject =>
    mapFields(classes, (ofClass, className) =>
      isJsonObject(ofClass)
        ? mapFields(ofClass, (param, key) =>
            className === agentProfile && agentLists.has(key)
              ? param
              : value(param, `${group.name}: ${name}.${className}.${key}`),
          )
        : ofClass,
    );
  return mapFields(group, (field, key) => {
    if ((key === 'classes' || key === 'config_data') && isJsonObject(field)) return params(key, field);
    if (key === 'variables' && isJsonObject(field))
      return mapFields(field, (variable, name) => value(variable, `${group.name}: variables.${name}`));
    if (key === 'rule' || key === 'description') return value(field, `${group.name}: ${key}`, key === 'rule');
    return field;
  }) as Group;
}

const mapFields = (object: JsonObject, map: (value: Json, key: string) => Json): JsonObject =>
  Object.fromEntries(
    Object.entries(object).flatMap(([key, value]) => (value === undefined ? [] : [[key, map(value, key)]])),
  );

function mapValue(value: Json, path: string, exchange: Exchange, changes: HostChange[]): Json {
  if (typeof value === 'string') return note(value, exchange.text(value), path, changes);
  if (Array.isArray(value))
    return (value as readonly Json[]).map((item, n) => mapValue(item, `${path}[${n}]`, exchange, changes));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, field]) => {
      if (field === undefined) return [];
      const newKey = note(key, exchange.text(key), `${path} (key)`, changes);
      return [[newKey, mapValue(field, `${path}.${key}`, exchange, changes)]];
    }),
  );
}

// Only what a leaf compares with can be a host: operators and paths of facts are words of the language.
function mapRule(rule: Json, path: string, exchange: Exchange, changes: HostChange[]): Json {
  if (!Array.isArray(rule)) return rule;
  const [operator, ...rest] = rule as readonly Json[];
  if (operator === 'and' || operator === 'or' || operator === 'not')
    return [operator, ...rest.map((part, n) => mapRule(part, `${path}[${n + 1}]`, exchange, changes))];
  const [fact, text] = rest;
  if (operator === undefined || fact === undefined || typeof text !== 'string') return rule as Json;
  const mapped = operator === '~' ? exchange.pattern(text) : exchange.text(text);
  return [operator, fact, note(text, mapped, `${path}[2]`, changes)];
}

function note(old: string, mapped: string, path: string, changes: HostChange[]): string {
  if (old !== mapped) changes.push({ path, old, new: mapped });
  return mapped;
}

function createExchange(given: readonly HostPair[]): Exchange {
  const pairs = distinct(given);
  const plain = new Map(pairs.flatMap(({ active, passive }) => bothWays(active, passive)));
  if (plain.size !== pairs.length * 2) throw overlapping(pairs);
  const escaped = new Map([...plain].map(([from, to]) => [escapeDots(from), escapeDots(to)]));
  const inText = tokens([...plain.keys()]);
  const inPattern = tokens([...plain.keys(), ...escaped.keys()]);
  const active = pairs.map((pair) => pair.active.toLowerCase());
  const text = (found: string): string => found.replace(inText, (name) => plain.get(name.toLowerCase()) ?? name);
  const pattern = (found: string): string =>
    found.replace(inPattern, (name) => plain.get(name.toLowerCase()) ?? escaped.get(name.toLowerCase()) ?? name);
  const namesBoth = (value: Json): boolean => {
    const named = [...texts(value)].flatMap((found) => found.match(inPattern) ?? []);
    const isActive = named.map((name) => active.includes(name.toLowerCase().replaceAll('\\.', '.')));
    return isActive.includes(true) && isActive.includes(false);
  };
  return { namesBoth, text, pattern };
}

// An admin may write down the pair of certnames, which is known anyway, either way round.
const distinct = (pairs: readonly HostPair[]): readonly HostPair[] => [
  ...new Map(pairs.map((pair) => [[pair.active, pair.passive].sort().join(' ').toLowerCase(), pair] as const)).values(),
];

const bothWays = (a: string, b: string): [string, string][] => {
  const [one, other] = [a.toLowerCase(), b.toLowerCase()];
  return [
    [one, other],
    [other, one],
  ];
};

const overlapping = (pairs: readonly HostPair[]): Failure =>
  new Failure('config', 'host names can not be exchanged', {
    where: pairs.map((pair) => `${pair.active}:${pair.passive}`).join(', '),
    why: 'a name stands twice',
    hint: 'Name each host once below classifier.host_map',
  });

const escapeDots = (name: string): string => name.replaceAll('.', '\\.');

// Neither a part of a longer name nor of a longer domain; a port, a slash, a quote or a final dot may follow.
function tokens(names: readonly string[]): RegExp {
  const longestFirst = [...names].sort((a, b) => b.length - a.length).map(escapeForRegExp);
  return new RegExp(
    `(?<![\\p{L}\\p{N}_.-])(?:${longestFirst.join('|')})(?![\\p{L}\\p{N}_-]|\\\\?\\.[\\p{L}\\p{N}_-])`,
    'giu',
  );
}

const escapeForRegExp = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

function* texts(value: Json): Generator<string> {
  if (typeof value === 'string') yield value;
  else if (isRawNumber(value)) return;
  else if (Array.isArray(value)) for (const item of value as readonly Json[]) yield* texts(item);
  else if (isJsonObject(value))
    for (const [key, field] of Object.entries(value)) {
      yield key;
      if (field !== undefined) yield* texts(field);
    }
}
