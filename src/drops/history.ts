import { join } from 'node:path';
import { certificateChanges, certificatesSummary, type CaPast } from '../rules/certificate-words.ts';
import { groupChanges, groupSummary } from '../rules/group-words.ts';
import {
  byMaking,
  filesSummary,
  names,
  newestFirst,
  tablesSummary,
  type Generation,
  type HistoryEntry,
} from '../rules/history.ts';
import { listFiles } from '../system/trees.ts';
import { listGenerations, type GenerationParts } from './generations.ts';
import { readKeptTree, withOwnTrees, type KeptTree } from './kept-tree.ts';
import { ownTrees } from './own-trees.ts';

export interface HistoryParts extends GenerationParts {
  /** Of the live CA; empty where there is none. */
  readonly caPast: () => Promise<CaPast>;
}

export interface HistoryFilter {
  readonly component?: Generation['component'] | undefined;
  /** ISO 8601. */
  readonly since?: string | undefined;
  readonly limit?: number;
}

/** Every generation that files here prove, newest first. */
export const readGenerations = async (parts: GenerationParts): Promise<Generation[]> =>
  (await withOwnTrees(await listGenerations(parts), join(parts.paths.archive, ownTrees))).sort(newestFirst);

/** What became of the components, newest first, a sentence each. */
export async function readHistory(parts: HistoryParts, filter: HistoryFilter): Promise<HistoryEntry[]> {
  const all = await readGenerations(parts);
  const { component, since = '', limit = Infinity } = filter;
  const wanted = all
    .filter((one) => (component === undefined || one.component === component) && one.at >= since)
    .slice(0, limit);
  const trees = new Map<string, KeptTree | undefined>();
  const tree = async (one: Generation): Promise<KeptTree | undefined> => {
    if (!trees.has(one.path ?? '')) trees.set(one.path ?? '', await readKeptTree(one));
    return trees.get(one.path ?? '');
  };
  const told: HistoryEntry[] = [];
  for (const one of wanted) told.push({ ...one, says: await sentence({ ...parts, all, tree }, one) });
  return told;
}

interface Telling extends HistoryParts {
  readonly all: readonly Generation[];
  readonly tree: (one: Generation) => Promise<KeptTree | undefined>;
}

async function sentence(telling: Telling, one: Generation): Promise<string> {
  const what = await summary(telling, one);
  const isPlain = ['applied', 'unchanged', 'staged', 'sent', 'kept'].includes(one.outcome);
  if (what === undefined) return one.why ?? 'what was in it is not kept';
  return isPlain || one.why === undefined ? what : `${what}; ${one.why}`;
}

async function summary(telling: Telling, one: Generation): Promise<string | undefined> {
  switch (one.component) {
    case 'nc':
      return await groupsSaid(telling, one);
    case 'certs':
      return await certificatesSaid(telling, one);
    case 'db':
      return databaseSaid(telling, one);
    case 'files':
      return await filesSaid(one);
  }
}

async function groupsSaid({ all, tree }: Telling, one: Generation): Promise<string | undefined> {
  if (one.before !== undefined) return `the groups of this master before ${spokenBefore(one.before)}`;
  const now = await tree(one);
  if (now === undefined) return undefined;
  for (const earlier of predecessors(all, one)) {
    const before = await tree(earlier);
    if (before !== undefined) return groupSummary(groupChanges(before.groups, now.groups));
  }
  return `${now.groups.length} groups; nothing older is kept`;
}

const spokenBefore = (before: string): string =>
  before.startsWith('restore-') ? `${before.replace('restore-', '')} was put back` : `drop ${before} came`;

/** Nearest first: of drops the ones made before, of what was live here the ones that were live before. */
function predecessors(all: readonly Generation[], one: Generation): readonly Generation[] {
  const isOwn = isOwnTree(one);
  const alike = all.filter(
    (other) => other !== one && other.stream === one.stream && isOwnTree(other) === isOwn && other.before === undefined,
  );
  const isBefore = (other: Generation): boolean => (isOwn ? newestFirst(other, one) > 0 : byMaking(other, one) < 0);
  return alike.filter(isBefore).sort((a, b) => (isOwn ? newestFirst(a, b) : byMaking(b, a)));
}

const isOwnTree = ({ path }: Generation): boolean => path?.includes(`/${ownTrees}/`) === true;

async function certificatesSaid({ all, caPast }: Telling, one: Generation): Promise<string | undefined> {
  if (one.content === undefined) return undefined;
  const to = Date.parse(one.content.capturedAt);
  const before = predecessors(all, one).find(({ content }) => content !== undefined)?.content;
  const from = before === undefined ? to : Date.parse(before.capturedAt);
  const changes = certificateChanges(one.content, { from, to }, await caPast());
  return certificatesSummary(changes, one.content.counts, one.content.kind);
}

function databaseSaid({ all }: Telling, one: Generation): string | undefined {
  const database = one.stream.replace(/^db-dump\./, '');
  if (one.outcome === 'kept') return `${database}: what was live here before ${spokenBefore(one.before ?? '')}`;
  if (one.content?.tables === undefined) return undefined;
  const before = predecessors(all, one).find(({ content }) => content?.tables !== undefined);
  return `${database}: ${tablesSummary(before?.content?.tables, one.content.tables)}`;
}

async function filesSaid(one: Generation): Promise<string | undefined> {
  if (one.place !== undefined) return one.content === undefined ? undefined : filesSummary(one.content);
  const kept = await listFiles(one.path ?? '');
  const why =
    one.before === undefined ? 'as edited here, before they were put back' : `before ${spokenBefore(one.before)}`;
  return `${kept.length === 1 ? '1 file' : `${kept.length} files`} ${why}: ${names(kept.map((path) => `/${path}`))}`;
}
