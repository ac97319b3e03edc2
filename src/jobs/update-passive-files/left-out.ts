import type { AcceptedSet, SetReference } from '../../system/accepted-set.ts';
import { sameEpoch } from '../../rules/epoch.ts';
import type { FilesPlan } from '../../rules/files-plan.ts';
import type { ManifestFile } from '../../rules/manifest.ts';
import { spokenObstacles, type Obstacle } from '../../rules/obstacles.ts';
import type { State } from '../../system/state.ts';

/** What was accepted, but could not be made live: tried again at each pass and with the next drop. */
export interface LeftOut {
  /** The drop whose receipt said so. */
  readonly drop: SetReference;
  readonly files: readonly ManifestFile[];
  readonly removals: readonly string[];
  /** What the active was told. */
  readonly why?: string;
}

const name = 'files-left-out';

export interface LeftOutBook {
  /** Undefined where all is live, or where it is of an earlier active: what this master did meanwhile is not undone. */
  read(): Promise<LeftOut | undefined>;
  write(leftOut: LeftOut): Promise<void>;
}

export const createLeftOutBook = (state: State, set: AcceptedSet): LeftOutBook => ({
  read: async () => {
    const [found, now] = [await state.read<LeftOut>(name), set.reference()];
    if (found === undefined || now === undefined) return undefined;
    if (!sameEpoch(found.drop.epoch, now.epoch)) return undefined;
    const stands = ({ path, mode, sha256 }: ManifestFile): boolean => {
      const entry = set.get(path);
      return entry?.sha256 === sha256 && entry.mode === mode;
    };
    const removals = found.removals.filter((path) => set.get(path) === undefined);
    return { ...found, files: found.files.filter(stands), removals };
  },
  write: async (leftOut) => {
    if (leftOut.files.length === 0 && leftOut.removals.length === 0) return await state.remove(name);
    await state.write(name, leftOut);
  },
});

export function leftOutOf(
  drop: SetReference,
  plan: Pick<FilesPlan, 'place' | 'keep' | 'remove'>,
  obstacles: readonly Obstacle[],
): LeftOut {
  const paths = new Set(obstacles.map(({ path }) => path));
  const isOut = (path: string): boolean => paths.has(path);
  return {
    drop: { epoch: drop.epoch, sequence: drop.sequence },
    files: [...plan.place, ...plan.keep].filter(({ path }) => isOut(path)),
    removals: plan.remove.filter(isOut),
    why: `left out, and tried again: ${spokenObstacles(obstacles)}`,
  };
}
