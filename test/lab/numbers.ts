import { appendFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cache } from './places.ts';

// What was measured in a run of the lab, printed at its end. Nothing is asserted of it.

const file = join(cache, 'numbers.jsonl');

/** Keeps one measurement, in milliseconds. */
export function report(what: string, milliseconds: number): void {
  appendFileSync(file, `${JSON.stringify({ what, milliseconds })}\n`);
}

/** Median and 95th percentile of each thing that was measured, a line each; the measurements are forgotten. */
export function takeNumbers(): string[] {
  if (!existsSync(file)) return [];
  const measured = new Map<string, number[]>();
  for (const line of readFileSync(file, 'utf8').trim().split('\n')) {
    const { what, milliseconds } = JSON.parse(line) as { what: string; milliseconds: number };
    measured.set(what, [...(measured.get(what) ?? []), milliseconds]);
  }
  rmSync(file);
  return [...measured].map(([what, all]) => {
    const sorted = all.toSorted((one, other) => one - other);
    const at = (part: number): string => `${Math.round(sorted[Math.ceil(part * sorted.length) - 1] ?? 0)} ms`;
    const count = sorted.length === 1 ? '' : ` (median; p95 ${at(0.95)}, ${sorted.length} times)`;
    return `${what}: ${at(0.5)}${count}`;
  });
}
