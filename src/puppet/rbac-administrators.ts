import type { Session } from '../system/postgres.ts';

/** Where accounts and what they may do are kept. */
export const rbacDatabase = 'pe-rbac';

const columns = `
  SELECT a.attname AS name FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
  WHERE n.nspname = 'public' AND c.relname = 'subjects' AND c.relkind = 'r' AND NOT a.attisdropped
  AND (a.attname = 'login' OR (a.attname IN ('is_revoked', 'is_superuser') AND a.atttypid = 'bool'::regtype))`;

/**
 * How many accounts may do everything and are not revoked: superusers, and the built-in one, which cannot be deleted.
 * Undefined where the tables are not as they are known. A superuser may call it on a database that came in a dump: only a
 * plain table is read, and a value becomes text by the output of its type, never by a cast, which may run the dump's code.
 */
export async function countAdministrators(session: Session): Promise<number | undefined> {
  const known = new Set((await session.query<{ name: string }>(columns)).map(({ name }) => name));
  if (!known.has('login') || !known.has('is_revoked')) return undefined;
  const superuser = known.has('is_superuser') ? 'coalesce(s.is_superuser, false)' : 'false';
  const [found] = await session.query<{ count: string }>(
    `SELECT count(*)::text AS count FROM ONLY public.subjects s
     WHERE NOT s.is_revoked AND (${superuser} OR ROW(s.login)::text = '(admin)')`,
  );
  return Number(found?.count);
}
