import { pruneArchive } from '../../drops/archive.ts';
import type { VerifiedDrop } from '../../drops/intake.ts';
import { filesBrake } from '../../rules/brakes-files.ts';
import { newcomersLeft, recentNews, withNews, type FilesNews, type NewsBook } from '../../rules/files-news.ts';
import { isBelow, planFiles, withLeftOut, type FilesPlan } from '../../rules/files-plan.ts';
import type { Manifest } from '../../rules/manifest.ts';
import { failureOfAll, type Obstacle } from '../../rules/obstacles.ts';
import { addWeight, formatSetDigest } from '../../rules/set-digest.ts';
import type { BrakeLimits } from '../../rules/brake-limits.ts';
import type { SetChanges } from '../../system/accepted-set.ts';
import { readAccounts, type Accounts } from '../../system/accounts.ts';
import { recover, runOperation, type Journal } from '../../system/journal.ts';
import type { Job, Outcome, PassContext } from '../job.ts';
import { applyOperation, entryOf, type ApplyArguments } from './apply.ts';
import { heal, stream, type HealTools } from './heal.ts';
import { carryOutReleased, closeMended, liftReplaced, raise, type HeldRemovals } from './held.ts';
import { leftOutOf, type LeftOut } from './left-out.ts';
import { sweepBesideFiles } from './place.ts';

export interface UpdatePassiveFilesTools extends HealTools {
  readonly journal: Journal;
  /** What drops replaced. */
  readonly archive: string;
  readonly everyMs: number;
  /** How many files may vanish before the removals are held. */
  readonly limits?: BrakeLimits;
}

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
  const interrupted = (await tools.journal.open()) !== undefined;
  await recover(tools.journal, async (args: ApplyArguments) =>
    applyOperation({ ...tools, accounts, obstacles: [] }, args),
  );
  if (interrupted || context.cause === 'start') await sweepBesideFiles(tools.home);
  await carryOutReleased(tools, context);
  const drop = await tools.intake.next(stream);
  if (drop !== undefined) return await apply(tools, context, drop, accounts);
  return await heal(tools, context, accounts);
}

async function apply(
  tools: UpdatePassiveFilesTools,
  context: PassContext,
  drop: VerifiedDrop,
  accounts: Accounts,
): Promise<Outcome> {
  const { manifest } = drop;
  const changes = changesOf(tools, manifest);
  if (digestAfter(tools, manifest, changes) !== manifest.digest) {
    await tools.intake.settle(drop, {
      state: 'refused',
      why: 'does not fit what was accepted here: a whole drop is needed',
    });
    return { kind: 'waiting', why: 'a delta did not fit; the active sends the whole set next' };
  }
  const news = recentNews(await tools.news.read(), manifest.epoch, context.clock.now());
  const { plan, held, counts } = planOf(tools, manifest, changes, { leftOut: await tools.leftOut.read(), news });
  const obstacles: Obstacle[] = [];
  await context.fence();
  const noted = withNews(news, { sequence: manifest.sequence, at: context.clock.now().toISOString(), ...counts });
  await tools.news.write(noted);
  const args = { taken: drop.directory, manifest, plan };
  await runOperation(tools.journal, applyOperation({ ...tools, accounts, obstacles }, args));
  await tools.home.store.sweep(keptBy(tools));
  await pruneArchive(tools.archive, tools.keptArchives);
  const leftOut = leftOutOf(manifest, plan, obstacles);
  await tools.leftOut.write(leftOut);
  await closeMended(tools);
  await liftReplaced(tools, context, noted);
  return await conclude(tools, context, { drop, plan, held, obstacles, why: leftOut.why });
}

interface Planned {
  readonly plan: FilesPlan;
  /** Deletions that are not done, and why. */
  readonly held: HeldRemovals | undefined;
  readonly counts: Pick<FilesNews, 'added' | 'removed'>;
}

interface Earlier {
  readonly leftOut: LeftOut | undefined;
  readonly news: NewsBook;
}

/** The drop, and what earlier ones brought that could not be made live yet. */
function planOf(
  tools: UpdatePassiveFilesTools,
  manifest: Manifest,
  changes: SetChanges,
  { leftOut, news }: Earlier,
): Planned {
  const { allowed, neededByDatabases: keyFiles } = tools;
  const drop = { files: manifest.files, deleted: changes.remove };
  const full = planFiles(withLeftOut(drop, leftOut), { allowed, keyFiles });
  const gone = new Set(changes.remove);
  const paths = full.remove.filter((path) => gone.has(path));
  const { before, added } = countsOf(tools, manifest);
  const asked = { before, removed: paths.length, added, others: newcomersLeft(news, 0) };
  const brake = filesBrake(asked, tools.limits);
  // A whole set is no news: it is the first of an active, or all of it once more.
  const isDelta = manifest.kind === 'delta';
  const counts = { added: isDelta ? added : 0, removed: isDelta && brake === undefined ? paths.length : 0 };
  if (brake === undefined) return { plan: full, held: undefined, counts };
  const plan = { ...full, remove: full.remove.filter((path) => !gone.has(path)) };
  return { plan, held: { ...brake, paths }, counts };
}

interface Applied {
  readonly drop: VerifiedDrop;
  readonly plan: FilesPlan;
  readonly held: Planned['held'];
  readonly obstacles: readonly Obstacle[];
  /** Of what was left out. */
  readonly why: string | undefined;
}

async function conclude(
  tools: UpdatePassiveFilesTools,
  { log }: PassContext,
  { drop, plan, held, obstacles, why: whyLeftOut = '' }: Applied,
): Promise<Outcome> {
  const { intake } = tools;
  if (plan.notAllowed.length > 0) {
    log.warning(
      `Not placed, because "files" in the configuration of this master does not list them: ${plan.notAllowed.slice(0, 5).join(', ')}`,
    );
  }
  const holdId = held === undefined ? undefined : await raise(tools, log, drop.manifest, held);
  const failure = failureOfAll(obstacles);
  if (failure !== undefined) {
    await intake.settle(drop, { state: 'failed', why: whyLeftOut, ...(holdId === undefined ? {} : { holdId }) });
    throw failure;
  }
  if (held !== undefined && holdId !== undefined) {
    await intake.settle(drop, { state: 'held', why: held.sentence, holdId });
    return { kind: 'held', why: held.sentence };
  }
  const why = `${plan.place.length} placed, ${plan.remove.length} removed${plan.keep.length > 0 ? `, ${plan.keep.length} kept for a database` : ''}`;
  await intake.settle(drop, { state: 'applied', why });
  log.success(`Completed update of files: ${why}`);
  return { kind: 'done', why, detail: { sequence: drop.manifest.sequence } };
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

/** Of what this master places: what its own configuration does not list any more is not removed here either. */
function countsOf({ home, allowed }: UpdatePassiveFilesTools, { files }: Manifest) {
  const isOurs = ({ path }: { readonly path: string }): boolean => isBelow(path, allowed);
  const before = [...home.set.all()].filter(isOurs).length;
  return { before, added: files.filter((file) => isOurs(file) && home.set.get(file.path) === undefined).length };
}

function keptBy({ home }: UpdatePassiveFilesTools): (sha256: string) => boolean {
  const kept = new Set([...home.set.all()].map(({ sha256 }) => sha256));
  return (sha256) => kept.has(sha256);
}
