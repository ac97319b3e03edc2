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

type Rows = DatabaseShape['rows'];

/** `live` and `staged` are of one name; `left` are the rows that this active's last database left here, where that is known. */
export interface Shapes {
  readonly live: DatabaseShape;
  readonly staged: DatabaseShape;
  readonly left?: Rows | undefined;
}

export function databaseBrakes(database: string, shapes: Shapes, limits: BrakeLimits = rowsLimits): DatabaseBrake[] {
  const brakes = [rowsVanish(database, shapes, limits), administratorsVanish(database, shapes.live, shapes.staged)];
  return brakes.filter((brake) => brake !== undefined);
}

const emptiedFloor = 3;

function rowsVanish(
  database: string,
  { live, staged, left = live.rows }: Shapes,
  limits: BrakeLimits,
): DatabaseBrake | undefined {
  const mayDrop = isMigrated(live.rows, staged.rows);
  const losses = Object.entries(live.rows).flatMap(([table, here]) => {
    // What the spare made itself, while it served, the active never had to lose.
    const before = Math.min(here, left[table] ?? 0);
    const after = staged.rows[table] ?? 0;
    if (mayDrop && staged.rows[table] === undefined) return [];
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

/** An upgrade drops and renames tables, and says so in the table in which each step of the schema is noted. A mistake does not. */
const isMigrated = (live: Rows, staged: Rows): boolean =>
  Object.entries(live).some(([table, steps]) => /(^|\.)schema_migrations$/.test(table) && (staged[table] ?? 0) > steps);

/** Tables whose many rows were made by the spare itself and go, with the numbers. The active lost none. */
export function rowsMadeHere({ live, staged, left }: Shapes, limits: BrakeLimits = rowsLimits): string[] {
  if (left === undefined) return [];
  return Object.entries(live.rows).flatMap(([table, here]) => {
    const after = staged.rows[table] ?? 0;
    return here > (left[table] ?? 0) && isTooMuch(here - after, here, limits) ? [`${table} ${here} -> ${after}`] : [];
  });
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
