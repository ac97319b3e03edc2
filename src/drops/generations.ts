import { join } from 'node:path';
import { toFailure } from '../errors.ts';
import { contentOf, type DropContent, type DropLine } from '../rules/drop-line.ts';
import type { Epoch } from '../rules/epoch.ts';
import { componentOf, readNamedTime, type Component } from '../rules/generation.ts';
import { idOf, newestFirst, type Generation, type Outcome } from '../rules/history.ts';
import { dropName, isStream, manifestName, parseManifest } from '../rules/manifest.ts';
import type { Paths } from '../rules/paths.ts';
import type { Receipt } from '../rules/receipt.ts';
import { listDirectory, readIfThere } from '../system/files.ts';
import { placeOf } from './archive.ts';
import type { DropBook } from './drop-book.ts';
import { ownTrees } from './own-trees.ts';
import type { ReceiptBook } from './receipt-book.ts';

export interface GenerationParts {
  readonly paths: Paths;
  readonly drops: Pick<DropBook, 'all'>;
  readonly receipts: Pick<ReceiptBook, 'all'>;
}

/** Databases that a restore replaced: `archive/replaced-databases/TIME-of-NAME`. */
export const replacedDatabases = 'replaced-databases';

/** Where what was live is kept without a drop, and of which component. */
const keptIn: readonly (readonly [string, Component])[] = [
  [ownTrees, 'nc'],
  ['replaced-groups', 'nc'],
  ['replaced-files', 'files'],
  [replacedDatabases, 'db'],
];

/** All generations of which files of this master tell, newest first. */
export async function listGenerations(parts: GenerationParts): Promise<Generation[]> {
  const found: Generation[] = [];
  for (const stream of await streamsHere(parts.paths)) found.push(...(await dropsOf(parts, stream)));
  for (const [directory, component] of keptIn) found.push(...(await keptOf(parts.paths, directory, component)));
  return found.sort(newestFirst);
}

async function streamsHere({ archive, outbox, receipts, drops }: Paths): Promise<string[]> {
  const named = [...(await listDirectory(archive)), ...(await listDirectory(outbox))];
  for (const directory of [receipts, drops])
    named.push(...(await listDirectory(directory)).map((name) => name.replace(/\.jsonl$/, '')));
  return [...new Set(named)].filter(isStream).sort();
}

async function keptOf({ archive }: Paths, directory: string, component: Component): Promise<Generation[]> {
  return (await listDirectory(join(archive, directory))).flatMap((name) => {
    const named = readNamedTime(name);
    if (named === undefined) return [];
    const { at, before, of } = named;
    const stream = component === 'nc' ? 'nc-dump' : component === 'files' ? 'sync-files' : `db-dump.${of ?? ''}`;
    const path = join(archive, directory, name);
    const told = before === undefined ? {} : { before };
    return [{ component, stream, id: idOf({ at }), at, outcome: 'kept' as const, path, ...told }];
  });
}

interface Known {
  readonly place: { readonly epoch: Epoch; readonly sequence: number };
  readonly path?: string;
  readonly content?: DropContent;
  readonly lines: DropLine[];
  readonly words: Receipt[];
}

/** What lies in the archive, waits in the outbox, stands in the book, or has a receipt. */
async function dropsOf(parts: GenerationParts, stream: string): Promise<Generation[]> {
  const known = new Map<string, Known>();
  const about = (place: Known['place'], more: Partial<Known> = {}): Known => {
    const { epoch, sequence } = place;
    const before = known.get(dropName(place)) ?? { place: { epoch, sequence }, lines: [], words: [] };
    known.set(dropName(place), { ...before, ...more });
    return known.get(dropName(place)) as Known;
  };
  for (const home of [parts.paths.outbox, parts.paths.archive])
    for (const name of await listDirectory(join(home, stream))) {
      const place = placeOf(name);
      const path = join(home, stream, name);
      if (place !== undefined) about(place, { path, ...(await contentIn(path)) });
    }
  for (const line of await parts.drops.all(stream)) {
    const one = about(line);
    one.lines.push(line);
    if ('content' in line && one.content === undefined) about(line, { content: line.content });
  }
  for (const word of await parts.receipts.all(stream)) about(word).words.push(word);
  return [...known.values()].flatMap((one) => generationOf(stream, one) ?? []);
}

async function contentIn(path: string): Promise<{ content?: DropContent }> {
  const text = await readIfThere(join(path, manifestName));
  if (text === undefined) return {};
  try {
    return { content: contentOf(parseManifest(text)) };
  } catch (error) {
    if (toFailure(error).class === 'bad-data') return {}; // torn by the disk: then it tells nothing
    throw error;
  }
}

function generationOf(stream: string, { place, path, content, lines, words }: Known): Generation | undefined {
  const heard = lines.flatMap((line) => ('word' in line ? [line.word] : [])).at(-1);
  const word = words.at(-1) ?? heard;
  const at = words[0]?.at ?? lines[0]?.at ?? content?.capturedAt;
  if (at === undefined) return undefined;
  const outcome: Outcome = word?.state ?? 'sent';
  return {
    ...{ component: componentOf(stream), stream, id: idOf({ place, at }), at, place, outcome },
    ...(word === undefined ? {} : { why: word.why }),
    ...(content === undefined ? {} : { content }),
    ...(path === undefined ? {} : { path }),
  };
}
