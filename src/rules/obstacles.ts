import { Failure, isErrno, toFailure } from '../errors.ts';
import { isKeptReadOnly, writableHint } from './sandbox.ts';
import { counted } from './spoken.ts';

/** A file that could not be made as the active has it, and why. */
export interface Obstacle {
  /** Relative to `/`. */
  readonly path: string;
  readonly failure: Failure;
}

/** A full disk stays a full disk; all else waits for a person, and is tried again meanwhile. */
export function obstacleAt(path: string, error: unknown): Obstacle {
  const failure = toFailure(error);
  const why = reasons.find(({ codes }) => isErrno(error, ...codes));
  if (failure.class === 'dependency' && why === undefined) return { path, failure };
  const details = { where: `/${path}`, why: why?.sentence ?? failure.message, cause: error };
  const hint = why?.hint(`/${path}`) ?? `Look at it: ls -la ${quoted(`/${path}`)}`;
  return { path, failure: new Failure('incomplete', what(1), { ...details, hint: `${hint}. It is tried again` }) };
}

const what = (count: number): string => `${counted(count, 'file')} could not be made as on the active`;

const quoted = (path: string): string => (/^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`);

interface Reason {
  readonly codes: readonly string[];
  readonly sentence: string;
  readonly hint: (path: string) => string;
}

const reasons: readonly Reason[] = [
  {
    codes: ['EISDIR', 'ENOTEMPTY'],
    sentence: 'a directory of this master is in its place',
    hint: (path) => `Move it away: mv ${quoted(path)} ${quoted(`${path}.old`)}`,
  },
  {
    codes: ['ENOTDIR', 'EEXIST'],
    sentence: 'a file of this master stands where its directory belongs',
    hint: (path) => `Look which one, and move it away: namei -l ${quoted(path)}`,
  },
  {
    codes: ['EROFS'],
    sentence: 'the file system is mounted read-only',
    hint: (path) => `See which one: findmnt -T ${quoted(path)}${isKeptReadOnly(path) ? `. ${writableHint}` : ''}`,
  },
  {
    codes: ['EIO'],
    sentence: 'its disk does not read or write',
    hint: () => 'See why: dmesg | tail',
  },
  {
    codes: ['EPERM', 'EACCES'],
    sentence: 'not permitted; the file or its directory may be immutable',
    hint: (path) => `See with: lsattr -d ${quoted(path)} $(dirname ${quoted(path)}); undo with: chattr -i`,
  },
];

/** One failure of all: a full disk decides the class, because it is tried again sooner. */
export function failureOfAll(obstacles: readonly Obstacle[]): Failure | undefined {
  const first = (obstacles.find(({ failure }) => failure.class === 'dependency') ?? obstacles[0])?.failure;
  if (first === undefined || obstacles.length === 1) return first;
  const { class: errorClass, hint } = first;
  const details = { why: spokenObstacles(obstacles), cause: first, ...(hint === undefined ? {} : { hint }) };
  return new Failure(errorClass, errorClass === 'dependency' ? first.what : what(obstacles.length), details);
}

/** For a receipt: `/etc/a: why; /etc/b: why; and 3 more`. */
export function spokenObstacles(obstacles: readonly Obstacle[]): string {
  const named = obstacles.slice(0, 5).map(({ path, failure }) => `/${path}: ${failure.why ?? failure.what}`);
  const more = obstacles.length - named.length;
  return [...named, ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}
