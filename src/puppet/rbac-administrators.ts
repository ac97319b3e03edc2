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
 * Undefined where the tables are not as they are known, or do not say who is a superuser: a site may revoke the built-in one
 * and go on with others; where nobody at all is left, none is. A superuser of PostgreSQL may call it on a database that came in a dump: only a
 * plain table is read, and a value becomes text by the output of its type, never by a cast, which may run the dump's code.
 */
export async function countAdministrators(session: Session): Promise<number | undefined> {
  const known = new Set((await session.query<{ name: string }>(columns)).map(({ name }) => name));
  if (!known.has('login') || !known.has('is_revoked')) return undefined;
  const isSaid = known.has('is_superuser');
  const superuser = isSaid ? 's.is_superuser IS TRUE' : 'false';
  const [found] = await session.query<{ administrators: string; people: string }>(
    `SELECT count(*) FILTER (WHERE ${superuser} OR ROW(s.login)::text = '(admin)')::text AS administrators,
     count(*) FILTER (WHERE ROW(s.login)::text <> '(api_user)')::text AS people
     FROM ONLY public.subjects s WHERE s.is_revoked IS NOT TRUE`,
  );
  const administrators = Number(found?.administrators);
  return administrators === 0 && !isSaid && Number(found?.people) > 0 ? undefined : administrators;
}
