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
  if (isDiskFull(thrown)) {
    const hint = 'Free some space there; df -h shows how much is missing. Nothing is lost, it is tried again';
    return new Failure('dependency', 'disk is full', { why, hint, cause: thrown });
  }
  return new Failure('bug', 'unexpected error', { why, cause: thrown });
}

const sqliteFull = 13;
const isDiskFull = (thrown: unknown): boolean =>
  isErrno(thrown, 'ENOSPC', 'EDQUOT') ||
  (isErrno(thrown, 'ERR_SQLITE_ERROR') && 'errcode' in thrown && thrown.errcode === sqliteFull);

/** True for a Node.js system error of that code, such as `isErrno(error, 'ENOENT')`. */
export function isErrno(error: unknown, ...codes: readonly string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
