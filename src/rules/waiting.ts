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
