/** What was changed on the active, and when it was seen live on the spare. Times in milliseconds since the epoch. */
export interface Change {
  readonly kind: Kind;
  readonly what: string;
  readonly at: number;
  /** How it ended: live after so many milliseconds, or not seen. */
  readonly end?: { readonly liveAfterMs: number } | { readonly notSeen: string };
}

export const kinds = ['CA', 'node groups', 'RBAC', 'key files'] as const;
export type Kind = (typeof kinds)[number];

export interface Ledger {
  /** Notes a change at its moment; the returned function notes its end. */
  begin(kind: Kind, what: string): (end: NonNullable<Change['end']>) => void;
  /** The newest change of each kind, those that are still on their way first. */
  latest(kind: Kind): Change | undefined;
  readonly count: () => number;
}

export function createLedger(onChange: (change: Change) => void): Ledger {
  const changes: Change[] = [];
  return {
    begin: (kind, what) => {
      const at = changes.push({ kind, what, at: Date.now() }) - 1;
      return (end) => {
        const change = changes[at];
        if (change === undefined) return;
        changes[at] = { ...change, end };
        onChange(changes[at]);
      };
    },
    latest: (kind) => changes.findLast((change) => change.kind === kind),
    count: () => changes.length,
  };
}
