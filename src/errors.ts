/** What happens next decides the class of an error; its exit code follows (sysexits.h where one fits). */
export type ErrorClass =
  | 'usage'
  | 'bad-data'
  | 'unreachable'
  | 'bug'
  | 'dependency'
  | 'refused'
  | 'latched'
  | 'config'
  | 'incomplete'
  | 'interrupted';

export const exitCodes: Readonly<Record<ErrorClass, number>> = {
  usage: 64,
  'bad-data': 65,
  unreachable: 69,
  bug: 70,
  dependency: 74,
  refused: 75,
  latched: 77,
  config: 78,
  incomplete: 79,
  interrupted: 130,
};

export interface FailureDetails {
  /** What was being done or touched: a path, a host, a job. */
  readonly where?: string;
  /** The cause in words, as far as it is known. */
  readonly why?: string;
  /** What an admin can type or write to get on. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** The one error of the program: `what` failed, where, why, and what to type. Nothing secret may be put into it. */
export class Failure extends Error {
  readonly class: ErrorClass;
  readonly what: string;
  readonly where: string | undefined;
  readonly why: string | undefined;
  readonly hint: string | undefined;

  constructor(errorClass: ErrorClass, what: string, details: FailureDetails = {}) {
    const { where, why, hint, cause } = details;
    const place = where === undefined ? '' : ` (${where})`;
    const reason = why === undefined ? '' : `: ${why.replace(/\.$/, '')}`;
    super(`${what}${place}${reason}${hint === undefined ? '' : `. ${hint}`}`, cause === undefined ? {} : { cause });
    this.name = 'Failure';
    this.class = errorClass;
    this.what = what;
    this.where = where;
    this.why = why;
    this.hint = hint;
  }

  get exitCode(): number {
    return exitCodes[this.class];
  }
}

/** Anything thrown, as a Failure: what nobody classified is our own bug. */
export function toFailure(thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown;
  if (thrown instanceof Error && thrown.name === 'AbortError') {
    return new Failure('interrupted', 'interrupted', { cause: thrown });
  }
  if (thrown instanceof Error && thrown.name === 'TimeoutError') {
    return new Failure('unreachable', 'no answer in time', { cause: thrown });
  }
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  const trouble = diskTroubles.find(({ codes, sqlite }) => isErrno(thrown, ...codes) || isSqlite(thrown, sqlite));
  if (trouble !== undefined) {
    const { what, hint } = trouble;
    return new Failure('dependency', what, { why, hint: `${hint('')}. ${nothingLost}`, cause: thrown });
  }
  return new Failure('bug', 'unexpected error', { why, cause: thrown });
}

export interface DiskTrouble {
  readonly what: string;
  readonly codes: readonly string[];
  /** SQLite's primary result code of the same. */
  readonly sqlite: number;
  /** What to type; ` /mount/point` where it is known. */
  readonly hint: (where: string) => string;
}

export const nothingLost = 'Nothing is lost, it is tried again';

export const diskIsFull: DiskTrouble = {
  what: 'disk is full',
  codes: ['ENOSPC', 'EDQUOT'],
  sqlite: 13,
  hint: (where) => `Free some space there; see what is missing: df -h${where}; df -i${where}`,
};

/** What a file system may refuse whoever writes. */
export const diskTroubles: readonly DiskTrouble[] = [
  diskIsFull,
  {
    what: 'file system is read-only',
    codes: ['EROFS'],
    sqlite: 8,
    hint: (where) => `See why: dmesg | tail. When it is mended, type: mount -o remount,rw${where}`,
  },
  {
    what: 'disk does not read or write',
    codes: ['EIO'],
    sqlite: 10,
    hint: () => 'See why: dmesg | tail',
  },
];

const isSqlite = (thrown: unknown, code: number): boolean =>
  isErrno(thrown, 'ERR_SQLITE_ERROR') && 'errcode' in thrown && (Number(thrown.errcode) & 0xff) === code;

/** True for a Node.js system error of that code, such as `isErrno(error, 'ENOENT')`. */
export function isErrno(error: unknown, ...codes: readonly string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
