import { counted } from './spoken.ts';
import { isTooMuch, type BrakeLimits } from './brake-limits.ts';

/** What a database holds, roughly: enough to see a mistake in it. */
export interface DatabaseShape {
  /** Rows by table, of tables that are not volatile. */
  readonly rows: Readonly<Record<string, number>>;
  /** Accounts that may do everything and are not revoked; undefined where the tables are not as they are known. */
  readonly administrators?: number;
}

/** A reason to leave the live database as it is until an admin says so. */
export interface DatabaseBrake {
  readonly rule: 'rows-vanish' | 'administrators-vanish';
  readonly sentence: string;
  /** Without numbers: the next dump, which has others, is the same cause. */
  readonly difference: readonly string[];
}

/** Of the rows of one table. */
export const rowsLimits: BrakeLimits = { share: 0.5, atLeast: 10 };

/** Both are databases with the same name. */
export function databaseBrakes(
  database: string,
  live: DatabaseShape,
  staged: DatabaseShape,
  limits: BrakeLimits = rowsLimits,
): DatabaseBrake[] {
  const brakes = [rowsVanish(database, live.rows, staged.rows, limits), administratorsVanish(database, live, staged)];
  return brakes.filter((brake) => brake !== undefined);
}

const emptiedFloor = 3;

function rowsVanish(
  database: string,
  live: DatabaseShape['rows'],
  staged: DatabaseShape['rows'],
  limits: BrakeLimits,
): DatabaseBrake | undefined {
  const losses = Object.entries(live).flatMap(([table, before]) => {
    const after = staged[table] ?? 0;
    const isEmptied = after === 0 && before >= emptiedFloor;
    if (!isEmptied && !isTooMuch(before - after, before, limits)) return [];
    return [{ table, before, after, what: isEmptied ? 'all of its rows' : 'too many of its rows' }];
  });
  if (losses.length === 0) return undefined;
  const shown = losses.slice(0, 5).map(({ table, before, after }) => `${table} ${before} -> ${after}`);
  const more = losses.length > shown.length ? ' and more' : '';
  return {
    rule: 'rows-vanish',
    sentence: `${counted(losses.length, 'table')} of ${database} would lose rows: ${shown.join(', ')}${more}`,
    difference: losses.map(({ table, what }) => `- ${table}: ${what}`),
  };
}

function administratorsVanish(database: string, live: DatabaseShape, staged: DatabaseShape): DatabaseBrake | undefined {
  if (live.administrators === undefined || live.administrators === 0 || staged.administrators !== 0) return undefined;
  const accounts = counted(live.administrators, 'account');
  return {
    rule: 'administrators-vanish',
    sentence: `In ${database} of the active no account that may do everything is left; this master has ${accounts}`,
    difference: ['- the last account that may do everything'],
  };
}
