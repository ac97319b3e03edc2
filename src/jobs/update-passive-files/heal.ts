import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pruneArchive } from '../../drops/archive.ts';
import type { Holds } from '../../drops/holds.ts';
import type { Intake } from '../../drops/intake.ts';
import { planFiles, type FilesPlan } from '../../rules/files-plan.ts';
import type { ManifestFile } from '../../rules/manifest.ts';
import { failureOfAll, type Obstacle } from '../../rules/obstacles.ts';
import { timeInName } from '../../rules/generation.ts';
import { counted } from '../../rules/spoken.ts';
import type { AcceptedEntry } from '../../system/accepted-set.ts';
import type { Accounts } from '../../system/accounts.ts';
import type { Outcome, PassContext } from '../job.ts';
import { pathsOf } from './apply.ts';
import { leftOutOf, type LeftOut, type LeftOutBook } from './left-out.ts';
import type { NewsStore } from './news.ts';
import { attemptEach, differs, keepAside, placeFile, removeFile, type FilesHome } from './place.ts';

export const stream = 'sync-files';

export interface HealTools {
  readonly home: FilesHome;
  /** Absolute paths that this master's own configuration lets the active write. */
  readonly allowed: readonly string[];
  /** Absolute paths that go live inside the switch of a database. */
  readonly neededByDatabases: readonly string[];
  readonly intake: Omit<Intake, 'reopen'>;
  readonly holds: Holds;
  readonly leftOut: LeftOutBook;
  readonly news: NewsStore;
  /** What was replaced without a drop: edits of this master, by the time they were put back. */
  readonly replaced: string;
  readonly keptArchives: number;
}

/** The directory that keeps what one pass puts back. */
export const replacedAt = ({ replaced }: Pick<HealTools, 'replaced'>, at: Date): string =>
  join(replaced, timeInName(at));

export const pruneReplaced = ({ replaced, keptArchives }: HealTools): Promise<void> =>
  pruneArchive(replaced, keptArchives);

/**
 * What somebody changed here by hand is put back; files that only this master has are left alone. The active hears of what
 * cannot be put back, and when it is.
 */
export async function heal(tools: HealTools, context: PassContext, accounts: Accounts): Promise<Outcome> {
  const leftOut = await tools.leftOut.read();
  const obstacles: Obstacle[] = [];
  const archive = replacedAt(tools, context.clock.now());
  const plan = planOf(tools, leftOut);
  const healed = await putBack(tools, context, { accounts, plan, obstacles, archive });
  // A file that resists is tried for months: copies of what was not replaced would push out the edits.
  if (healed === 0) await rm(archive, { recursive: true, force: true });
  await pruneReplaced(tools);
  const failure = failureOfAll(obstacles);
  if (failure !== undefined) {
    await reportLeftOut(tools, plan, obstacles, leftOut);
    throw failure;
  }
  if (leftOut !== undefined) await reportLive(tools, leftOut);
  return healed > 0
    ? { kind: 'done', why: `${counted(healed, 'file')} put back` }
    : { kind: 'unchanged', why: 'waits for a drop of the active' };
}

type HealPlan = Pick<FilesPlan, 'place' | 'keep' | 'remove'>;

/** All that is accepted shall be live, and what earlier drops removed shall be gone. */
function planOf({ home, allowed, neededByDatabases: keyFiles }: HealTools, leftOut: LeftOut | undefined): HealPlan {
  const older = planFiles({ files: leftOut?.files ?? [], deleted: leftOut?.removals ?? [] }, { allowed, keyFiles });
  const accepted = [...home.set.all()].map(asFile);
  const { place } = planFiles({ files: accepted, deleted: [] }, { allowed, keyFiles });
  return { ...older, place };
}

/** Of a set that an earlier version made, nothing is known of who owned its files. */
const asFile = ({ path, size, sha256, mode, owner = 'root', group = 'root' }: AcceptedEntry): ManifestFile => ({
  ...{ path, size, sha256, mode, owner, group },
});

interface Healing {
  readonly accounts: Accounts;
  readonly plan: HealPlan;
  readonly obstacles: Obstacle[];
  readonly archive: string;
}

async function putBack(
  { home }: HealTools,
  { log, fence, signal }: PassContext,
  { accounts, plan, obstacles, archive }: Healing,
): Promise<number> {
  const names = { accounts, directories: home.set.directories() };
  let healed = 0;
  await attemptEach(pathsOf(plan.remove), obstacles, async ({ path }) => {
    signal.throwIfAborted();
    await fence();
    if (await removeFile(home, path, archive)) healed += 1;
  });
  await attemptEach(plan.place, obstacles, async (file) => {
    signal.throwIfAborted();
    if (!(await differs(home, file))) return;
    await fence();
    const archived = await placeFile(home, file, names, archive);
    healed += 1;
    const kept = archived ? `. What was here is kept in ${archive}` : '';
    log.warning(`Put back, because it differed from the active's: /${file.path}${kept}`);
  });
  await attemptEach(plan.keep, obstacles, (file) => keepAside(home, file, accounts));
  return healed;
}

/** Says "failed" of what was accepted, once for each reason. */
async function reportLeftOut(
  { home, intake, leftOut: book }: HealTools,
  plan: HealPlan,
  obstacles: readonly Obstacle[],
  known: LeftOut | undefined,
): Promise<void> {
  const drop = home.set.reference();
  if (drop === undefined) return;
  const leftOut = leftOutOf(drop, plan, obstacles);
  if (leftOut.why === known?.why && drop.sequence === known?.drop.sequence) return;
  await intake.report(
    { stream, ...leftOut.drop, digest: home.set.digest() },
    { state: 'failed', why: leftOut.why ?? '' },
  );
  await book.write(leftOut);
}

/** Takes back the word "failed": all of the accepted set is live now. */
async function reportLive({ home, holds, intake, leftOut: book }: HealTools, { drop }: LeftOut): Promise<void> {
  const reference = { stream, ...drop, digest: home.set.digest() };
  if (home.set.reference()?.sequence === drop.sequence) {
    const open = (await holds.list()).find((hold) => hold.stream === stream && hold.decision === 'open');
    const live = { state: 'applied', why: 'what had been left out is live now' } as const;
    const verdict = open === undefined ? live : ({ state: 'held', why: open.sentence, holdId: open.id } as const);
    await intake.report(reference, verdict);
  }
  await book.write({ drop, files: [], removals: [] });
}
