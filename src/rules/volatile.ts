import { Failure } from '../errors.ts';

/** What of a database changes by mere use: `schema.table`, or `schema.table.column`. */
export interface Volatile {
  readonly tables: ReadonlySet<string>;
  /** By table. */
  readonly columns: ReadonlyMap<string, ReadonlySet<string>>;
}

/** A login on the active must not stop the console of the spare. */
export const defaultVolatile: Readonly<Record<string, readonly string[]>> = {
  'pe-rbac': ['public.tokens', 'public.subjects.last_login', 'public.subjects.failed_login_attempts'],
};

const pattern = /^[A-Za-z_][\w$-]{0,62}(\.[A-Za-z_][\w$-]{0,62}){1,2}$/;

export const isVolatilePattern = (text: string): boolean => pattern.test(text);

/** Throws a Failure of class config that names the first malformed pattern. */
export function parseVolatile(patterns: readonly string[]): Volatile {
  const tables = new Set<string>();
  const columns = new Map<string, Set<string>>();
  for (const text of patterns) {
    if (!isVolatilePattern(text)) {
      const hint = 'Write schema.table or schema.table.column, such as public.tokens';
      throw new Failure('config', 'volatile pattern is malformed', { where: text, hint });
    }
    const [schema, table, column] = text.split('.') as [string, string, string?];
    const name = `${schema}.${table}`;
    if (column === undefined) tables.add(name);
    else columns.set(name, (columns.get(name) ?? new Set()).add(column));
  }
  return { tables, columns };
}
