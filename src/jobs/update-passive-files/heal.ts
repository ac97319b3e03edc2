import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Holds } from '../../drops/holds.ts';
import type { Intake } from '../../drops/intake.ts';
import { isBelow, planFiles } from '../../rules/files-plan.ts';
import type { ManifestFile } from '../../rules/manifest.ts';
import { failureOfAll, type Obstacle } from '../../rules/obstacles.ts';
import { counted } from '../../rules/spoken.ts';
import type { Accounts } from '../../system/accounts.ts';
import { listDirectory } from '../../system/files.ts';
import type { Outcome, PassContext } from '../job.ts';
import { pathsOf } from './apply.ts';
import type { LeftOut, LeftOutBook } from './left-out.ts';
import { attemptEach, differs, keepAside, placeFile, removeFile, type FilesHome } from './place.ts';

export interface HealTools {
  readonly home: FilesHome;
  /** Absolute paths that this master's own configuration lets the active write. */
  readonly allowed: readonly string[];
  /** Absolute paths that go live inside the switch of a database. */
  readonly neededByDatabases: readonly string[];
  readonly intake: Omit<Intake, 'reopen'>;
  readonly holds: Holds;
  readonly leftOut: LeftOutBook;
  /** What was replaced without a drop: edits of this master, by the time they were put back. */
  readonly replaced: string;
  readonly keptArchives: number;
}

/** The directory that keeps what one pass puts back. */
export const replacedAt = ({ replaced }: Pick<HealTools, 'replaced'>, at: Date): string =>
  join(replaced, at.toISOString().replaceAll(':', ''));

export async function pruneReplaced({ replaced, keptArchives }: HealTools): Promise<void> {
  // Names are times, so they sort by age.
  const names = (await listDirectory(replaced)).filter((name) => /^\d{4}-.*Z$/.test(name));
  for (const name of names.slice(0, Math.max(0, names.length - keptArchives)))
    await rm(join(replaced, name), { recursive: true, force: true });
}

/** What somebody changed here by hand is put back; files that only this master has are left alone. */
export async function heal(tools: HealTools, context: PassContext, accounts: Accounts): Promise<Outcome> {
  const leftOut = await tools.leftOut.read();
  const obstacles: Obstacle[] = [];
  const archive = replacedAt(tools, context.clock.now());
  const healed = await putBack(tools, context, { accounts, leftOut, obstacles, archive });
  // A file that resists is tried for months: copies of what was not replaced would push out the edits.
  if (healed === 0) await rm(archive, { recursive: true, force: true });
  await pruneReplaced(tools);
  const failure = failureOfAll(obstacles);
  if (failure !== undefined) throw failure;
  if (leftOut !== undefined) await reportLive(tools, leftOut);
  return healed > 0
    ? { kind: 'done', why: `${counted(healed, 'file')} put back` }
    : { kind: 'unchanged', why: 'waits for a drop of the active' };
}

interface Healing {
  readonly accounts: Accounts;
  readonly leftOut: LeftOut | undefined;
  readonly obstacles: Obstacle[];
  readonly archive: string;
}

async function putBack(
  tools: HealTools,
  { log, fence, signal }: PassContext,
  { accounts, leftOut, obstacles, archive }: Healing,
): Promise<number> {
  const { home, allowed, neededByDatabases: keyFiles } = tools;
  const names = { accounts, directories: leftOut?.directories ?? [] };
  const older = planFiles({ files: leftOut?.files ?? [], deleted: leftOut?.removals ?? [] }, { allowed, keyFiles });
  let healed = 0;
  await attemptEach(pathsOf(older.remove), obstacles, async ({ path }) => {
    signal.throwIfAborted();
    await fence();
    if (await removeFile(home, path, archive)) healed += 1;
  });
  await attemptEach(await wanted(tools, older.place), obstacles, async (file) => {
    signal.throwIfAborted();
    if (!(await differs(home, file))) return;
    await fence();
    const archived = await placeFile(home, file, names, archive);
    healed += 1;
    const kept = archived ? `. What was here is kept in ${archive}` : '';
    log.warning(`Put back, because it differed from the active's: /${file.path}${kept}`);
  });
  await attemptEach(older.keep, obstacles, (file) => keepAside(home, file, names));
  return healed;
}

/** All that is accepted, with owner and group where a drop that could not be made live named them. */
async function wanted(
  { home, allowed, neededByDatabases }: HealTools,
  older: readonly ManifestFile[],
): Promise<ManifestFile[]> {
  const files: ManifestFile[] = [];
  for (const entry of home.set.all()) {
    const mine = isBelow(entry.path, allowed) && !neededByDatabases.includes(`/${entry.path}`);
    if (!mine || !(await home.store.has(entry.sha256))) continue;
    files.push(older.find(({ path }) => path === entry.path) ?? { ...entry, owner: 'root', group: 'root' });
  }
  return files;
}

/** Takes back the word "failed": all of the accepted set is live now. */
async function reportLive({ home, holds, intake, leftOut: book }: HealTools, { drop }: LeftOut): Promise<void> {
  const reference = { stream: 'sync-files', ...drop, digest: home.set.digest() };
  if (home.set.reference()?.sequence === drop.sequence) {
    const open = (await holds.list()).find(
      ({ stream, decision }) => stream === reference.stream && decision === 'open',
    );
    const live = { state: 'applied', why: 'what had been left out is live now' } as const;
    const verdict = open === undefined ? live : ({ state: 'held', why: open.sentence, holdId: open.id } as const);
    await intake.report(reference, verdict);
  }
  await book.write({ drop, files: [], removals: [], directories: [] });
}
