import { basename, dirname, join } from 'node:path';
import { toFailure } from '../errors.ts';
import type { Paths } from '../rules/paths.ts';
import { failed, type Trouble } from '../rules/repeats.ts';
import {
  tellSpace,
  whyNearlyFull,
  type FileSystem,
  type NearlyFull,
  type SpaceLimits,
  type SpaceTroubles,
} from '../rules/space.ts';
import { spokenDuration } from '../rules/spoken.ts';
import type { Clock } from '../system/clock.ts';
import { fileSystemOf, namingDisk } from '../system/file-systems.ts';
import { listDirectory } from '../system/files.ts';
import type { JobLog } from '../system/log.ts';
import { bytesOf } from '../system/trees.ts';

export interface HousekeepingParts {
  readonly paths: Paths;
  readonly clock: Clock;
  readonly log: JobLog;
  /** What of ours is old, too much or too large goes, and what the next dump wants room of. Gives what went. */
  readonly prune: () => Promise<readonly string[]>;
  /** False: this master is not in order, and nothing is removed. */
  readonly mayPrune: () => boolean;
  readonly limits: Pick<SpaceLimits, 'share' | 'enough'>;
  /** What the next dump wants free where our own data lie. */
  readonly wanted: () => Promise<number>;
  /** What is written besides our own directories: the CA, the databases; as far as it can be known now. */
  readonly elsewhere: () => Promise<Elsewhere>;
}

export interface Elsewhere {
  readonly cadir?: string | undefined;
  /** Of PostgreSQL. */
  readonly databases?: string | undefined;
}

/** What an agent does beside its jobs, in any role. Nothing here fails or delays a pass. */
export interface Housekeeping {
  /** Lives until the signal fires. */
  run(signal: AbortSignal): Promise<void>;
  nearlyFull(): readonly NearlyFull[];
}

const lookMs = 60_000;
const pruneMs = 3_600_000;

interface Memory {
  full: readonly NearlyFull[];
  troubles: SpaceTroubles;
  wanted: number;
  elsewhere: Elsewhere;
  /** The last pruning found something: where room is short, the next one may find more. */
  helps: boolean;
  /** Of pruning. */
  trouble: Trouble | undefined;
}

export function createHousekeeping(parts: HousekeepingParts): Housekeeping {
  const memory: Memory = { full: [], troubles: new Map(), wanted: 0, elsewhere: {}, helps: true, trouble: undefined };
  const { clock } = parts;
  return {
    nearlyFull: () => memory.full,
    run: async (signal) => {
      const ended = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      let pruneAt = -Infinity;
      while (!signal.aborted) {
        const isDue = clock.monotonic() >= pruneAt && parts.mayPrune();
        if (isDue) pruneAt = clock.monotonic() + pruneMs;
        // A file system that never answers holds up this loop, and not the end of the agent.
        await Promise.race([once(parts, memory, isDue), ended]);
        await clock.sleep(lookMs, signal).catch(() => undefined);
      }
    },
  };
}

async function once(parts: HousekeepingParts, memory: Memory, isDue: boolean): Promise<void> {
  memory.wanted = await parts.wanted().catch(() => memory.wanted);
  const isShort = ((await fileSystemOf(parts.paths.archive))?.free ?? Infinity) < memory.wanted;
  if (isDue || (isShort && memory.helps && parts.mayPrune())) memory.helps = await prune(parts, memory);
  if (isDue) {
    memory.elsewhere = await parts.elsewhere().catch(() => memory.elsewhere);
  }
  await look(parts, memory).catch(() => undefined); // the next one may be told
}

async function prune({ prune: act, clock, log, paths }: HousekeepingParts, memory: Memory): Promise<boolean> {
  try {
    const gone = await act();
    if (memory.trouble !== undefined)
      log.success(`Archives are pruned again after ${spokenDuration(clock.monotonic() - memory.trouble.since)}`);
    memory.trouble = undefined;
    return gone.length > 0;
  } catch (error) {
    const failure = namingDisk(toFailure(error), [paths.archive]);
    const { trouble, say } = failed(memory.trouble, { class: failure.class, cause: failure.what }, clock.monotonic());
    memory.trouble = trouble;
    if (say !== undefined) log.warning(`Archives could not be pruned: ${failure.message}${say}. It is tried each hour`);
    return false;
  }
}

async function look(parts: HousekeepingParts, memory: Memory): Promise<void> {
  const { paths, limits } = parts;
  const { cadir, databases } = memory.elsewhere;
  const used = [...ownDirectories(paths), cadir, databases].filter((path) => path !== undefined);
  const seen = new Map<string, FileSystem>();
  const mountOf = new Map<string, string>();
  for (const path of used) {
    const found = await fileSystemOf(path);
    if (found === undefined) continue;
    mountOf.set(path, found.mount);
    seen.set(found.mount, found);
  }
  const ofDumps = new Set([paths.work, paths.outbox, paths.inbox, paths.taken].map((path) => mountOf.get(path)));
  const wanted = (mount: string): number => (ofDumps.has(mount) ? memory.wanted : 0);
  const full: NearlyFull[] = [];
  for (const one of seen.values()) {
    const why = whyNearlyFull(one, { ...limits, wanted }, memory.troubles.has(one.mount));
    if (why !== undefined) full.push({ mount: one.mount, why, largest: await largest(parts, memory, one.mount) });
  }
  const { troubles, lines } = tellSpace(memory.troubles, [...seen.values()], full, parts.clock.monotonic());
  memory.troubles = troubles;
  memory.full = full;
  for (const { status, text } of lines) (status === 'WARNING' ? parts.log.warning : parts.log.success)(text);
}

const ownDirectories = (paths: Paths): string[] => [
  ...[paths.state, paths.journal, paths.archive, paths.outbox, paths.inbox, paths.taken, paths.store, paths.work],
  ...[paths.keyFiles, dirname(paths.events)],
];

/** Measured once for each trouble: it may be a million files. */
async function largest(parts: HousekeepingParts, memory: Memory, mount: string): Promise<NearlyFull['largest']> {
  if (memory.troubles.has(mount)) return memory.full.find((one) => one.mount === mount)?.largest;
  let found: NearlyFull['largest'];
  for (const path of await candidates(parts.paths, memory.elsewhere)) {
    if ((await fileSystemOf(path))?.mount !== mount) continue;
    const bytes = await bytesOf(path);
    if (bytes > (found?.bytes ?? 0)) found = { path, bytes };
  }
  return found;
}

async function candidates(paths: Paths, { cadir }: Elsewhere): Promise<string[]> {
  const found = [paths.state, paths.work, paths.keyFiles, paths.events, `${paths.events}.1`];
  for (const directory of [paths.archive, paths.outbox, paths.inbox, paths.taken, paths.store])
    found.push(...(await listDirectory(directory)).map((name) => join(directory, name)));
  if (cadir === undefined) return found;
  const replaced = (await listDirectory(dirname(cadir))).filter((name) =>
    name.startsWith(`${basename(cadir)}.replaced-`),
  );
  return [...found, ...replaced.map((name) => join(dirname(cadir), name))];
}
