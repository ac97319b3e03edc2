import { randomUUID } from 'node:crypto';

/** The group as the API shows it; values are any JSON. */
export interface ApiGroup {
  id: string;
  name: string;
  parent: string;
  environment: string;
  environment_trumps: boolean;
  classes: Record<string, Record<string, unknown>>;
  variables: Record<string, unknown>;
  rule?: unknown[];
  description?: string;
  config_data?: Record<string, Record<string, unknown>>;
  last_edited?: string;
  serial_number?: number;
  deleted?: Record<string, Record<string, unknown>>;
}

export const rootId = '00000000-0000-4000-8000-000000000000';

/** An answer with the documented envelope {kind, msg, details}. */
export class ApiError extends Error {
  readonly status: number;
  readonly kind: string;
  readonly details: unknown;

  constructor(status: number, kind: string, msg: string, details?: unknown) {
    super(msg);
    this.status = status;
    this.kind = kind;
    this.details = details;
  }
}

const required = ['id', 'name', 'parent', 'environment', 'environment_trumps', 'classes', 'variables'];
const optional = ['rule', 'description', 'config_data', 'last_edited', 'serial_number'];

/** What the schema says against a submitted group, as the service words it, or undefined. */
export function schemaError(value: unknown, acceptsDeleted = false): Record<string, string> | undefined {
  if (!isRecord(value)) return { group: 'not a map' };
  const errors: Record<string, string> = {};
  const known = [...required, ...optional, ...(acceptsDeleted ? ['deleted'] : [])];
  for (const key of Object.keys(value)) if (!known.includes(key)) errors[key] = 'disallowed-key';
  for (const key of required) if (value[key] === undefined) errors[key] = 'missing-required-key';
  for (const key of ['id', 'parent'])
    if (value[key] !== undefined && !isUuid(value[key])) errors[key] = '(not (instance? java.util.UUID))';
  for (const key of ['name', 'environment', 'description'])
    if (value[key] !== undefined && typeof value[key] !== 'string') errors[key] = '(not (instance? java.lang.String))';
  if (value['environment_trumps'] !== undefined && typeof value['environment_trumps'] !== 'boolean')
    errors['environment_trumps'] = '(not (instance? java.lang.Boolean))';
  for (const key of ['classes', 'config_data'])
    if (value[key] !== undefined && !isMapOfMaps(value[key])) errors[key] = '(not (map? a))';
  if (value['variables'] !== undefined && !isRecord(value['variables'])) errors['variables'] = '(not (map? a))';
  if ('rule' in value && !isRule(value['rule'])) errors['rule'] = '(not (a rule))';
  return Object.keys(errors).length === 0 ? undefined : errors;
}

export const schemaViolation = (submitted: unknown, error: unknown): ApiError => {
  const extra = JSON.stringify(error).includes('disallowed-key') ? ' It has a disallowed-key.' : '';
  return new ApiError(400, 'schema-violation', `The submitted object does not match the schema.${extra}`, {
    submitted,
    schema: { id: 'java.util.UUID', '...': '...' },
    error,
  });
};

/** The checks that import-hierarchy makes before any write, then the database's own. Returns the new tree. */
export function checkHierarchy(body: unknown, root: ApiGroup, acceptsDeleted: boolean): Map<string, ApiGroup> {
  if (!Array.isArray(body)) throw schemaViolation(body, '(not (sequential? a))');
  if (body.length === 0) throw new ApiError(500, 'application-error', 'No root', { trace: ['...'] });
  const errors = body.map((group) => schemaError(group, acceptsDeleted));
  const bad = body.filter((_, n) => errors[n] !== undefined);
  if (bad.length > 0)
    throw schemaViolation(
      bad,
      errors.filter((error) => error !== undefined),
    );
  const groups = body as ApiGroup[];
  const byId = new Map(groups.map((group) => [group.id, group]));
  if (byId.size < groups.length) throw notUnique('groups_pkey', { id: repeated(groups.map((group) => group.id)) });
  refuseCycle(groups, byId);
  refuseUnreachable(groups);
  refuseSameName(groups);
  if (JSON.stringify(byId.get(rootId)?.rule) !== JSON.stringify(root.rule))
    throw new ApiError(422, 'root-rule-edit', "The root group's rule cannot be edited.");
  return byId;
}

export function refuseCycle(groups: readonly ApiGroup[], byId: ReadonlyMap<string, ApiGroup>): void {
  for (const group of groups) {
    const path: ApiGroup[] = [];
    for (let at: ApiGroup | undefined = group; at !== undefined && at.id !== rootId; at = byId.get(at.parent)) {
      if (path.includes(at)) {
        const names = [...path.slice(path.indexOf(at)), at].map((one) => one.name).join(' -> ');
        throw new ApiError(422, 'inheritance-cycle', `Detected an inheritance cycle: ${names}`, path);
      }
      path.push(at);
    }
  }
}

function refuseUnreachable(groups: readonly ApiGroup[]): void {
  const reached = new Set([rootId]);
  for (let size = 0; size !== reached.size;) {
    size = reached.size;
    for (const group of groups) if (reached.has(group.parent)) reached.add(group.id);
  }
  const root = groups.find((group) => group.id === rootId);
  const lost = root?.parent === rootId ? groups.filter((group) => !reached.has(group.id)) : groups;
  if (lost.length > 0)
    throw new ApiError(422, 'unreachable-groups', 'Some groups are not reachable from the root.', lost);
}

export function refuseSameName(groups: readonly ApiGroup[]): void {
  const twice = repeated(groups.map((group) => JSON.stringify([group.name, group.environment])));
  if (twice === undefined) return;
  const [name, environment] = JSON.parse(twice) as [string, string];
  throw notUnique('groups_name_environment_name_idx', { name, environment_name: environment });
}

const notUnique = (constraintName: string, conflict: unknown): ApiError =>
  new ApiError(422, 'uniqueness-violation', 'A group like this exists already.', { conflict, constraintName });

const repeated = (texts: readonly string[]): string | undefined => texts.find((text, n) => texts.indexOf(text) !== n);

/** POST /groups/:id: null removes a class, a parameter or a variable; other fields replace. */
export function applyDelta(group: ApiGroup, delta: Record<string, unknown>): ApiGroup {
  const next = copyOf(group) as unknown as Record<string, unknown>;
  for (const [key, value] of Object.entries(delta)) {
    if (key === 'id' || key === 'serial_number') continue;
    if (['classes', 'config_data', 'variables'].includes(key) && isRecord(value))
      next[key] = mergeNulls(next[key], value, key === 'variables' ? 1 : 2);
    else if (value === null) delete next[key];
    else next[key] = value;
  }
  return next as unknown as ApiGroup;
}

function mergeNulls(old: unknown, delta: Record<string, unknown>, depth: number): Record<string, unknown> {
  const merged: Record<string, unknown> = isRecord(old) ? { ...old } : {};
  for (const [key, value] of Object.entries(delta)) {
    if (value === null) delete merged[key];
    else merged[key] = depth > 1 && isRecord(value) ? mergeNulls(merged[key], value, depth - 1) : value;
  }
  return merged;
}

export const newGroup = (fields: Partial<ApiGroup>): ApiGroup => ({
  name: '',
  parent: rootId,
  environment: 'production',
  environment_trumps: false,
  classes: {},
  variables: {},
  ...fields,
  id: fields.id ?? randomUUID(),
});

const json = JSON as unknown as {
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown;
  rawJSON(source: string): unknown;
  isRawJSON(value: unknown): boolean;
};

/** Numbers keep their spelling, as in the real service: 1.0 stays 1.0. */
export const parseBody = (text: string): unknown =>
  json.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && String(value) !== source ? json.rawJSON(source) : value,
  );

export const copyOf = <T>(value: T): T => parseBody(JSON.stringify(value)) as T;

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !json.isRawJSON(value);

export const isUuid = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value);

const isMapOfMaps = (value: unknown): boolean => isRecord(value) && Object.values(value).every(isRecord);

function isRule(rule: unknown): boolean {
  if (!Array.isArray(rule)) return false;
  const [operator, ...rest] = rule as unknown[];
  if (operator === 'and' || operator === 'or') return rest.length > 0 && rest.every(isRule);
  if (operator === 'not') return rest.length === 1 && isRule(rest[0]);
  const [path, value] = rest;
  const isPath = typeof path === 'string' || (Array.isArray(path) && (path[0] === 'fact' || path[0] === 'trusted'));
  return ['=', '~', '>', '>=', '<', '<='].includes(String(operator)) && isPath && typeof value === 'string';
}
