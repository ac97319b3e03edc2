import { dropId, timeId, type Component } from './generation.ts';
import type { DropContent } from './drop-line.ts';
import type { Epoch } from './epoch.ts';
import type { ReceiptState } from './receipt.ts';
import { counted } from './spoken.ts';

/** One generation of a component, as far as files of this master prove it. */
export interface Generation {
  readonly component: Component;
  readonly stream: string;
  /** As it is typed: `3-17`, or `20261126T223000`. */
  readonly id: string;
  /** ISO 8601, own clock where that is known, else the sender's. */
  readonly at: string;
  /** Of a drop. */
  readonly place?: { readonly epoch: Epoch; readonly sequence: number };
  readonly outcome: Outcome;
  /** What the other root, or this one, said of it. */
  readonly why?: string;
  readonly content?: DropContent;
  /** Where its content lies here; missing: what it held is not kept. */
  readonly path?: string;
  /** Of a kept one: what took its place. */
  readonly before?: string;
}

/** `kept`: what was live here; `sent`: no word came on it yet. */
export type Outcome = ReceiptState | 'kept' | 'sent';

/** A generation and what it changed, in a sentence. */
export interface HistoryEntry extends Generation {
  readonly says: string;
}

/** Newest first; of one moment a drop before what it replaced. */
export const newestFirst = (a: Generation, b: Generation): number => {
  if (a.at !== b.at) return a.at < b.at ? 1 : -1;
  if (a.place === undefined || b.place === undefined) return a.place === undefined ? 1 : -1;
  return b.place.epoch.number - a.place.epoch.number || b.place.sequence - a.place.sequence;
};

/** In the order in which the drops were made. */
export const byMaking = (a: Generation, b: Generation): number =>
  (a.place?.epoch.number ?? 0) - (b.place?.epoch.number ?? 0) || (a.place?.sequence ?? 0) - (b.place?.sequence ?? 0);

export const idOf = (one: Pick<Generation, 'place' | 'at'>): string =>
  one.place === undefined ? timeId(one.at) : dropId(one.place);

/** "2 came or changed: a, b; 1 went: c". */
export function filesSummary({ files, deleted, counts, kind }: DropContent): string {
  const whole = kind === 'whole' ? 'all files sent: ' : '';
  const parts = [
    ...(counts.files === 0
      ? []
      : [
          `${counts.files} ${kind === 'whole' ? 'in it' : 'came or changed'}: ${names(
            files.map(({ path }) => `/${path}`),
            counts.files,
          )}`,
        ]),
    ...(counts.deleted === 0
      ? []
      : [
          `${counts.deleted} went: ${names(
            deleted.map((path) => `/${path}`),
            counts.deleted,
          )}`,
        ]),
  ];
  return parts.length === 0 ? 'no file changed' : `${whole}${parts.join('; ')}`;
}

/** The first of several names. */
export function names(some: readonly string[], count = some.length, most = 3): string {
  const shown = some.slice(0, most);
  return `${shown.join(', ')}${count > shown.length ? ` and ${count - shown.length} more` : ''}`;
}

type Rows = Readonly<Record<string, number>>;

/** "subjects 12 -> 13 rows", a line each, in the order of names. */
export function tableLines(before: Rows, after: Rows): string[] {
  const tables = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return tables.flatMap((table) => {
    const [was, is] = [before[table], after[table]];
    if (was === is) return [];
    if (was === undefined) return [`table ${table} added, ${counted(is ?? 0, 'row')}`];
    if (is === undefined) return [`table ${table} removed, it had ${counted(was, 'row')}`];
    return [`${table} ${was} -> ${is} rows`];
  });
}

export function tablesSummary(before: Rows | undefined, after: Rows | undefined): string {
  if (after === undefined) return 'what it held is not known here';
  if (before === undefined) {
    const rows = Object.values(after).reduce((sum, count) => sum + count, 0);
    return `${counted(Object.keys(after).length, 'table')}, ${counted(rows, 'row')}`;
  }
  const lines = tableLines(before, after);
  return lines.length === 0 ? 'as many rows in each table; contents differ' : names(lines, lines.length, 4);
}
