import { readFileSync, statfsSync, statSync } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { diskIsFull, diskTroubles, Failure, nothingLost, type DiskTrouble } from '../errors.ts';
import { whyNoRoom, type FileSystem } from '../rules/space.ts';
import { beginAnewHint, isKeptReadOnly, isReadOnlyIn, writableHint } from '../rules/sandbox.ts';

/**
 * A failure for a full or read-only disk, which names the file system and not one of many files in it: so it is one cause,
 * said once, though each tool has its own words for it. `used` are directories that may lie on it, asked where the error does
 * not tell. Any other failure is given back as it is.
 */
export function namingDisk(failure: Failure, used: readonly string[]): Failure {
  const trouble = diskTroubles.find(({ what }) => what === failure.what);
  if (trouble === undefined || failure.where !== undefined) return failure;
  const path = pathIn(failure) ?? fullest(used);
  if (path === undefined) return failure;
  const where = mountPointOf(path);
  return new Failure(failure.class, failure.what, { where, hint: hintAt(trouble, path, where), cause: failure.cause });
}

function hintAt(trouble: DiskTrouble, path: string, mount: string): string {
  if (!trouble.codes.includes('EROFS')) return hintFor(trouble, mount);
  if (isKeptReadOnly(path)) return `${writableHint}. ${nothingLost}`;
  return isWritableOutside(mount) ? `${beginAnewHint}. ${nothingLost}` : hintFor(trouble, mount);
}

/** A sandbox has its own view of what is mounted: one that was made while a file system was read-only keeps it so. */
export function isWritableOutside(mount: string): boolean {
  const [inside, outside] = ['self', '1'].map((who) => asked(() => readFileSync(`/proc/${who}/mountinfo`, 'utf8')));
  return isReadOnlyIn(inside, mount) === true && isReadOnlyIn(outside, mount) === false;
}

const hintFor = ({ hint }: DiskTrouble, where: string): string => `${hint(` ${where}`)}. ${nothingLost}`;

/** What to type where that file system is full. */
const roomHint = (mount: string): string => hintFor(diskIsFull, mount);

/** What PostgreSQL or a tool of it says of its full disk, with the name of the file system where its data lie here. */
export function fullOfPostgres(directory: string | undefined, where: string, why: string, cause: unknown): Failure {
  const file = /"([^"]+)"[^"]*No space left/.exec(why)?.[1] ?? '';
  const mount = directory === undefined ? undefined : mountPointOf(resolve(directory, file));
  const hint = mount === undefined ? 'Free some space there; see where it lies: SHOW data_directory' : roomHint(mount);
  return new Failure('dependency', `the disk of PostgreSQL is full${mount === undefined ? '' : `, ${mount}`}`, {
    where,
    why: 'No space left on device',
    hint,
    cause,
  });
}

function pathIn(failure: Failure): string | undefined {
  for (let error: unknown = failure; error instanceof Error; error = error.cause) {
    if ('dest' in error && typeof error.dest === 'string') return error.dest;
    if ('path' in error && typeof error.path === 'string') return error.path;
  }
  return undefined;
}

function fullest(used: readonly string[]): string | undefined {
  const rooms = used.flatMap((path) => {
    const found = asked(() => statfsSync(path));
    return found === undefined ? [] : [{ path, free: Math.min(found.bavail * found.bsize, found.ffree) }];
  });
  return rooms.sort((one, other) => one.free - other.free)[0]?.path;
}

/** Where the file system is mounted that this path lies on, or would. */
export function mountPointOf(path: string): string {
  const device = (directory: string): number | undefined => asked(() => statSync(directory))?.dev;
  let at = path;
  while (at !== '/' && device(at) === undefined) at = dirname(at);
  while (at !== '/' && device(dirname(at)) === device(at)) at = dirname(at);
  return at;
}

function asked<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}

/** The file system that a path lies on, or would; undefined where it does not tell. It may never answer: a share that is gone. */
export async function fileSystemOf(path: string): Promise<FileSystem | undefined> {
  let at = resolve(path);
  while (at !== '/' && (await deviceOf(at)) === undefined) at = dirname(at);
  const found = await statfs(at).catch(() => undefined);
  if (found === undefined) return undefined;
  while (at !== '/' && (await deviceOf(dirname(at))) === (await deviceOf(at))) at = dirname(at);
  const { bsize, blocks, bavail, files, ffree } = found;
  return { mount: at, bytes: blocks * bsize, free: bavail * bsize, files, freeFiles: ffree };
}

const deviceOf = async (path: string): Promise<number | undefined> => (await stat(path).catch(() => undefined))?.dev;

export interface Demand {
  /** For whom: a database, a stream, the CA. */
  readonly what: string;
  readonly bytes: number;
  /** What must stay free beside it. */
  readonly reserve: number;
}

/** Throws `dependency` where so much has no room on the file system of a path. What is not known is not refused. */
export async function demandSpace(path: string, { what, bytes, reserve }: Demand): Promise<void> {
  const found = await fileSystemOf(path);
  const why = found === undefined ? undefined : whyNoRoom(found.free, bytes, reserve);
  if (found === undefined || why === undefined) return;
  const hint = `${diskIsFull.hint(` ${found.mount}`)}. ${nothingLost}`;
  throw new Failure('dependency', `too little space for ${what}`, { where: found.mount, why, hint });
}
