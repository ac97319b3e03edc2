/** A database that is loaded, differs from the live one, and is not live. */
export interface Waiting {
  /** ISO 8601, of the first drop in a row that did not go live. */
  readonly since: string;
  readonly why: string;
  /** The sentence for log and status, once it waits too long. */
  readonly overdue?: string;
}

/** What a pass did about it. `over`: nothing waits, or only what waits by design. */
export type Attempt =
  | { readonly kind: 'put off'; readonly why: string }
  | { readonly kind: 'not tried' }
  /** A sentence where that is good news. */
  | { readonly kind: 'over'; readonly why?: string };

export interface WaitingRule {
  readonly database: string;
  readonly limitMs: number;
  /** When a switch is tried. */
  readonly cron: string;
}

/** What is remembered after a pass. A newer drop in the place of one that waits does not begin the wait anew. */
export function waitingAfter(
  before: Waiting | undefined,
  attempt: Attempt,
  now: Date,
  { database, limitMs, cron }: WaitingRule,
): Waiting | undefined {
  if (attempt.kind === 'over') return undefined;
  const since = before?.since ?? now.toISOString();
  const why =
    attempt.kind === 'put off' ? attempt.why : (before?.why ?? `its minute, cron "${cron}", has not come since then`);
  if (now.getTime() - Date.parse(since) < limitMs) return { since, why };
  const overdue = `Database ${database} is loaded and checked, and waits since ${since} to go live: ${why}`;
  return { since, why, overdue: `${overdue.replace(/\.$/, '')}. To try it now, type: pe-failover run restore-dbs` };
}

export interface Staged {
  readonly switch: 'schedule' | 'promotion';
  /** It differs in what changes by use alone. */
  readonly byUse: boolean;
  readonly waiting: Waiting | undefined;
  /** The next minute of its cron. */
  readonly next: Date | undefined;
}

/** When what is loaded beside a database goes live, behind "it ". */
export function whenLive({ switch: how, byUse, waiting, next }: Staged): string {
  if (how === 'promotion') return 'goes live at a promotion';
  if (byUse) return 'differs in what changes by use, and goes live with the next change or at a promotion';
  const minute = next === undefined ? 'its minute' : `${next.toISOString().slice(11, 16)} UTC`;
  const putOff =
    waiting === undefined || waiting.why.startsWith('its minute') ? '' : `; put off before: ${waiting.why}`;
  return `goes live at ${minute}${putOff}`;
}
