import type { Epoch } from '../../rules/epoch.ts';
import type { SetChanges } from '../../system/accepted-set.ts';

/** What lives between passes. Losing it costs a whole compare. */
export interface Memory {
  /** Changed since the last acknowledged drop, as far as hints tell. */
  dirty: Set<string>;
  /** Pushed, but the receipt has not come yet. `names` were dirty then. */
  unanswered: Unanswered | undefined;
  /** Lines of the inventory that were said to be none. */
  readonly strange: Set<string>;
}

export interface Unanswered {
  readonly changes: SetChanges;
  readonly whole: boolean;
  readonly digest: string;
  /** The drop; undefined: the spare had that digest already. */
  readonly place: { readonly epoch: Epoch; readonly sequence: number } | undefined;
  readonly names: ReadonlySet<string>;
  /** How many deletions it told the spare to expect. */
  readonly expected: number;
}

/** What is not known to be on the spare. */
export const openPaths = ({ dirty, unanswered }: Memory): Set<string> =>
  new Set([...dirty, ...(unanswered?.names ?? [])]);
