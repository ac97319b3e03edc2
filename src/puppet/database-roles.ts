import type { RoleHere } from '../rules/restore-refusals.ts';
import { quoteName, type Session } from '../system/postgres.ts';

// What code in a dump could become, by way of the role that loads it: that role, every role that it is a member of, and so on.
// CREATEDB does not count, because no database is made from within a function.
const powersQuery = `SELECT o.rolname AS role, min(c.rolname) FILTER (WHERE c.rolsuper) AS superuser,
    coalesce(array_agg(DISTINCT p.power ORDER BY p.power) FILTER (WHERE p.power IS NOT NULL), '{}') AS powers,
    EXISTS (SELECT FROM pg_roles r WHERE r.rolname = $2 AND pg_has_role(r.oid, o.oid, 'MEMBER')) AS granted
  FROM pg_roles o JOIN pg_roles c ON o.oid = c.oid OR NOT o.rolsuper AND pg_has_role(o.oid, c.oid, 'MEMBER')
  LEFT JOIN LATERAL unnest(ARRAY[CASE WHEN c.rolcreaterole THEN 'CREATEROLE' END, CASE WHEN c.rolreplication THEN 'REPLICATION' END,
    CASE WHEN c.rolbypassrls THEN 'BYPASSRLS' END, CASE WHEN c.rolname ~ '^pg_' AND c.rolname <> 'pg_database_owner' THEN c.rolname::text END]) p(power) ON true
  WHERE o.rolname = ANY ($1) GROUP BY o.oid, o.rolname ORDER BY 1`;

/** What these roles may do here, those that exist, and whether `restorer` may act as them. */
export const rolesHere = (session: Session, names: readonly string[], restorer: string): Promise<RoleHere[]> =>
  session.query<RoleHere>(powersQuery, [names, restorer]);

/**
 * Makes the role that loads a member of these owners, and of no other plain role: what it got for another database is taken back.
 * Roles with powers are left as they are, because an admin decides about those. The caller has asked `restoreRefusals`.
 */
export async function becomeOwners(session: Session, restorer: string, owners: readonly string[]): Promise<void> {
  const [found] = await session.query<{ inherits: boolean }>(
    'SELECT rolinherit AS inherits FROM pg_roles WHERE rolname = $1',
    [restorer],
  );
  const role = quoteName(restorer);
  if (found === undefined) await session.query(`CREATE ROLE ${role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE`);
  else if (!found.inherits) await session.query(`ALTER ROLE ${role} INHERIT`);
  const member = await session.query<{ name: string }>(
    `SELECT g.rolname AS name FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
     WHERE r.rolname = $1`,
    [restorer],
  );
  const had = await rolesHere(session, [...member.map(({ name }) => name)], restorer);
  const needed = new Set(owners.filter((owner) => owner !== restorer && owner !== 'pg_database_owner'));
  const isPlain = ({ superuser, powers }: RoleHere): boolean => superuser === null && powers.length === 0;
  for (const { role: name } of had.filter((one) => isPlain(one) && !needed.has(one.role)))
    await session.query(`REVOKE ${quoteName(name)} FROM ${role}`);
  for (const name of needed) {
    if (!had.some((one) => one.role === name)) await session.query(`GRANT ${quoteName(name)} TO ${role}`);
  }
}
