import { createHash } from 'node:crypto';
import { Failure } from '../errors.ts';

export type Json = null | boolean | number | string | RawNumber | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json | undefined;
}

declare const rawNumber: unique symbol;
/** A number that JavaScript would write differently (1.0, 20 digits): kept as it was, for Puppet tells 1.0 from 1. */
export interface RawNumber {
  readonly [rawNumber]: true;
}

interface SourceText {
  readonly source?: string;
}
type Reviver = (this: unknown, key: string, value: Json, context: SourceText) => Json;
// The library of TypeScript does not know these yet; Node.js 24 has them.
const json = JSON as unknown as {
  parse(text: string, reviver: Reviver): Json;
  rawJSON(source: string): RawNumber;
  isRawJSON(value: unknown): value is RawNumber;
};

const maxDepth = 100;

/** Parses JSON that an enemy may have written; numbers keep their spelling. Throws a Failure of class bad-data. */
export function parseJson(text: string, what: string): Json {
  let value: Json;
  try {
    value = json.parse(text, (_key, found, { source }) =>
      typeof found === 'number' && source !== undefined && String(found) !== source ? json.rawJSON(source) : found,
    );
  } catch (cause) {
    if (cause instanceof RangeError) throw tooDeep(what);
    throw new Failure('bad-data', `${what} is not JSON`, {
      why: cause instanceof Error ? withoutExcerpt(cause.message).slice(0, 200) : String(cause),
      cause,
    });
  }
  if (isTooDeep(value)) throw tooDeep(what);
  return value;
}

/** What Node.js shows of the text around the place may be a secret. */
const withoutExcerpt = (message: string): string =>
  message.replace(/(?:, )?(?:\.\.\.)?"[^]*"(?:\.\.\.)? is not valid JSON$/, ' where none is meant');

export const isRawNumber = (value: unknown): value is RawNumber => json.isRawJSON(value);

export const isJsonObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawNumber(value);

/** One text for one value: keys sorted by code unit, no blanks. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (!isJsonObject(value)) return JSON.stringify(value);
  const fields = Object.keys(value)
    .sort()
    .flatMap((key) => {
      const field = value[key];
      return field === undefined ? [] : [`${JSON.stringify(key)}:${canonicalJson(field)}`];
    });
  return `{${fields.join(',')}}`;
}

export const sameJson = (a: Json | undefined, b: Json | undefined): boolean =>
  a === undefined || b === undefined ? a === b : canonicalJson(a) === canonicalJson(b);

/** `sha256:HEX` of a text. */
export const digestOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;

const tooDeep = (what: string): Failure => new Failure('bad-data', `${what} ${tooDeepProblem}`);
export const tooDeepProblem = `is nested more than ${maxDepth} deep`;

/** Everything that walks such a value, or prints it, does so recursively. */
export function isTooDeep(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > maxDepth) return true;
    level = level.flatMap((inner) =>
      typeof inner === 'object' && inner !== null ? (Object.values(inner) as unknown[]) : [],
    );
  }
  return false;
}
