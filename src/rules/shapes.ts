import type { Refuse } from './fields.ts';

/** Reads one value of untrusted JSON. Throws what `refuse` makes of a wrong one; `where` says which that is. */
export type Shape<Value> = (value: unknown, where: string, refuse: Refuse) => Value;
export type Shaped<Of> = Of extends Shape<infer Value> ? Value : never;

/** At most so many characters. */
export const text =
  (limit: number): Shape<string> =>
  (value, where, refuse) => {
    if (typeof value === 'string' && value.length <= limit) return value;
    throw refuse(where, `is not text of at most ${limit} characters`);
  };

export const matching =
  (pattern: RegExp): Shape<string> =>
  (value, where, refuse) => {
    if (typeof value === 'string' && pattern.test(value)) return value;
    throw refuse(where, 'is malformed');
  };

export const count: Shape<number> = (value, where, refuse) => {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw refuse(where, 'is not a whole number');
};

export const yesNo: Shape<boolean> = (value, where, refuse) => {
  if (typeof value === 'boolean') return value;
  throw refuse(where, 'is not true or false');
};

/** A time that Date reads, as text. */
export const time: Shape<string> = (value, where, refuse) => {
  if (typeof value === 'string' && value.length <= 40 && !Number.isNaN(Date.parse(value))) return value;
  throw refuse(where, 'is no time');
};

export const oneOf =
  <const Words extends readonly string[]>(...words: Words): Shape<Words[number]> =>
  (value, where, refuse) => {
    if (words.includes(value as Words[number])) return value as Words[number];
    throw refuse(where, `is none of ${words.join(', ')}`);
  };

/** At most so many. */
export const list =
  <Value>(limit: number, shape: Shape<Value>): Shape<readonly Value[]> =>
  (value, where, refuse) => {
    if (!Array.isArray(value) || value.length > limit) throw refuse(where, `is not a list of at most ${limit}`);
    return (value as unknown[]).map((one, n) => shape(one, `${where}[${n}]`, refuse));
  };

type Tuple<Shapes extends readonly Shape<unknown>[]> = { readonly [N in keyof Shapes]: Shaped<Shapes[N]> };

export const tuple =
  <const Shapes extends readonly Shape<unknown>[]>(...shapes: Shapes): Shape<Tuple<Shapes>> =>
  (value, where, refuse) => {
    if (!Array.isArray(value) || value.length !== shapes.length) throw refuse(where, `is not ${shapes.length} values`);
    return (value as unknown[]).map((one, n) => shapes[n]?.(one, where, refuse)) as Tuple<Shapes>;
  };

/** Names to values, at most so many; names are text of at most 255 characters. */
export const map =
  <Value>(limit: number, shape: Shape<Value>): Shape<ReadonlyMap<string, Value>> =>
  (value, where, refuse) => {
    const entries = Object.entries(asRecord(value, where, refuse));
    if (entries.length > limit) throw refuse(where, `has more than ${limit} names`);
    if (entries.some(([name]) => name.length > 255)) throw refuse(where, 'has a name of more than 255 characters');
    return new Map(entries.map(([name, one]) => [name, shape(one, `${where}.${name}`, refuse)]));
  };

type Shapes = Readonly<Record<string, Shape<unknown>>>;
type Fields<S extends Shapes> = { readonly [K in keyof S]: Shaped<S[K]> };

/** Fields that are not known are left out: a newer version may say more. */
export const object =
  <Required extends Shapes, Optional extends Shapes = Record<never, never>>(
    required: Required,
    optional: Optional = {} as Optional,
  ): Shape<Fields<Required> & Partial<Fields<Optional>>> =>
  (value, where, refuse) => {
    const record = asRecord(value, where, refuse);
    const read = (key: string, shape: Shape<unknown>): [string, unknown] => [
      key,
      shape(Object.hasOwn(record, key) ? record[key] : undefined, `${where}.${key}`, refuse),
    ];
    const given = Object.entries(optional).filter(([key]) => Object.hasOwn(record, key) && record[key] !== undefined);
    const fields = [...Object.entries(required), ...given].map(([key, shape]) => read(key, shape));
    return Object.fromEntries(fields) as Fields<Required> & Partial<Fields<Optional>>;
  };

function asRecord(value: unknown, where: string, refuse: Refuse): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw refuse(where, 'is not an object');
}
