import { openHost, openMaster } from '../app.ts';
import { compareGenerations, type Comparison, type Difference } from '../drops/difference.ts';
import { readHistory } from '../drops/history.ts';
import { Failure } from '../errors.ts';
import { differenceOf, historyOf } from '../history-work.ts';
import { components, type Component } from '../rules/generation.ts';
import type { HistoryEntry } from '../rules/history.ts';
import { printable } from '../rules/log-line.ts';

export interface HistoryOptions {
  readonly component?: string | undefined;
  readonly since?: string | undefined;
  readonly limit: number;
  readonly json: boolean;
}

/** Tells what came, went and was replaced here, newest first. */
export async function history(root: string, options: HistoryOptions): Promise<number> {
  const component = componentIn(options.component);
  if (!Number.isSafeInteger(options.limit) || options.limit < 1)
    throw new Failure('usage', '--limit wants a number from 1 on');
  const master = await openMaster(await openHost(root), { stderr: false, besideAgent: true });
  try {
    const since = options.since === undefined ? undefined : momentIn(options.since, master.clock.now());
    const entries = await readHistory(historyOf(master), { component, since, limit: options.limit });
    if (options.json) console.log(JSON.stringify({ format: 1, entries: entries.map(entryJson) }, undefined, 2));
    else for (const line of historyLines(entries)) console.log(printable(line));
    return 0;
  } finally {
    await master.log.close();
  }
}

/** Tells what changed between two generations, or one and what is live; 1 where something did. */
export async function diff(
  root: string,
  asked: Omit<Comparison, 'component'> & { readonly component?: string | undefined; readonly json: boolean },
  signal: AbortSignal,
): Promise<number> {
  const component = componentIn(asked.component) ?? 'nc';
  const master = await openMaster(await openHost(root), { stderr: false, besideAgent: true });
  try {
    const found = await compareGenerations(await differenceOf(master, signal), { ...asked, component });
    if (asked.json) console.log(JSON.stringify({ format: 1, differences: found }, undefined, 2));
    else for (const line of differenceLines(component, found)) console.log(printable(line));
    return found.some(({ lines }) => lines.length > 0) ? 1 : 0;
  } finally {
    await master.log.close();
  }
}

export function componentIn(text: string | undefined): Component | undefined {
  if (text === undefined) return undefined;
  const found = components.find((name) => name === text);
  if (found !== undefined) return found;
  throw new Failure('usage', 'there is no such component', {
    where: text,
    hint: `Components: ${components.join(', ')}`,
  });
}

const units = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `2h`, `7d`, or a time in ISO 8601. */
function momentIn(text: string, now: Date): string {
  const [, digits, unit] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  if (digits !== undefined)
    return new Date(now.getTime() - Number(digits) * units[unit as keyof typeof units]).toISOString();
  const at = new Date(text);
  if (!Number.isNaN(at.getTime())) return at.toISOString();
  const hint = 'Write 2h, 7d, or a time such as 2026-11-26T08:00:00Z';
  throw new Failure('usage', '--since wants a time', { where: text, hint });
}

const entryJson = ({ at, component, stream, id, outcome, says, why, path, place }: HistoryEntry) => ({
  ...{ at, component, stream, generation: id, outcome, says },
  ...(place === undefined ? {} : { epoch: `${place.epoch.number}.${place.epoch.id}`, sequence: place.sequence }),
  ...(why === undefined ? {} : { why }),
  ...(path === undefined ? {} : { kept: path }),
});

function historyLines(entries: readonly HistoryEntry[]): string[] {
  if (entries.length === 0) return ['Nothing is known of that.'];
  const width = Math.max(...entries.map(({ id }) => id.length));
  return entries.map(({ at, component, id, outcome, says }) => {
    const when = `${at.slice(0, 19)}Z`;
    return `${when}  ${component.padEnd(5)}  ${id.padEnd(width)}  ${outcome.padEnd(9)}  ${says}`;
  });
}

function differenceLines(component: Component, found: readonly Difference[]): string[] {
  if (found.length === 0) return [`Nothing is known of ${component}.`];
  return found.flatMap(({ stream, from, to, lines }) => {
    const what = `${stream}: ${from} -> ${to}`;
    return lines.length === 0 ? [`${what}: no difference`] : [what, ...lines.map((line) => `  ${line}`)];
  });
}
