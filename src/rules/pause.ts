import { Failure } from '../errors.ts';
import { fieldsOf, type Refuse } from './fields.ts';

/** A job that an admin keeps from running. Times in ISO 8601, by the clock of the master that reads it. */
export interface Pause {
  readonly job: string;
  readonly at: string;
  readonly until: string;
  /** Who typed it. */
  readonly by: string;
  readonly reason: string;
}

/** `state/pause.json`, and `state/peer-pause.json` of the other master's. They end with the role of this one. */
export interface PauseState {
  readonly role: 'active' | 'passive';
  readonly pauses: readonly Pause[];
  /** Of what the other master told: when, by its clock. What comes late does not count. */
  readonly toldAt?: string;
}

/** As one master tells it to the other: each has a clock of its own. */
export interface ToldPause extends Pick<Pause, 'job' | 'by' | 'reason'> {
  readonly forMs: number;
}

/** Of a stream, as status tells it. */
export interface StreamPause extends Omit<Pause, 'job'> {
  /** The master on which it was typed. */
  readonly on: string;
}

const [minuteMs, hourMs] = [60_000, 3_600_000];
const longestMs = 7 * 24 * hourMs;
/** After so long a paused stream is silent like any other: the pause may be forgotten. */
const quietMs = 24 * hourMs;

/** What tells who is there, and carries orders and changes of keys. */
const neverPaused: ReadonlySet<string> = new Set(['greet-spare']);

/** `--for 2h`. Throws `usage`. */
export function readPauseLength(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,4})([mhd])$/.exec(text) ?? [];
  const ms = Number(digits) * ({ m: minuteMs, h: hourMs, d: 24 * hourMs }[unit] ?? NaN);
  if (ms > 0 && ms <= longestMs) return ms;
  const hint = 'Type: pe-failover pause --all --for 2h --reason "upgrade"';
  throw new Failure('usage', '--for wants a time such as "30m" or "2h", 7d at most', {
    ...(text === '' ? {} : { where: text }),
    hint,
  });
}

/** The jobs that were named, or all. Throws `usage`. */
export function jobsToPause(named: readonly string[], all: boolean, jobs: readonly string[]): readonly string[] {
  const may = jobs.filter((job) => !neverPaused.has(job));
  const hint = `Jobs that run on this master: ${may.join(', ')}; all of them: --all`;
  if (all === named.length > 0) throw new Failure('usage', 'name the jobs, or say --all', { hint });
  if (all) return may;
  const wrong = named.find((name) => !may.includes(name));
  if (wrong === undefined) return [...new Set(named)];
  throw new Failure('usage', 'there is no such job here, or it is never paused', { where: wrong, hint });
}

/**
 * Those that still count. One ends at its end; one whose clock was set back before its beginning ends then, and none lasts
 * longer than any may.
 */
export const standingPauses = (pauses: readonly Pause[], now: Date): readonly Pause[] =>
  pauses.filter(({ at, until }) => {
    const left = Date.parse(until) - now.getTime();
    return left > 0 && left <= longestMs && now.getTime() >= Date.parse(at) - minuteMs;
  });

/** Of a job the last word counts. */
export const withPauses = (known: readonly Pause[], added: readonly Pause[]): readonly Pause[] => [
  ...known.filter(({ job }) => !added.some((one) => one.job === job)),
  ...added,
];

/** `prefix`: as the stream is named, up to a dot. */
const streamOf: Readonly<Record<string, string>> = {
  'update-passive-ca': 'sync-certs',
  'update-passive-files': 'sync-files',
  'restore-nc': 'nc-dump',
  'restore-dbs': 'db-dump',
};

/** The pause of the job that feeds a stream, or of the one that takes it in. */
export const pauseOfStream = (pauses: readonly Pause[], stream: string): Pause | undefined =>
  pauses.find(({ job }) => (streamOf[job] ?? job) === stream.replace(/\..*$/, ''));

/** Whether nothing is to be expected of a paused stream. */
export const isExcused = (pause: Pick<Pause, 'at'> | undefined, now: Date): boolean =>
  pause !== undefined && now.getTime() - Date.parse(pause.at) < quietMs;

/** "paused until ... by alice: PE upgrade". */
export const spokenPause = ({ until, by, reason }: Omit<Pause, 'job' | 'at'>): string =>
  `paused until ${until} by ${by}: ${reason}`;

/** Of all that is paused here, by the one that ends last; undefined: nothing is. */
export function spokenPauses(pauses: readonly Pause[]): string | undefined {
  const last = [...pauses].sort((a, b) => a.until.localeCompare(b.until)).at(-1);
  if (last === undefined) return undefined;
  const jobs = pauses.map(({ job }) => job).join(', ');
  return `${spokenPause(last)} (${jobs})`;
}

export const toldPauses = (pauses: readonly Pause[], now: Date): ToldPause[] =>
  pauses.map(({ job, until, by, reason }) => ({ job, by, reason, forMs: Date.parse(until) - now.getTime() }));

/** What the other master told. Throws `bad-data`. */
export function parseToldPauses(
  value: unknown,
  now: Date,
): { readonly pauses: readonly Pause[]; readonly toldAt: string } {
  const refuse: Refuse = (where, why) => new Failure('bad-data', 'order refused', { where, why });
  const told = fieldsOf(value, 'pause', refuse);
  const pauses = told.list('pauses', 50).map((one, n) => {
    const field = fieldsOf(one, `pauses.${n}`, refuse);
    const forMs = Math.min(field.count('forMs', 1), longestMs);
    return {
      job: field.matching('job', (name) => /^[a-z-]{1,40}$/.test(name)),
      ...{ at: now.toISOString(), until: new Date(now.getTime() + forMs).toISOString() },
      ...{ by: field.text('by', 200), reason: field.text('reason', 500) },
    };
  });
  return { pauses, toldAt: told.text('at', 40) };
}
