import type { Failure } from '../errors.ts';

/** Says which field is wrong, and how. */
export type Refuse = (where: string, why: string) => Failure;

/** Untrusted text as a JSON object. */
export function parseObject(text: string, refuse: Refuse): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refuse('text', 'is not JSON');
  }
  return asObject(value, 'text', refuse);
}

/** Typed access to the fields of untrusted JSON: every reader throws what `refuse` makes of a wrong field. */
export function fieldsOf(value: unknown, where: string, refuse: Refuse) {
  const record = asObject(value, where, refuse);
  const wrong = (key: string, why: string): Failure => refuse(`${where}.${key}`, why);
  const text = (key: string, limit = 4096): string => {
    const found = record[key];
    if (typeof found === 'string' && found.length <= limit) return found;
    throw wrong(key, `is not text of at most ${limit} characters`);
  };
  const number = (key: string): number => {
    const found = record[key];
    if (typeof found === 'number' && Number.isSafeInteger(found)) return found;
    throw wrong(key, 'is not a whole number');
  };
  return {
    raw: (key: string): unknown => record[key],
    text,
    /** For a spread: nothing where the field is absent. */
    optionalText: <Key extends string>(key: Key, limit: number): { readonly [K in Key]?: string } =>
      record[key] === undefined ? {} : ({ [key]: text(key, limit) } as { [K in Key]?: string }),
    number,
    count: (key: string, least: number): number => {
      const found = number(key);
      if (found >= least) return found;
      throw wrong(key, `is below ${least}`);
    },
    matching: (key: string, matches: (text: string) => boolean): string => {
      const found = text(key);
      if (matches(found)) return found;
      throw wrong(key, 'is malformed');
    },
    oneOf: <const T extends readonly string[]>(key: string, allowed: T): T[number] => {
      const found = text(key);
      if (allowed.includes(found)) return found;
      throw wrong(key, `is none of ${allowed.join(', ')}`);
    },
    list: (key: string, limit: number): unknown[] =>
      asList(record[key], limit, () => wrong(key, `is not a list of at most ${limit}`)),
    object: (key: string): Record<string, unknown> => asObject(record[key], `${where}.${key}`, refuse),
  };
}

function asObject(value: unknown, where: string, refuse: Refuse): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw refuse(where, 'is not an object');
}

function asList(value: unknown, limit: number, refuse: () => Failure): unknown[] {
  if (Array.isArray(value) && value.length <= limit) return value as unknown[];
  throw refuse();
}
