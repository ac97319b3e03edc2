import type { FilesBrake } from '../../rules/brakes-files.ts';
import type { Hold } from '../../drops/holds.ts';
import { isBelow } from '../../rules/files-plan.ts';
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
  log.failure(`Held: ${sentence} Type: pe-failover release ${holdId}, or pe-failover discard ${holdId}`);
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

/** Deletions that an admin let through; a path that the active has again is not deleted. */
export async function carryOutReleased(tools: HealTools, { log, fence, clock }: PassContext): Promise<void> {
  const { holds, home, allowed } = tools;
  for (const hold of await holds.list()) {
    if (hold.stream !== stream || hold.decision === 'open') continue;
    const stand = pathsHeld(hold).filter((path) => home.set.get(path) === undefined && isBelow(path, allowed));
    if (hold.decision === 'released') {
      await fence();
      const obstacles: Obstacle[] = [];
      const archive = replacedAt(tools, clock.now());
      await attemptEach(pathsOf(stand), obstacles, ({ path }) => removeFile(home, path, archive));
      if (obstacles.length > 0) log.warning(`Not removed, remove it by hand: ${spokenObstacles(obstacles)}`);
      log.success(`Released hold ${hold.id}: ${counted(stand.length - obstacles.length, 'file')} removed`);
      await pruneReplaced(tools);
    }
    await holds.close(hold.id);
  }
}
