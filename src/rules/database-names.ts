import { createHash } from 'node:crypto';

/** PostgreSQL cuts longer names silently. */
const limit = 63;
const longestTail = 30;

export interface DropNumber {
  readonly epoch: { readonly number: number };
  readonly sequence: number;
}

/** Where a drop is loaded, such as `pe-rbac_restore_3_17`. */
export const stagingName = (database: string, drop: DropNumber): string => name(database, 'restore', drop);

/** What the live database is called from the swap until it is dropped, such as `pe-rbac_previous_3_17`. */
export const previousName = (database: string, drop: DropNumber): string => name(database, 'previous', drop);

function name(database: string, what: string, { epoch, sequence }: DropNumber): string {
  return `${stem(database)}_${what}_${epoch.number}_${sequence}`;
}

function stem(database: string): string {
  if (database.length <= limit - longestTail) return database;
  const hash = createHash('sha256').update(database).digest('hex').slice(0, 8);
  return `${database.slice(0, limit - longestTail - 9)}_${hash}`;
}

/** True for a name that only we give: what a crash may have left of a restore of this database. */
export function isLeftoverName(candidate: string, database: string): boolean {
  const start = `${stem(database)}_`;
  return candidate.startsWith(start) && /^(restore|previous)_\d+_\d+$/.test(candidate.slice(start.length));
}
