/** One generation in an archive. */
export interface Archived {
  /** What it is one of: generations of one kind follow each other. */
  readonly kind: string;
  readonly name: string;
  readonly bytes: number;
  /** When it came there, by the clock of then; milliseconds since the epoch. */
  readonly at: number;
  /** It was live: the newest such of a kind always stays. */
  readonly good: boolean;
  /** Somebody still counts on it: a hold, a journal, a drop that waits. */
  readonly needed: boolean;
}

export interface RetentionLimits {
  /** How many generations of a kind stay. */
  readonly count: (kind: string) => number;
  /** Infinity: nothing is judged by its age. */
  readonly ageMs: number;
  /** Of all kinds together. */
  readonly bytes: number;
}

/**
 * What goes: of each kind what is too many, what is too old, and of all together the oldest until the rest is small enough.
 * INVARIANT: what is needed stays, and so does the newest good one of each kind, or the newest, where none is known to be good.
 * `archived` has the generations of a kind in their own order, oldest first: clocks may have lied.
 */
export function toPrune(
  archived: readonly Archived[],
  { count, ageMs, bytes }: RetentionLimits,
  now: number,
): readonly Archived[] {
  const gone = new Set<Archived>();
  for (const [kind, generations] of kindsOf(archived)) {
    const last = newestGood(generations);
    const excess = generations.length - count(kind);
    generations.forEach((one, place) => {
      const isOut = place < excess || now - one.at > ageMs;
      if (isOut && one !== last && !one.needed) gone.add(one);
    });
  }
  for (const one of tooLarge(
    archived.filter((left) => !gone.has(left)),
    bytes,
    now,
  ))
    gone.add(one);
  return archived.filter((one) => gone.has(one));
}

function tooLarge(archived: readonly Archived[], bytes: number, now: number): readonly Archived[] {
  let total = archived.reduce((sum, one) => sum + one.bytes, 0);
  const queues = [...kindsOf(archived).values()].map((generations) => {
    const last = newestGood(generations);
    return generations.filter((one) => one !== last && !one.needed);
  });
  const gone: Archived[] = [];
  while (total > bytes) {
    const queue = queues.reduce<Archived[]>((oldest, other) => (comesFirst(other, oldest, now) ? other : oldest), []);
    const one = queue.shift();
    if (one === undefined) break;
    gone.push(one);
    total -= one.bytes;
  }
  return gone;
}

// A time that is still to come tells nothing.
const comesFirst = ([one]: readonly Archived[], [other]: readonly Archived[], now: number): boolean =>
  one !== undefined && (other === undefined || Math.min(one.at, now) < Math.min(other.at, now));

const newestGood = (generations: readonly Archived[]): Archived | undefined =>
  generations.findLast(({ good }) => good) ?? generations.at(-1);

const kindsOf = (archived: readonly Archived[]): Map<string, Archived[]> => Map.groupBy(archived, ({ kind }) => kind);

/** What is remembered of this clock from one look to the next; milliseconds since the epoch. */
export interface ClockWatch {
  readonly at: number;
  /** Since when it was not seen to jump. */
  readonly since: number;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;

/** A day between two looks is no jump: the machine may have been off. */
export function watchClock(before: ClockWatch | undefined, now: number): ClockWatch {
  const passed = before === undefined ? Infinity : now - before.at;
  const isSteady = passed >= -minuteMs && passed <= dayMs;
  return { at: now, since: before !== undefined && isSteady ? before.since : now };
}

/** A clock that was set by a year makes all that is kept old at once: it has a day to be mended. */
export const mayJudgeAge = ({ at, since }: ClockWatch): boolean => at - since >= dayMs;

/** Every drop that is named anywhere in a value, such as a hold or a record: `STREAM EPOCHNUMBER.ID-SEQUENCE`, without a stream `* ...`. */
export function dropsNamedIn(value: unknown, found = new Set<string>()): Set<string> {
  if (typeof value !== 'object' || value === null) return found;
  const { stream, epoch, sequence } = value as Record<string, unknown>;
  if (typeof epoch === 'object' && epoch !== null && typeof sequence === 'number') {
    const { number, id } = epoch as Record<string, unknown>;
    found.add(`${typeof stream === 'string' ? stream : '*'} ${String(number)}.${String(id)}-${sequence}`);
  }
  for (const inner of Object.values(value)) dropsNamedIn(inner, found);
  return found;
}
