import { join } from 'node:path';
import { notKept, treeHere, type Hosts } from '../drops/difference.ts';
import { Failure, toFailure } from '../errors.ts';
import type { Classifier } from '../puppet/classifier.ts';
import { good, note, type Finding } from '../rules/findings.ts';
import { readNamedTime, treeName } from '../rules/generation.ts';
import { groupChanges, groupLines } from '../rules/group-words.ts';
import { canonicalGroups, digestGroups, parseGroups, rootId, type Group } from '../rules/groups.ts';
import type { Generation } from '../rules/history.ts';
import { mergeGroups } from '../rules/merge-groups.ts';
import { ensureDirectory, listDirectory, readIfThere, writeFileAtomic } from '../system/files.ts';
import type { Procedure, ProcedureStep } from './procedure.ts';

export interface RestoreGroupsParts {
  readonly generation: Generation;
  readonly classifier: Classifier;
  readonly hosts: Hosts;
  /** Where trees are kept that something replaced: `archive/replaced-groups`. */
  readonly kept: string;
  readonly role: 'active' | 'passive' | 'suspended';
  /** Stock groups too, as they were, instead of as they are. */
  readonly stockGroups: boolean;
  readonly now: () => Date;
  /** No pass of a job that writes the classifier runs meanwhile. */
  readonly alone: <Value>(work: () => Promise<Value>) => Promise<Value>;
}

const mostLines = 40;

/** Puts an archived tree of node groups back on this master. Each step can be undone. */
export function restoreGroups(parts: RestoreGroupsParts, subject: string): Procedure {
  const { generation, role } = parts;
  const { id } = generation;
  return {
    ...{ verb: 'restore', subject },
    title: `Put the node groups of ${id} (${generation.at}) back on this master`,
    consequences: [
      'The whole tree is replaced: groups that were made since are removed. What is live now is kept first.',
      parts.stockGroups
        ? "Puppet's own groups are put back as well, with their rules and parameters of then."
        : "Puppet's own groups keep their rules and the parameters of Puppet's classes as they are now.",
      ...(role === 'passive'
        ? ['This master is a spare: the next drop of the active replaces it. To make it last, type it on the active.']
        : []),
    ],
    probes: [(signal) => whatChanges(parts, signal)],
    steps: stepsOf(parts),
    left: () =>
      Promise.resolve([`what was live before is kept, too: pe-failover history --component nc shows its name`]),
  };
}

/** The tree that is to be live, given what is live. */
async function wantedTree(parts: RestoreGroupsParts, live: readonly Group[]): Promise<readonly Group[]> {
  const { generation, hosts, stockGroups } = parts;
  const kept = await treeHere(generation, hosts, live);
  if (kept === undefined) throw notKept(generation);
  const isForeign = (generation.content?.source ?? hosts.certname) !== hosts.certname;
  if (isForeign) return kept; // merged already: stock groups of another master are never this one's
  return stockGroups ? withLiveRoot(kept, live) : mergeGroups(kept, live, hosts.furtherInfrastructure).groups;
}

/** Import refuses any change of the root's rule. */
function withLiveRoot(kept: readonly Group[], live: readonly Group[]): readonly Group[] {
  const rule = live.find(({ id }) => id === rootId)?.rule;
  return kept.map((group) => {
    if (group.id !== rootId) return group;
    const { rule: _then, ...rest } = group;
    return rule === undefined ? rest : { ...rest, rule };
  });
}

async function whatChanges(parts: RestoreGroupsParts, signal: AbortSignal): Promise<readonly Finding[]> {
  const live = await parts.classifier.groups(signal);
  const lines = groupLines(groupChanges(live, await wantedTree(parts, live)));
  const answers = good(`the classifier answers, and has ${live.length} groups`);
  if (lines.length === 0) return [answers, note('the node groups are like that already')];
  const more = lines.length - mostLines;
  return [
    answers,
    note(`it changes ${lines.length} things:`),
    ...lines.slice(0, mostLines).map((line) => note(line)),
    ...(more > 0 ? [note(`and ${more} more`, `Type: pe-failover diff ${parts.generation.id}`)] : []),
  ];
}

function stepsOf(parts: RestoreGroupsParts): readonly ProcedureStep[] {
  const { classifier, kept, generation } = parts;
  const isLive = async (): Promise<boolean> => {
    const live = await classifier.groups(AbortSignal.timeout(120_000));
    return digestGroups(live) === digestGroups(await wantedTree(parts, live));
  };
  return [
    {
      name: 'keep',
      says: `keep the tree that is live, in ${kept}`,
      do: async ({ signal }) => void (await keepLive(parts, signal)),
      isDone: isLive, // what is kept of a cut attempt may not be what is live now
    },
    {
      name: 'import',
      says: `import the tree of ${generation.id}, in one request, and read it back`,
      do: ({ signal }) => parts.alone(() => importTree(parts, signal)),
      undo: ({ signal }) => parts.alone(() => putBack(parts, signal)),
      isDone: isLive,
    },
    {
      name: 'refresh',
      says: 'have the classifier read its list of classes again; the tree is right without it',
      do: ({ signal }) => refresh(classifier, signal),
      isDone: () => Promise.resolve(false),
    },
  ];
}

const mark = ({ generation }: RestoreGroupsParts): string => `restore-${generation.id}`;

async function keepLive(parts: RestoreGroupsParts, signal: AbortSignal): Promise<readonly Group[]> {
  const live = await parts.classifier.groups(signal);
  if ((await lastKept(parts)) !== canonicalGroups(live)) await keepTree(parts, live, mark(parts));
  return live;
}

async function keepTree({ kept, now }: RestoreGroupsParts, groups: readonly Group[], before: string): Promise<void> {
  await ensureDirectory(kept, { mode: 0o700 });
  await writeFileAtomic(join(kept, treeName(now(), before)), canonicalGroups(groups), { mode: 0o600 });
}

/** What the newest restore of this generation replaced. */
async function lastKept(parts: RestoreGroupsParts): Promise<string | undefined> {
  const names = (await listDirectory(parts.kept)).filter((name) => readNamedTime(name)?.before === mark(parts));
  const name = names.sort().at(-1);
  return name === undefined ? undefined : await readIfThere(join(parts.kept, name));
}

/** The server does it wholly or not at all. INVARIANT: what is replaced is kept, also where it changed since the step before. */
async function importTree(parts: RestoreGroupsParts, signal: AbortSignal): Promise<void> {
  const { classifier, generation } = parts;
  const live = await keepLive(parts, signal);
  const wanted = await wantedTree(parts, live);
  if (digestGroups(live) === digestGroups(wanted)) return;
  await classifier.importHierarchy(wanted, signal);
  const found = digestGroups(await classifier.groups(signal));
  if (found === digestGroups(wanted)) return;
  throw new Failure('bad-data', 'the classifier stored another tree than it was given', {
    where: generation.id,
    why: `expected ${digestGroups(wanted)}, read back ${found}`,
  });
}

async function putBack(parts: RestoreGroupsParts, signal: AbortSignal): Promise<void> {
  const { classifier, kept, generation } = parts;
  const text = await lastKept(parts);
  if (text === undefined) return; // nothing was kept, so nothing was imported
  await classifier.ready(signal);
  const [before, live] = [parseGroups(text), await classifier.groups(signal)];
  if (digestGroups(live) === digestGroups(before)) return;
  await keepTree(parts, live, `undo-${generation.id}`); // it may hold what somebody did since
  await classifier.importHierarchy(before, signal);
  if (digestGroups(await classifier.groups(signal)) === digestGroups(before)) return;
  throw new Failure('dependency', 'the node groups that were live could not be put back', {
    why: 'the classifier stored another tree than it was given',
    hint: `They are kept in ${kept}`,
  });
}

async function refresh(classifier: Classifier, signal: AbortSignal): Promise<void> {
  try {
    await classifier.updateClasses(signal);
  } catch (error) {
    const { class: errorClass, message } = toFailure(error);
    if (errorClass === 'interrupted') throw error;
    throw new Failure('incomplete', 'the class list was not read again', {
      why: message,
      hint: 'The classifier does it by itself within ten minutes',
    });
  }
}
