import { Failure } from '../errors.ts';

/** An announcement on the active: so many certificates will go, and that is meant. */
export interface ExpectedDeletions {
  /** How many more. */
  readonly count: number;
  /** ISO 8601. */
  readonly until: string;
}

const hourMs = 3_600_000;
const longestMs = 24 * hourMs;

/** What still stands of it. One that ends later than any may is of a clock that was set back since. */
export function standingExpectation(
  announced: ExpectedDeletions | undefined,
  now: Date,
): ExpectedDeletions | undefined {
  if (announced === undefined || announced.count <= 0) return undefined;
  const left = Date.parse(announced.until) - now.getTime();
  return left > 0 && left <= longestMs ? announced : undefined;
}

/** As the detail of a drop says it; an older program says nothing, and nothing else counts. */
export function expectedOf({ expectedDeletions: count }: Readonly<Record<string, unknown>>): number {
  return typeof count === 'number' && Number.isSafeInteger(count) && count > 0 ? count : 0;
}

/** What an admin typed: `--expect-deletions COUNT --for TIME`. Throws `usage`. */
export function readExpectation(count: string, lasting: string | undefined, now: Date): ExpectedDeletions {
  const hint = 'Type: pe-failover run sync-certs --expect-deletions 500 --for 1h';
  if (!/^\d{1,6}$/.test(count))
    throw new Failure('usage', '--expect-deletions wants a number of certificates', { where: count, hint });
  const [, digits, unit] = /^(\d{1,4})([mh])$/.exec(lasting ?? '1h') ?? [];
  const ms = Number(digits) * (unit === 'h' ? hourMs : 60_000);
  if (!(ms > 0 && ms <= longestMs))
    throw new Failure('usage', '--for wants a time such as "30m" or "1h", 24h at most', { where: lasting ?? '', hint });
  return { count: Number(count), until: new Date(now.getTime() + ms).toISOString() };
}
