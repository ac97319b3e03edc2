import { createHash } from 'node:crypto';
import { canonicalExpression } from './expression-text.ts';

/** The sum of the rows' sha256 in five lanes of 56, 56, 56, 56 and 32 bits, highest first, each lane summed by itself. */
export type Lanes = readonly [string, string, string, string, string];

export interface TableSum {
  /** `schema.table`, quoted as SQL does. */
  readonly name: string;
  readonly rows: number;
  readonly lanes: Lanes;
}

export interface Definition {
  readonly kind: string;
  readonly identity: string;
  readonly definition: string;
}

export interface SequenceValue {
  readonly name: string;
  readonly last: string;
  readonly called: boolean;
}

export interface DatabaseContent {
  readonly tables: readonly TableSum[];
  readonly definitions: readonly Definition[];
  readonly sequences: readonly SequenceValue[];
}

const modulus = 1n << 256n;
const laneShifts = [200n, 144n, 88n, 32n, 0n] as const;

/** Adds up whatever order the parts come in: `sha256:HEX`. */
export function databaseDigest({ tables, definitions, sequences }: DatabaseContent): string {
  const parts = [
    ...tables.map(({ name, rows, lanes }) => ['table', name, String(rows), sumOfLanes(lanes).toString(16)]),
    ...definitions.map((d) => ['definition', d.kind, d.identity, textOf(d)]),
    ...sequences.map(({ name, last, called }) => ['sequence', name, last, String(called)]),
  ];
  let sum = 0n;
  for (const part of parts) sum += BigInt(`0x${createHash('sha256').update(part.join('\0')).digest('hex')}`);
  return `sha256:${(sum % modulus).toString(16).padStart(64, '0')}`;
}

const textOf = ({ kind, definition }: Definition): string =>
  verbatim.has(kind) ? definition : canonicalExpression(definition);

/** Kinds without expressions: PostgreSQL gives them back byte for byte. */
const verbatim: ReadonlySet<string> = new Set([
  'function body',
  'comment',
  'schema',
  'sequence',
  'extension',
  'default rights',
]);

export function sumOfLanes(lanes: Lanes): bigint {
  let sum = 0n;
  for (const [n, shift] of laneShifts.entries()) sum += BigInt(lanes[n] ?? 0) << shift;
  return sum % modulus;
}

/** The values that a dump sets, read from `SELECT pg_catalog.setval('public.a_id_seq', 42, true);` lines. */
export function sequencesOfScript(script: string): SequenceValue[] {
  const line = /^SELECT pg_catalog\.setval\('((?:[^']|'')+)', (-?\d+), (true|false)\);$/gm;
  return [...script.matchAll(line)].map(([, name = '', last = '', called]) => ({
    name: name.replaceAll("''", "'"),
    last,
    called: called === 'true',
  }));
}
