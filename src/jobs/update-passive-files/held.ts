import type { BrakeLimits } from '../../rules/brake-limits.ts';
import { filesBrake, type FilesBrake } from '../../rules/brakes-files.ts';
import type { Hold } from '../../drops/holds.ts';
import { letThrough } from '../../rules/hold-words.ts';
import { sameEpoch } from '../../rules/epoch.ts';
import { isBelow } from '../../rules/files-plan.ts';
import { newcomersLeft, withRemoved, type NewsBook } from '../../rules/files-news.ts';
import type { Manifest } from '../../rules/manifest.ts';
import { spokenObstacles, type Obstacle } from '../../rules/obstacles.ts';
import { counted } from '../../rules/spoken.ts';
import type { JobLog } from '../../system/log.ts';
import type { PassContext } from '../job.ts';
import { pathsOf } from './apply.ts';
import { pruneReplaced, replacedAt, stream, type HealTools } from './heal.ts';
import { attemptEach, removeFile } from './place.ts';

/** Removals that are not done until an admin says so. */
export interface HeldRemovals extends FilesBrake {
  readonly paths: readonly string[];
}

/** Returns the hold's id. */
export async function raise(
  { holds }: Pick<HealTools, 'holds'>,
  log: JobLog,
  manifest: Manifest,
  { rule, sentence, paths }: HeldRemovals,
): Promise<string> {
  const difference = paths.map((path) => `- /${path}`);
  const holdId = await holds.raise({ rule, stream, sentence, difference, drop: manifest });
  log.failure(`Held: ${sentence} ${letThrough(holdId)}`);
  return holdId;
}

/** What the active has again is not held any more. */
export async function closeMended({ holds, home }: Pick<HealTools, 'holds' | 'home'>): Promise<void> {
  for (const hold of await holds.list())
    if (hold.stream === stream && pathsHeld(hold).every((path) => home.set.get(path) !== undefined))
      await holds.close(hold.id);
}

const pathsHeld = ({ difference }: Pick<Hold, 'difference'>): string[] =>
  difference.map((line) => line.replace(/^- \//, ''));

/** What is still missing on the active, of what is placed here. */
const standing = ({ home, allowed }: HealTools, hold: Hold): string[] =>
  pathsHeld(hold).filter((path) => home.set.get(path) === undefined && isBelow(path, allowed));

/** Deletions that an admin let through; a path that the active has again is not deleted. */
export async function carryOutReleased(tools: HealTools, context: PassContext): Promise<void> {
  for (const hold of await tools.holds.list()) {
    if (hold.stream !== stream || hold.decision === 'open') continue;
    if (hold.decision === 'released') await removeHeld(tools, context, hold, `Released hold ${hold.id}`);
    await tools.holds.close(hold.id);
  }
}

/** An upgrade may remove first and bring the new files a moment later: these take the place of those that are held. */
export async function liftReplaced(
  tools: HealTools & { readonly limits?: BrakeLimits },
  context: PassContext,
  news: NewsBook,
): Promise<void> {
  const ours = (await tools.holds.list()).filter((hold) => hold.stream === stream && hold.decision === 'open');
  let book = news;
  for (const hold of ours) {
    const { length: removed } = standing(tools, hold);
    const added = sameEpoch(hold.drop.epoch, book.epoch) ? newcomersLeft(book, hold.drop.sequence) : 0;
    if (removed === 0 || added === 0) continue;
    const before = tools.home.set.count() + removed - added;
    if (filesBrake({ before, removed, added }, tools.limits) !== undefined) continue;
    book = withRemoved(book, removed); // before they go: no others may go in place of the same newcomers
    await tools.news.write(book);
    const what = `Hold ${hold.id} is lifted, other files took the place of those that vanished`;
    await removeHeld(tools, context, hold, what);
    await tools.holds.close(hold.id);
  }
}

async function removeHeld(
  tools: HealTools,
  { log, fence, clock }: PassContext,
  hold: Hold,
  what: string,
): Promise<void> {
  const paths = standing(tools, hold);
  await fence();
  const obstacles: Obstacle[] = [];
  const archive = replacedAt(tools, clock.now());
  await attemptEach(pathsOf(paths), obstacles, ({ path }) => removeFile(tools.home, path, archive));
  if (obstacles.length > 0) log.warning(`Not removed, remove it by hand: ${spokenObstacles(obstacles)}`);
  log.success(`${what}: ${counted(paths.length - obstacles.length, 'file')} removed`);
  await pruneReplaced(tools);
}
