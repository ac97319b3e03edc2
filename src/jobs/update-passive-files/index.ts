import { join } from 'node:path';
import { pruneArchive } from '../../drops/archive.ts';
import type { Holds } from '../../drops/holds.ts';
import type { Intake, VerifiedDrop } from '../../drops/intake.ts';
import { counted } from '../../rules/spoken.ts';
import { planFiles, wouldEmpty, isBelow, type FilesPlan } from '../../rules/files-plan.ts';
import { dropName, type Manifest } from '../../rules/manifest.ts';
import { addWeight, formatSetDigest } from '../../rules/set-digest.ts';
import type { SetChanges } from '../../system/accepted-set.ts';
import { readAccounts, type Accounts } from '../../system/accounts.ts';
import { removeIfThere } from '../../system/files.ts';
import { recover, runOperation, type Journal, type Operation } from '../../system/journal.ts';
import type { Job, Outcome, PassContext } from '../job.ts';
import { applySteps, entryOf, placeFile, type FilesHome } from './apply.ts';

export interface UpdatePassiveFilesTools {
  readonly home: FilesHome;
  /** Absolute paths that this master's own configuration lets the active write. */
  readonly allowed: readonly string[];
  /** Absolute paths that go live inside the switch of a database. */
  readonly neededByDatabases: readonly string[];
  readonly intake: Omit<Intake, 'reopen'>;
  readonly holds: Holds;
  readonly journal: Journal;
  readonly archive: string;
  readonly keptArchives: number;
  readonly everyMs: number;
}

const stream = 'sync-files';

/** Places what `sync-files` brought, and puts back what drifted since. */
export function createUpdatePassiveFiles(tools: UpdatePassiveFilesTools): Job {
  return {
    name: 'update-passive-files',
    role: 'passive',
    triggers: [{ kind: 'drop', streams: [stream] }, { kind: 'start' }, { kind: 'every', ms: tools.everyMs }],
    run: (context) => pass(tools, context),
  };
}

async function pass(tools: UpdatePassiveFilesTools, context: PassContext): Promise<Outcome> {
  const accounts = await readAccounts();
  await recover(tools.journal, (args: ApplyArguments) => operation(tools, args, accounts));
  await carryOutReleased(tools, context);
  const drop = await tools.intake.next(stream);
  if (drop !== undefined) return await apply(tools, context, drop, accounts);
  return await heal(tools, context, accounts);
}

/** All that is needed to make the same steps again after a crash. */
interface ApplyArguments {
  readonly taken: string;
  readonly manifest: Manifest;
  readonly plan: FilesPlan;
}

async function operation(
  tools: UpdatePassiveFilesTools,
  args: ApplyArguments,
  accounts: Accounts,
): Promise<Operation<ApplyArguments>> {
  const steps = applySteps(tools.home, args.manifest, args.taken, args.plan, tools.archive, accounts);
  return { job: 'update-passive-files', run: dropName(args.manifest), args, steps, pointOfNoReturn: 'archive' };
}

async function apply(
  tools: UpdatePassiveFilesTools,
  context: PassContext,
  drop: VerifiedDrop,
  accounts: Accounts,
): Promise<Outcome> {
  const { manifest } = drop;
  const { set, store } = tools.home;
  const changes = changesOf(tools, manifest);
  if (digestAfter(tools, manifest, changes) !== manifest.digest) {
    await tools.intake.settle(drop, {
      state: 'refused',
      why: 'does not fit what was accepted here: a whole drop is needed',
    });
    return { kind: 'waiting', why: 'a delta did not fit; the active sends the whole set next' };
  }
  const before = set.count();
  const full = planFiles(
    { files: manifest.files, deleted: changes.remove },
    { allowed: tools.allowed, keyFiles: tools.neededByDatabases },
  );
  const sentence = wouldEmpty(before, before - changes.remove.length + newcomers(tools, manifest));
  const plan = sentence === undefined ? full : { ...full, remove: [] };
  await context.fence();
  await runOperation(tools.journal, await operation(tools, { taken: drop.directory, manifest, plan }, accounts));
  await store.sweep(keptBy(tools));
  await pruneArchive(tools.archive, tools.keptArchives);
  return await conclude(tools, context, drop, plan, sentence, full.remove);
}

async function conclude(
  { intake, holds }: UpdatePassiveFilesTools,
  { log }: PassContext,
  drop: VerifiedDrop,
  plan: FilesPlan,
  sentence: string | undefined,
  held: readonly string[],
): Promise<Outcome> {
  const { manifest } = drop;
  if (plan.notAllowed.length > 0) {
    log.warning(
      `Not placed, because "files" in the configuration of this master does not list them: ${plan.notAllowed.slice(0, 5).join(', ')}`,
    );
  }
  if (sentence !== undefined) {
    const holdId = await holds.raise({
      rule: 'files-source-empty',
      stream,
      sentence,
      difference: held.map((path) => `- /${path}`),
      drop: manifest,
    });
    log.failure(`Held: ${sentence} Type: pe-failover release ${holdId}, or pe-failover discard ${holdId}`);
    await intake.settle(drop, { state: 'held', why: sentence, holdId });
    return { kind: 'held', why: sentence };
  }
  const why = `${plan.place.length} placed, ${plan.remove.length} removed${plan.keep.length > 0 ? `, ${plan.keep.length} kept for a database` : ''}`;
  await intake.settle(drop, { state: 'applied', why });
  log.success(`Completed update of files: ${why}`);
  return { kind: 'done', why, detail: { sequence: manifest.sequence } };
}

function changesOf({ home }: UpdatePassiveFilesTools, manifest: Manifest): SetChanges {
  const put = manifest.files.map(entryOf);
  if (manifest.kind !== 'whole') return { put, remove: manifest.deleted };
  const named = new Set(put.map(({ path }) => path));
  return { put, remove: [...home.set.all()].map(({ path }) => path).filter((path) => !named.has(path)) };
}

const digestAfter = ({ home }: UpdatePassiveFilesTools, manifest: Manifest, changes: SetChanges): string =>
  manifest.kind === 'whole'
    ? formatSetDigest(changes.put.reduce((sum, { weight }) => addWeight(sum, weight), 0n))
    : home.set.digestAfter(changes);

const newcomers = ({ home }: UpdatePassiveFilesTools, manifest: Manifest): number =>
  manifest.files.filter(({ path }) => home.set.get(path) === undefined).length;

function keptBy({ home }: UpdatePassiveFilesTools): (sha256: string) => boolean {
  const kept = new Set([...home.set.all()].map(({ sha256 }) => sha256));
  return (sha256) => kept.has(sha256);
}

/** Deletions that an admin let through; a path that the active has again is not deleted. */
async function carryOutReleased(
  { holds, home, allowed }: UpdatePassiveFilesTools,
  { log, fence }: PassContext,
): Promise<void> {
  for (const hold of await holds.list()) {
    if (hold.stream !== stream || hold.decision === 'open') continue;
    const paths = hold.difference.map((line) => line.replace(/^- \//, ''));
    const stand = paths.filter((path) => home.set.get(path) === undefined && isBelow(path, allowed));
    if (hold.decision === 'released') {
      await fence();
      for (const path of stand) await removeIfThere(join(home.root, path));
      log.success(`Released hold ${hold.id}: ${counted(stand.length, 'file')} removed`);
    }
    await holds.close(hold.id);
  }
}

/** What somebody changed here by hand is put back; files that only this master has are left alone. */
async function heal(
  { home, allowed, neededByDatabases }: UpdatePassiveFilesTools,
  { log }: PassContext,
  accounts: Accounts,
): Promise<Outcome> {
  let healed = 0;
  for (const entry of home.set.all()) {
    const mine = isBelow(entry.path, allowed) && !neededByDatabases.includes(`/${entry.path}`);
    if (!mine || !(await home.store.has(entry.sha256))) continue;
    const file = { ...entry, owner: 'root', group: 'root' };
    if (!(await placeFile(home, file, join(home.root, entry.path), accounts))) continue;
    healed += 1;
    log.warning(`Put back, because it differed from the active's: /${entry.path}`);
  }
  return healed > 0
    ? { kind: 'done', why: `${counted(healed, 'file')} put back` }
    : { kind: 'unchanged', why: 'waits for a drop of the active' };
}
