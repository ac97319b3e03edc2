import { join } from 'node:path';
import type { Holds } from '../../drops/holds.ts';
import type { Intake, VerifiedDrop } from '../../drops/intake.ts';
import { Failure, toFailure } from '../../errors.ts';
import type { Classifier } from '../../puppet/classifier.ts';
import { counted } from '../../rules/spoken.ts';
import type { BrakeLimits } from '../../rules/brake-limits.ts';
import { classifierBrakes, classifierLimits, groupsGone, type Trees } from '../../rules/brakes-classifier.ts';
import { digestGroups, parseGroups, type Group } from '../../rules/groups.ts';
import { mapHosts, type HostPair } from '../../rules/host-map.ts';
import { letThrough } from '../../rules/hold-words.ts';
import { dropName } from '../../rules/manifest.ts';
import { mergeGroups, type Merged } from '../../rules/merge-groups.ts';
import { madeHereGroups } from '../../rules/made-here-groups.ts';
import { readIfThere } from '../../system/files.ts';
import { recover, runOperation, type Journal } from '../../system/journal.ts';
import type { Job, Outcome, PassContext, Trigger } from '../job.ts';
import { interruptedRestore, restoreOperation, type RestoreArgs } from './steps.ts';
import { createTreeArchive } from './tree-archive.ts';

export interface RestoreNcSettings {
  readonly classifier: Classifier;
  readonly intake: Omit<Intake, 'reopen'>;
  readonly holds: Pick<Holds, 'raise' | 'isReleased' | 'closeOthers'>;
  readonly journal: Journal;
  /** A directory of this job's own: the trees that it replaced. */
  readonly archive: string;
  /** How many of them, 24 unless told. */
  readonly keptTrees?: number;
  /** Beside the two certnames, which the drop names. */
  readonly hostMap?: readonly HostPair[];
  /** Names of stock groups in which the spare keeps its own; see merge-groups.ts. */
  readonly furtherInfrastructure?: readonly string[];
  readonly limits?: BrakeLimits;
  /** True once an admin said that what is live here may be replaced. */
  readonly adopted?: () => Promise<boolean>;
  readonly triggers?: readonly Trigger[];
}

const stream = 'nc-dump';
const payload = 'groups.json';
const maxBytes = 64 * 1024 * 1024; // what the active's own client takes
const defaultTriggers: readonly Trigger[] = [
  { kind: 'drop', streams: [stream] },
  { kind: 'start' },
  { kind: 'cron', expression: '0 * * * *' },
];

/** Replaces the spare's node groups by the active's, merged with what makes the spare's own services work. */
export function createRestoreNc(settings: RestoreNcSettings): Job {
  const run = async (context: PassContext): Promise<Outcome> => {
    const finished = await finishInterrupted(settings, context);
    const drop = await settings.intake.next(stream);
    if (drop === undefined) return { kind: 'unchanged', why: 'No backup file found, skipping import' };
    const incoming = await readDrop(settings, drop);
    await settings.classifier.ready(context.signal);
    const live = await settings.classifier.groups(context.signal);
    const merged = planRestore(settings, drop, incoming, live);
    const { held, standing } = await brake(settings, drop, { incoming, wanted: merged.groups, live }, context);
    if (held !== undefined) return held;
    const planned = { live, merged, standing };
    if (digestGroups(merged.groups) === digestGroups(live)) return settleEqual(settings, drop, planned, finished);
    return restore(settings, drop, planned, context);
  };
  return { name: 'restore-nc', role: 'passive', triggers: settings.triggers ?? defaultTriggers, run };
}

/** The tree that a drop stands for on this spare. */
export function planRestore(
  { hostMap = [], furtherInfrastructure }: Pick<RestoreNcSettings, 'hostMap' | 'furtherInfrastructure'>,
  { manifest }: Pick<VerifiedDrop, 'manifest'>,
  incoming: readonly Group[],
  live: readonly Group[],
): Merged {
  const pairs = [{ active: manifest.source, passive: manifest.target }, ...hostMap];
  return mergeGroups(mapHosts(incoming, pairs).groups, live, furtherInfrastructure);
}

/** The name of the drop whose restore was found interrupted and is finished now. */
async function finishInterrupted(
  { classifier, journal, archive }: RestoreNcSettings,
  context: PassContext,
): Promise<string | undefined> {
  await createTreeArchive(archive).open();
  const open = await journal.open();
  if (open === undefined) return undefined;
  await classifier.ready(context.signal);
  const end = await recover<RestoreArgs>(journal, (args) => interruptedRestore(classifier, context, args));
  context.log.warning(`A restore of node groups was interrupted at its step ${open.step}; it is ${end} now`);
  return end === 'finished' ? (open.args as RestoreArgs).drop : undefined;
}

async function readDrop({ intake }: RestoreNcSettings, drop: VerifiedDrop): Promise<readonly Group[]> {
  try {
    const size = drop.manifest.files.find((file) => file.path === payload)?.size ?? 0;
    if (size > maxBytes) throw new Failure('bad-data', `the drop's ${payload} is longer than ${maxBytes} bytes`);
    const text = await readIfThere(join(drop.directory, payload));
    if (text === undefined) throw new Failure('bad-data', `the drop has no ${payload}`, { where: drop.directory });
    const groups = parseGroups(text);
    const digest = digestGroups(groups);
    if (digest === drop.manifest.digest) return groups;
    throw new Failure('bad-data', 'the node groups are not those of the manifest', {
      why: `digest ${digest} instead of ${drop.manifest.digest}`,
    });
  } catch (error) {
    const failure = toFailure(error);
    if (failure.class === 'bad-data') await intake.settle(drop, { state: 'refused', why: failure.message });
    throw failure;
  }
}

interface Planned {
  readonly live: readonly Group[];
  readonly merged: Merged;
  /** Holds that stand also when the tree is live. */
  readonly standing: ReadonlySet<string>;
}

async function brake(
  { intake, holds, archive, adopted, limits = classifierLimits }: RestoreNcSettings,
  drop: VerifiedDrop,
  trees: Pick<Trees, 'incoming' | 'wanted' | 'live'>,
  { log }: PassContext,
): Promise<{ readonly held?: Outcome; readonly standing: ReadonlySet<string> }> {
  const earlier = createTreeArchive(archive);
  const left = await earlier.accepted(drop.manifest.epoch);
  const replaces = !(await earlier.hasAccepted()) && (await adopted?.()) === true;
  const raised = [];
  for (const found of classifierBrakes({ ...trees, left, replaces }, limits))
    raised.push({ ...found, holdId: await holds.raise({ ...found, stream, drop: drop.manifest }) });
  await holds.closeOthers(stream, new Set(raised.map(({ holdId }) => holdId)));
  for (const { holdId, rule, sentence, difference } of raised) {
    if (await holds.isReleased(holdId)) continue;
    const why = `${sentence}. ${letThrough(holdId)}`;
    await intake.settle(drop, { state: 'held', why, holdId });
    log.failure(`Not imported: ${why}`);
    return { held: { kind: 'held', why, detail: { rule, holdId, difference } }, standing: new Set() };
  }
  // No import ends this difference, so a release is for as long as it is the same.
  const lasting = raised.filter(({ rule }) => rule === 'root-rule-changed');
  return { standing: new Set(lasting.map(({ holdId }) => holdId)) };
}

async function settleEqual(
  { intake, archive, holds }: RestoreNcSettings,
  drop: VerifiedDrop,
  { live, standing }: Planned,
  finished: string | undefined,
): Promise<Outcome> {
  await createTreeArchive(archive).accept(live, drop.manifest.epoch);
  await holds.closeOthers(stream, standing);
  if (finished === dropName(drop.manifest)) {
    const why = 'imported before an interruption, verified after it';
    await intake.settle(drop, { state: 'applied', why });
    return { kind: 'done', why };
  }
  const why = 'the node groups are like this already';
  await intake.settle(drop, { state: 'unchanged', why });
  return { kind: 'unchanged', why };
}

async function restore(
  settings: RestoreNcSettings,
  drop: VerifiedDrop,
  { live, merged, standing }: Planned,
  context: PassContext,
): Promise<Outcome> {
  const { groups: wanted, drift } = merged;
  const trees = createTreeArchive(settings.archive);
  const name = dropName(drop.manifest);
  const archive = trees.pathFor(context.clock.now(), name);
  const gone = groupsGone(live, wanted);
  const left = await trees.accepted(drop.manifest.epoch);
  // The first of an active: whatever it lacks, this master made or was given by another.
  const made = left === undefined ? { added: namesOf(gone), changed: [] } : madeHereGroups(live, left);
  const whose =
    left === undefined ? 'Node groups that only this spare had' : 'Node groups were edited on this spare and';
  const digests = { old: digestGroups(live), wanted: digestGroups(wanted) };
  const args: RestoreArgs = { archive, ...digests, drop: name, epoch: context.epoch };
  await run(settings, drop, context, restoreOperation(settings.classifier, context, args, { live, wanted }));
  await trees.accept(wanted, drop.manifest.epoch);
  await trees.prune(settings.keptTrees ?? 24);
  // Before the drop is settled: killed in between, it is met again and finds its tree live.
  await settings.holds.closeOthers(stream, standing);
  const why = `${wanted.length} node groups imported${gone.length > 0 ? `, ${gone.length} removed` : ''}`;
  const madeHere = { groups: made.added.length + made.changed.length };
  await settings.intake.settle(drop, {
    state: 'applied',
    why: `${why}; the replaced ones are in ${archive}`,
    madeHere,
  });
  const names = [...made.added, ...made.changed];
  if (names.length > 0) context.log.warning(`${whose} are replaced: ${names.join(', ')}. They are kept in ${archive}`);
  tellDrift(context, drift);
  return { kind: 'done', why, detail: { archive, removed: namesOf(gone), drift, madeHere: made } };
}

const namesOf = (groups: readonly Group[]): readonly string[] => groups.map(({ name }) => name);

function tellDrift({ log }: PassContext, drift: Merged['drift']): void {
  if (drift.length === 0) return;
  const points = drift.slice(0, 5).map(({ group, what }) => `${group}: ${what}`);
  log.warning(`Stock node groups differ from the active's in ${counted(drift.length, 'point')}: ${points.join('; ')}`);
}

async function run(
  { journal, intake }: RestoreNcSettings,
  drop: VerifiedDrop,
  { log, signal }: PassContext,
  operation: ReturnType<typeof restoreOperation>,
): Promise<void> {
  try {
    await runOperation(journal, operation);
  } catch (error) {
    signal.throwIfAborted();
    const failure = toFailure(error);
    // The classifier will never take this tree: trying again would change nothing, the next drop may.
    const undone = (await journal.open()) === undefined;
    if (failure.class === 'bad-data' && undone) await intake.settle(drop, { state: 'failed', why: failure.message });
    throw failure;
  }
  log.success('Import of node groups completed');
}
