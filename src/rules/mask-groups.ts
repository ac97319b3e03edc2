import { canonicalGroups, parseGroups, type Group } from './groups.ts';
import { canonicalJson, isJsonObject, type Json, type JsonObject } from './json.ts';

/** What is no secret and what the rules of a merge look into. */
const plain = new Set(['id', 'name', 'parent', 'environment', 'environment_trumps', 'rule']);

/**
 * A tree in which every value that people gave (of parameters, variables, descriptions) is its mac: groups, rules and the names
 * of classes and parameters stay, so it can be merged and compared as ever.
 */
export function maskGroups(groups: readonly Group[], mac: (text: string) => string): readonly Group[] {
  const masked = (value: Json | undefined): Json => mac(canonicalJson(value ?? null));
  const fields = (object: JsonObject, mask: (value: Json | undefined) => Json): JsonObject =>
    Object.fromEntries(Object.entries(object).map(([key, value]) => [key, mask(value)]));
  const params = (value: Json | undefined): Json =>
    value !== undefined && isJsonObject(value) ? fields(value, masked) : masked(value);
  const mask = (key: string, value: Json | undefined): Json | undefined => {
    if (plain.has(key) || value === undefined) return value;
    if (!isJsonObject(value)) return masked(value);
    if (key === 'classes' || key === 'config_data') return fields(value, params);
    return key === 'variables' ? fields(value, masked) : masked(value);
  };
  return parseGroups(canonicalGroups(groups)).map(
    (group) => Object.fromEntries(Object.entries(group).map(([key, value]) => [key, mask(key, value)])) as Group,
  );
}
