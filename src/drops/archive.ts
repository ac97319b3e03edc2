import { join } from 'node:path';
import { parseEpoch, type Epoch } from '../rules/epoch.ts';
import { toPrune, type Archived, type RetentionLimits } from '../rules/retention.ts';
import { listDirectory, readIfThere, sweepTemporary } from '../system/files.ts';
import { bytesOf, changedAt, removeWhole } from '../system/trees.ts';

export interface DropPlace {
  readonly epoch: Epoch;
  readonly sequence: number;
}

/** `EPOCH-SEQUENCE`, as drops are named. Undefined: another name. */
export function placeOf(name: string): DropPlace | undefined {
  const match = /^([^-]+)-([1-9]\d{0,14})$/.exec(name);
  const epoch = match === null ? undefined : parseEpoch(String(match[1]));
  return epoch === undefined ? undefined : { epoch, sequence: Number(match?.[2]) };
}

/** In `ready`: anything else there is nobody's, such as what a killed gate left. */
export const isForRoot = (name: string): boolean => name === 'confirm' || placeOf(name) !== undefined;

export const byPlace = (a: DropPlace, b: DropPlace): number =>
  a.epoch.number - b.epoch.number || a.sequence - b.sequence;

/** In an archived drop: it was live. */
export const appliedMark = '.applied';

/** Named after drops, perhaps with a word behind, or after times, perhaps between words; oldest first. All else is nobody's to prune. */
function inOrder(names: readonly string[]): string[] {
  const drops = names.flatMap((name) => {
    const place = placeOf(name.replace(/-[a-z]+$/, ''));
    return place === undefined ? [] : [{ name, ...place }];
  });
  const times = names.filter((name) => /^([a-z]+[-.])*\d{4}-?\d\d-?\d\dT[\d.]+Z([.-].*)?$/.test(name));
  return [...drops.sort(byPlace).map(({ name }) => name), ...times.sort()];
}

/** The generations in a directory, oldest first. */
export async function generationsIn(
  directory: string,
  kind: string,
  isNeeded: (name: string) => boolean,
  options: { readonly measured: boolean },
): Promise<Archived[]> {
  const found: Archived[] = [];
  for (const name of inOrder(await listDirectory(directory))) {
    const path = join(directory, name);
    const at = await changedAt(path);
    if (at === undefined) continue;
    const good = (await readIfThere(join(path, appliedMark))) !== undefined;
    found.push({ kind, name, at, good, needed: isNeeded(name), bytes: options.measured ? await bytesOf(path) : 0 });
  }
  return found;
}

/**
 * Keeps the newest archives of a directory: right after one was added, whoever does it. Not one that cannot be removed fails
 * a pass: who looks after the archives says so.
 */
export async function pruneArchive(
  directory: string,
  keep: number,
  needed: () => Promise<(name: string) => boolean> = async () => () => false,
): Promise<void> {
  const limits: RetentionLimits = { count: () => keep, ageMs: Infinity, bytes: Infinity };
  try {
    const generations = await generationsIn(directory, directory, await needed(), { measured: false });
    for (const { name } of toPrune(generations, limits, 0)) await removeWhole(join(directory, name));
    await sweepTemporary(directory);
  } catch {
    // said as a WARNING by the agent, which looks again
  }
}
