import { ApiError, isRecord, type ApiGroup } from './classifier-model.ts';

/** Which groups a node falls into, and what they give it. Throws 500 classification-conflict where two disagree. */
export function classify(groups: readonly ApiGroup[], name: string, facts: Record<string, unknown>): unknown {
  const matching = groups.filter((group) => {
    const rule = inheritedRule(groups, group);
    return group.rule !== undefined && rule !== null && matches(rule, name, facts);
  });
  const classes: Record<string, Record<string, unknown>> = {};
  for (const group of matching.flatMap((one) => lineage(groups, one).reverse()))
    for (const [key, params] of Object.entries(group.classes)) classes[key] = { ...classes[key], ...params };
  const trumping = matching.filter((group) => group.environment_trumps);
  const environments = new Set((trumping.length > 0 ? trumping : matching).map((group) => group.environment));
  const environment = environments.size === 1 ? [...environments][0] : 'production';
  if (trumping.length > 1 && environments.size > 1)
    throw new ApiError(500, 'classification-conflict', 'The node is in groups that disagree.', {
      environment: trumping.map((group) => ({ value: group.environment, from: group, defined_by: group })),
    });
  const parameters = Object.assign({}, ...matching.map((group) => group.variables)) as unknown;
  return { name, groups: matching.map((group) => group.id), classes, parameters, environment };
}

/** The rule of a group with those of its ancestors, or null where none has one. */
export function inheritedRule(groups: readonly ApiGroup[], group: ApiGroup): unknown[] | null {
  const rules = lineage(groups, group).flatMap((one) => (one.rule === undefined ? [] : [one.rule]));
  return rules.length === 0 ? null : rules.length === 1 ? (rules[0] ?? null) : ['and', ...rules];
}

/** A rule as queries to PuppetDB's nodes and inventory. */
export function translated(rule: unknown): unknown {
  const words = (part: unknown, inventory: boolean): unknown => {
    if (!Array.isArray(part)) return part;
    const [operator, path, value] = part as unknown[];
    if (['and', 'or', 'not'].includes(String(operator)))
      return [operator, ...part.slice(1).map((inner: unknown) => words(inner, inventory))];
    if (path === 'name') return [operator, 'certname', value];
    if (Array.isArray(path) && path[0] === 'fact' && path.length === 2)
      return [operator, inventory ? `facts.${path[1]}` : ['fact', path[1]], value];
    throw new ApiError(422, 'untranslatable-rule', 'The rule can not be translated.', part);
  };
  return { nodes_query_format: words(rule, false), inventory_query_format: words(rule, true) };
}

function lineage(groups: readonly ApiGroup[], group: ApiGroup): ApiGroup[] {
  const parent = groups.find((one) => one.id === group.parent && one.id !== group.id);
  return parent === undefined ? [group] : [group, ...lineage(groups, parent)];
}

function matches(rule: unknown, name: string, facts: Record<string, unknown>): boolean {
  if (!Array.isArray(rule)) return false;
  const [operator, ...rest] = rule as unknown[];
  if (operator === 'and') return rest.every((part) => matches(part, name, facts));
  if (operator === 'or') return rest.some((part) => matches(part, name, facts));
  if (operator === 'not') return !matches(rest[0], name, facts);
  const value = rest[0] === 'name' ? name : lookUp(facts, rest[0]);
  return value !== undefined && compares(String(operator), value, String(rest[1]));
}

function lookUp(facts: Record<string, unknown>, path: unknown): string | undefined {
  const found = (Array.isArray(path) ? (path as unknown[]) : [path]).reduce<unknown>(
    (value, key) => (isRecord(value) ? value[String(key)] : undefined),
    facts,
  );
  return typeof found === 'string' || typeof found === 'number' || typeof found === 'boolean'
    ? String(found)
    : undefined;
}

function compares(operator: string, found: string, value: string): boolean {
  if (operator === '=') return found === value;
  if (operator === '~') return new RegExp(value).test(found);
  const [a, b] = [Number(found), Number(value)];
  return operator === '>' ? a > b : operator === '>=' ? a >= b : operator === '<' ? a < b : a <= b;
}
