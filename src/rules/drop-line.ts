import { isEpoch, type Epoch } from './epoch.ts';
import type { DropKind, Manifest } from './manifest.ts';
import { receiptStates, type Receipt, type ReceiptState } from './receipt.ts';

/** One line that a master keeps of a drop: what was in it, or what became of it. For people: nothing is decided by it. */
export type DropLine = DropPlaced & (WithContent | WithWord);

interface DropPlaced {
  /** Own clock, ISO 8601. */
  readonly at: string;
  readonly epoch: Epoch;
  readonly sequence: number;
}

interface WithContent {
  readonly content: DropContent;
}

interface WithWord {
  readonly word: { readonly state: ReceiptState; readonly why: string };
}

export interface DropContent {
  readonly source: string;
  readonly capturedAt: string;
  readonly kind: DropKind;
  readonly digest: string;
  /** The first of what came or changed, and of what went. */
  readonly files: readonly { readonly path: string; readonly size: number; readonly sha256: string }[];
  readonly deleted: readonly string[];
  /** How many there are of each. */
  readonly counts: { readonly files: number; readonly deleted: number };
  /** Rows by table, of a dump. */
  readonly tables?: Readonly<Record<string, number>>;
}

/** So many paths of a drop stand in its line. */
export const mostPaths = 50;

export function contentOf(manifest: Manifest): DropContent {
  const { source, capturedAt, kind, digest, deleted, stream, detail } = manifest;
  const isDump = stream.startsWith('db-dump.');
  const tables = tablesIn(detail);
  const files = isDump ? [] : manifest.files;
  return {
    ...{ source, capturedAt, kind, digest },
    files: files.slice(0, mostPaths).map(({ path, size, sha256 }) => ({ path, size, sha256 })),
    deleted: deleted.slice(0, mostPaths),
    counts: { files: files.length, deleted: deleted.length },
    ...(isDump && tables !== undefined ? { tables } : {}),
  };
}

/** Rows by table, as far as a manifest's detail tells them. */
export function tablesIn(detail: Readonly<Record<string, unknown>>): Readonly<Record<string, number>> | undefined {
  const tables = detail['tables'];
  if (typeof tables !== 'object' || tables === null || Array.isArray(tables)) return undefined;
  return Object.fromEntries(
    Object.entries(tables).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
}

export const wordOf = ({ state, why }: Pick<Receipt, 'state' | 'why'>): WithWord['word'] => ({ state, why });

/** Undefined: torn, or of another version. */
export function readDropLine(text: string): DropLine | undefined {
  let value: Partial<Record<string, unknown>>;
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null) return undefined;
    value = parsed;
  } catch {
    return undefined;
  }
  const { at, epoch, sequence } = value;
  if (typeof at !== 'string' || !isEpoch(epoch) || typeof sequence !== 'number') return undefined;
  const isWhole = isContent(value['content']) || isWord(value['word']);
  return isWhole ? (value as unknown as DropLine) : undefined;
}

function isContent(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { source, capturedAt, digest, files, deleted, counts } = value as Partial<DropContent>;
  const texts = [source, capturedAt, digest].every((text) => typeof text === 'string');
  return texts && Array.isArray(files) && Array.isArray(deleted) && typeof counts === 'object';
}

function isWord(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { state, why } = value as Record<string, unknown>;
  return typeof why === 'string' && receiptStates.some((one) => one === state);
}
