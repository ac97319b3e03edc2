import { canonicalJson, sameJson, type Json } from './json.ts';
import { isSecretName, shortened, textWithoutSecrets } from './shown-value.ts';

type Rule = readonly Json[] | undefined;

/** A rule of the classifier in words: `os.family = "Debian" and not (name ~ "^web")`. */
export function ruleWords(rule: Rule): string {
  return rule === undefined ? 'no rule' : words(rule, false);
}

function words(rule: Json, inner: boolean): string {
  if (!Array.isArray(rule)) return canonicalJson(rule);
  const [operator, ...rest] = rule as readonly Json[];
  if (operator === 'and' || operator === 'or') {
    const joined = rest.map((part) => words(part, rest.length > 1)).join(` ${operator} `);
    return inner && rest.length > 1 ? `(${joined})` : joined;
  }
  if (operator === 'not') return `not ${bracketed(words(rest[0] ?? null, true))}`;
  const [path, value] = rest;
  const name = pathWords(path ?? null);
  const shown = typeof value === 'string' && !isSecretName(name) ? JSON.stringify(textWithoutSecrets(value)) : '***';
  return `${name} ${canonicalJson(operator ?? null).replaceAll('"', '')} ${shown}`;
}

const bracketed = (text: string): string => (text.startsWith('(') ? text : `(${text})`);

/** `["fact", "os", "family"]` is `os.family`; `["trusted", ...]` keeps its first word. */
function pathWords(path: Json): string {
  if (typeof path === 'string') return path;
  if (!Array.isArray(path)) return canonicalJson(path);
  const parts = (path as readonly Json[]).map((part) => (typeof part === 'string' ? part : canonicalJson(part)));
  return (parts[0] === 'fact' ? parts.slice(1) : parts).join('.');
}

/** What changed in a rule: nodes that are pinned or no longer, and what else the rule asks for. */
export function ruleChange(before: Rule, after: Rule): string[] {
  if (sameJson(before, after)) return [];
  const [old, now] = [splitRule(before), splitRule(after)];
  const pinned = now.pins.filter((name) => !old.pins.includes(name));
  const unpinned = old.pins.filter((name) => !now.pins.includes(name));
  const lines = [...pinLine('pinned', pinned), ...pinLine('no longer pinned', unpinned)];
  const rest = (condition: readonly Json[]): Rule =>
    condition.length === 0 ? undefined : condition.length === 1 ? (condition[0] as Rule) : ['or', ...condition];
  if (!sameJson(old.condition, now.condition))
    lines.push(`rule ${shortRule(rest(old.condition))} -> ${shortRule(rest(now.condition))}`);
  if (lines.length === 0) lines.push('rule written in another way');
  return lines;
}

const shortRule = (rule: Rule): string => shortened(ruleWords(rule), 160);

const pinLine = (what: string, names: readonly string[]): string[] => {
  if (names.length === 0) return [];
  const more = names.length > 10 ? ` and ${names.length - 10} more` : '';
  return [`${what}: ${names.slice(0, 10).join(', ')}${more}`];
};

const isPin = (rule: Json): rule is readonly ['=', 'name', string] =>
  Array.isArray(rule) && rule.length === 3 && rule[0] === '=' && rule[1] === 'name' && typeof rule[2] === 'string';

/** The classifier stores pins as leaves of an outermost "or", beside at most one other rule. */
export function splitRule(rule: Rule): { readonly pins: readonly string[]; readonly condition: readonly Json[] } {
  if (rule === undefined) return { pins: [], condition: [] };
  const parts = rule[0] === 'or' ? rule.slice(1) : [rule as Json];
  return {
    pins: parts.filter(isPin).map((pin) => pin[2]),
    condition: parts.filter((part) => !isPin(part)),
  };
}
