import { certificateChanges, revokedWithin, serialOf, type CaPast } from '../rules/certificate-words.ts';
import { fileLines, filesAfter, type KnownFiles } from '../rules/files-words.ts';
import type { Component } from '../rules/generation.ts';
import { groupChanges, groupLines } from '../rules/group-words.ts';
import type { Group } from '../rules/groups.ts';
import { byMaking, tableLines, type Generation } from '../rules/history.ts';
import { mapHosts, type HostPair } from '../rules/host-map.ts';
import { mergeGroups } from '../rules/merge-groups.ts';
import { pickGeneration } from '../rules/pick-generation.ts';
import { Failure } from '../errors.ts';
import { formatSerial } from '../rules/serial.ts';
import { readKeptTree } from './kept-tree.ts';

/** What is live here now, asked only for what is compared. */
export interface LiveSide {
  groups(): Promise<readonly Group[]>;
  /** Rows by table. */
  tables(database: string): Promise<Readonly<Record<string, number>>>;
  caPast(): Promise<CaPast>;
  /** Size and sha256 of those that are there. */
  files(paths: readonly string[]): Promise<KnownFiles>;
}

export interface DifferenceParts {
  readonly all: readonly Generation[];
  readonly live: LiveSide;
  readonly hosts: Hosts;
  readonly now: Date;
}

/** How groups of the other master become those of this one. */
export interface Hosts {
  readonly certname: string;
  readonly hostMap: readonly HostPair[];
  readonly furtherInfrastructure: readonly string[];
}

export interface Comparison {
  readonly component: Component;
  /** Generations as they were typed; undefined: see `compareGenerations`. */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly database?: string | undefined;
}

export interface Difference {
  readonly component: Component;
  readonly stream: string;
  /** Ids of generations; `live`: what is live here now. */
  readonly from: string;
  readonly to: string;
  readonly lines: readonly string[];
}

/**
 * How one generation became another, or what is live now. Without `to`: what is live. Without `from`: the newest generation that
 * differs from what is live, of certificates, databases and files the last but one.
 */
export async function compareGenerations(parts: DifferenceParts, asked: Comparison): Promise<Difference[]> {
  const { component, database } = asked;
  const pick = (id: string | undefined): Generation | undefined =>
    id === undefined ? undefined : pickGeneration(parts.all, { id, component, database });
  const [from, to] = [pick(asked.from), pick(asked.to)];
  if (from !== undefined && to !== undefined && from.stream !== to.stream)
    throw new Failure('usage', 'these are generations of two databases', { hint: 'Name the database: --db NAME' });
  const streams = [...new Set(parts.all.filter((one) => one.component === component).map(({ stream }) => stream))];
  const wanted = streams.filter((stream) =>
    from === undefined ? database === undefined || stream === `db-dump.${database}` : stream === from.stream,
  );
  const found: Difference[] = [];
  for (const stream of wanted.sort()) found.push(await compareOne(parts, component, stream, from, to));
  return found;
}

async function compareOne(
  parts: DifferenceParts,
  component: Component,
  stream: string,
  from: Generation | undefined,
  to: Generation | undefined,
): Promise<Difference> {
  const compare = { nc: compareGroups, certs: compareCertificates, db: compareTables, files: compareFiles }[component];
  const { first, lines } = await compare(parts, stream, from, to);
  return { component, stream, from: first?.id ?? 'nothing older', to: to?.id ?? 'live', lines };
}

interface Compared {
  readonly first: Generation | undefined;
  readonly lines: readonly string[];
}

/** The tree that a generation stands for on this master. `live`: stock groups keep what makes the services here work. */
export async function treeHere(
  generation: Generation,
  { certname, hostMap, furtherInfrastructure }: Hosts,
  live?: readonly Group[],
): Promise<readonly Group[] | undefined> {
  const kept = await readKeptTree(generation);
  if (kept === undefined) return undefined;
  const source = generation.content?.source ?? certname;
  if (source === certname) return kept.groups;
  const mapped = mapHosts(kept.groups, [{ active: source, passive: certname }, ...hostMap]).groups;
  return live === undefined ? mapped : mergeGroups(mapped, live, furtherInfrastructure).groups;
}

async function compareGroups(
  { all, live, hosts }: DifferenceParts,
  stream: string,
  from: Generation | undefined,
  to: Generation | undefined,
): Promise<Compared> {
  const here = to === undefined ? await live.groups() : undefined;
  const after = here ?? (to === undefined ? undefined : await treeHere(to, hosts));
  if (after === undefined) throw notKept(to);
  if (from !== undefined) {
    const before = await treeHere(from, hosts, here);
    if (before === undefined) throw notKept(from);
    return { first: from, lines: groupLines(groupChanges(before, after)) };
  }
  const older = to === undefined ? all : all.slice(all.indexOf(to) + 1);
  for (const one of older.filter((other) => other.stream === stream)) {
    const before = await treeHere(one, hosts, here);
    const lines = before === undefined ? [] : groupLines(groupChanges(before, after));
    if (lines.length > 0) return { first: one, lines };
  }
  return { first: undefined, lines: [] };
}

export const notKept = (one: Generation | undefined): Failure =>
  new Failure('usage', 'what that generation held is not kept here', {
    where: `${one?.component ?? ''} ${one?.id ?? ''}`,
    hint: 'Others are shown by: pe-failover history',
  });

/** The drops of a stream of which the content is known, oldest first. */
const dropsOf = (all: readonly Generation[], stream: string): readonly Generation[] =>
  all.filter((one) => one.stream === stream && one.place !== undefined && one.content !== undefined).sort(byMaking);

/** Of drops: the last but one, unless told. */
function startOf(drops: readonly Generation[], from: Generation | undefined, to: Generation | undefined) {
  if (from !== undefined) return from;
  const last = to === undefined ? drops.length - 1 : drops.indexOf(to);
  return drops[last - 1];
}

async function compareCertificates(
  { all, live, now }: DifferenceParts,
  stream: string,
  from: Generation | undefined,
  to: Generation | undefined,
): Promise<Compared> {
  const drops = dropsOf(all, stream);
  const first = startOf(drops, from, to);
  const past = await live.caPast();
  const began = first?.content === undefined ? undefined : Date.parse(first.content.capturedAt);
  const ends = to?.content === undefined ? now.getTime() : Date.parse(to.content.capturedAt);
  const between = drops.filter(
    (one) => (first === undefined || byMaking(one, first) > 0) && (to === undefined || byMaking(one, to) <= 0),
  );
  const revoked = began === undefined ? [] : revokedWithin(past, began, ends);
  const gone = new Set(revoked.map(({ name }) => name));
  const lines = between.flatMap(({ content, id }) => {
    if (content === undefined) return [];
    if (content.kind === 'whole') return [`drop ${id}: the whole CA, ${content.counts.files} files`];
    const at = Date.parse(content.capturedAt);
    const { signed, removed } = certificateChanges(content, { from: at, to: at }, past);
    return [
      ...signed.map((name) => `signed: ${name}, ${serialOf(past, name, at)}`),
      ...removed.filter((name) => !gone.has(name)).map((name) => `removed: ${name}`),
    ];
  });
  const revocations = revoked.map(
    ({ name, serial, at }) => `revoked: ${name}, serial ${formatSerial(serial)}, ${new Date(at).toISOString()}`,
  );
  return { first, lines: [...lines, ...revocations] };
}

async function compareTables(
  { all, live }: DifferenceParts,
  stream: string,
  from: Generation | undefined,
  to: Generation | undefined,
): Promise<Compared> {
  const drops = dropsOf(all, stream).filter(({ content }) => content?.tables !== undefined);
  const first = startOf(drops, from, to) ?? drops.at(-1);
  const database = stream.replace(/^db-dump\./, '');
  const before = first?.content?.tables;
  if (from !== undefined && before === undefined) throw notKept(from);
  const after = to === undefined ? await live.tables(database) : to.content?.tables;
  if (after === undefined) throw notKept(to);
  return { first, lines: before === undefined ? [] : tableLines(before, after).map((line) => `${database}: ${line}`) };
}

async function compareFiles(
  { all, live }: DifferenceParts,
  stream: string,
  from: Generation | undefined,
  to: Generation | undefined,
): Promise<Compared> {
  const drops = dropsOf(all, stream);
  const first = startOf(drops, from, to);
  const until = (end: Generation | undefined): KnownFiles =>
    filesAfter(
      drops.flatMap((one) =>
        one.content !== undefined && end !== undefined && byMaking(one, end) <= 0 ? [one.content] : [],
      ),
    );
  const known = until(to ?? drops.at(-1));
  const after = to === undefined ? await live.files([...known.keys()]) : known;
  return { first, lines: fileLines(until(first), after) };
}
