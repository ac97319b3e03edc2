import { appendFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cache } from './places.ts';

// What was measured and counted in a run of the lab, printed at its end. Nothing is asserted of it.

const file = join(cache, 'numbers.jsonl');

/** Keeps one measurement, in milliseconds. */
export function report(what: string, milliseconds: number): void {
  appendFileSync(file, `${JSON.stringify({ what, milliseconds })}\n`);
}

/** Counts something that happened. */
export const count = (what: string): void => appendFileSync(file, `${JSON.stringify({ what, count: 1 })}\n`);

interface Entry {
  readonly what: string;
  /** Undefined: it happened once more. */
  readonly milliseconds?: number;
}

/** Count, or median and 95th percentile, of each thing that was measured, a line each; the measurements are forgotten. */
export function takeNumbers(): string[] {
  if (!existsSync(file)) return [];
  const measured = new Map<string, Entry[]>();
  for (const line of readFileSync(file, 'utf8').trim().split('\n')) {
    const entry = JSON.parse(line) as Entry;
    measured.set(entry.what, [...(measured.get(entry.what) ?? []), entry]);
  }
  rmSync(file);
  return [...measured].map(([what, all]) => `${what}: ${summary(all)}`);
}

function summary(entries: readonly Entry[]): string {
  const sorted = entries.flatMap(({ milliseconds }) => milliseconds ?? []).toSorted((one, other) => one - other);
  if (sorted.length === 0) return String(entries.length);
  const at = (part: number): string => `${Math.round(sorted[Math.ceil(part * sorted.length) - 1] ?? 0)} ms`;
  return `${at(0.5)}${sorted.length === 1 ? '' : ` (median; p95 ${at(0.95)}, ${sorted.length} times)`}`;
}
