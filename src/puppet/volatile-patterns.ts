import { parseVolatile } from '../rules/volatile.ts';
import type { Session } from '../system/postgres.ts';

const tablesQuery = `SELECT n.nspname || '.' || c.relname AS name,
    array(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')`;

/** Of these patterns the ones that name no table or column of the database: a typing error, or of another version. */
export async function unmatchedPatterns(session: Session, patterns: readonly string[]): Promise<string[]> {
  const rows = await session.query<{ name: string; columns: string[] }>(tablesQuery);
  const found = new Map(rows.map(({ name, columns }) => [name, new Set(columns)]));
  return patterns.filter((pattern) => {
    const { tables, columns } = parseVolatile([pattern]);
    const isTable = [...tables].some((name) => found.has(name));
    const isColumn = [...columns].some(([name, [column]]) => found.get(name)?.has(column ?? '') === true);
    return !isTable && !isColumn;
  });
}
