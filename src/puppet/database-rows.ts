import type { Session } from '../system/postgres.ts';
import { tablesQuery } from './database-catalog.ts';
import { inSnapshot } from './database-digest.ts';

/** Rows by table of a database as it is now, with the names that a dump's `detail` gives them. */
export async function countRows(session: Session): Promise<Record<string, number>> {
  return await inSnapshot(session, async () => {
    const rows: Record<string, number> = {};
    for (const { name } of await session.query<{ name: string }>(tablesQuery))
      rows[name] = await count(session, `ONLY ${name}`);
    return { ...rows, 'large objects': await count(session, 'pg_largeobject') };
  });
}

async function count(session: Session, table: string): Promise<number> {
  const [found] = await session.query<{ rows: string }>(`SELECT count(*)::text AS rows FROM ${table}`);
  return Number(found?.rows ?? 0);
}
