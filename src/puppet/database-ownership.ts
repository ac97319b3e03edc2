import { rolesOfOwnership, type Ownership } from '../rules/ownership.ts';
import type { Session } from '../system/postgres.ts';
import { member, rolesQuery, shared } from './database-catalog.ts';

/** Reads in the transaction of the caller, with its pinned settings. */
export async function readOwnership(session: Session): Promise<Ownership> {
  return {
    owners: await session.query(ownersQuery),
    schemas: await session.query(schemasQuery),
    extensionRights: await session.query(extensionRightsQuery),
    extensionRows: await extensionRows(session),
    defaultRights: await session.query(defaultRightsQuery),
    givenOn: await session.query(givenOnQuery),
  };
}

/** Roles that own or may use something; PostgreSQL does not note where its first superuser does, hence the ownership. */
export async function readRoles(session: Session, ownership: Ownership): Promise<string[]> {
  const noted = await session.query<{ name: string }>(rolesQuery);
  const implicit = new Set(['pg_database_owner']); // there wherever PostgreSQL knows it
  const all = new Set([...noted.map(({ name }) => name), ...rolesOfOwnership(ownership)]);
  return [...all].filter((role) => !implicit.has(role)).sort();
}

const list = (acl: string, but = 'true'): string => `(SELECT coalesce(json_agg(json_build_object(
    'grantee', g.rolname, 'privilege', x.privilege_type, 'grantable', x.is_grantable) ORDER BY g.rolname, x.privilege_type), '[]')
  FROM aclexplode(${acl}) x LEFT JOIN pg_roles g ON g.oid = x.grantee WHERE ${but})`;

/** Columns name, owner, comment, rights: schemas that neither are the server's nor belong to an extension. */
export const schemasQuery = `${shared} SELECT nspname AS name, pg_get_userbyid(nspowner) AS owner, obj_description(oid, 'pg_namespace') AS comment,
  ${list("coalesce(nspacl, acldefault('n', nspowner))")} AS rights FROM spaces WHERE NOT ${member('pg_namespace', 'spaces.oid')} ORDER BY 1`;

const extensionRightsQuery = `${shared} SELECT type, identity, ${list('acl', 'x.grantee <> owner')} AS rights FROM changed ORDER BY 1, 2`;

const defaultRightsQuery = `SELECT pg_get_userbyid(d.defaclrole) AS role, n.nspname AS schema, d.defaclobjtype AS kind, ${list('d.defaclacl')} AS rights
  FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace ORDER BY 1, 2, 3`;

const firstOfOurs = 16384; // FirstNormalObjectId: what is below came with the server

const others = [
  ['pg_operator', 'oprowner'], ['pg_opclass', 'opcowner'], ['pg_opfamily', 'opfowner'], ['pg_collation', 'collowner'],
  ['pg_conversion', 'conowner'], ['pg_ts_config', 'cfgowner'], ['pg_ts_dict', 'dictowner'], ['pg_statistic_ext', 'stxowner'],
]; // prettier-ignore

const things = `${shared}, things AS (
  SELECT a.* FROM lists a WHERE a.classid NOT IN ('pg_namespace'::regclass, 'pg_type'::regclass, 'pg_class'::regclass)
  UNION ALL SELECT 'pg_class'::regclass, oid, relowner, relacl, (CASE relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char" FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
  UNION ALL SELECT 'pg_type'::regclass, oid, typowner, typacl, 'T' FROM pg_type t
    WHERE typtype IN ('e', 'd', 'r', 'b') AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
  UNION ALL SELECT 'pg_largeobject'::regclass, oid, lomowner, lomacl, 'L' FROM pg_largeobject_metadata
  ${others.map(([table, owner]) => `UNION ALL SELECT '${table}'::regclass, oid, ${owner}, NULL::aclitem[], 'r' FROM ${table}`).join('\n  ')}),
named AS (
  SELECT t.owner, t.acl, i.type || ' ' || i.identity AS thing FROM things t CROSS JOIN LATERAL pg_identify_object(t.classid, t.oid, 0) i
  WHERE t.oid >= ${firstOfOurs} AND (i.schema IS NULL OR i.schema IN (SELECT name FROM spaces))
  AND NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = t.classid AND m.objid = t.oid AND m.deptype = 'e'))`;

const ownersQuery = `${things} SELECT pg_get_userbyid(owner) AS role, count(*)::int AS things,
  coalesce(min(thing) FILTER (WHERE thing LIKE 'table %'), min(thing)) AS first FROM named GROUP BY owner ORDER BY 1`;

const givenOnQuery = `${things}, granted AS (
  SELECT thing, owner, acl FROM named
  UNION ALL SELECT 'schema ' || name, nspowner, nspacl FROM spaces
  UNION ALL SELECT type || ' ' || identity, owner, acl FROM changed
  UNION ALL SELECT 'table ' || r.name || ' column ' || quote_ident(a.attname), r.relowner, a.attacl FROM relations r
    JOIN pg_attribute a ON a.attrelid = r.oid AND a.attacl IS NOT NULL)
SELECT thing, string_agg(DISTINCT pg_get_userbyid(x.grantor), ', ') AS by FROM granted CROSS JOIN LATERAL aclexplode(acl) x
  WHERE x.grantor <> owner GROUP BY thing ORDER BY 1`;

async function extensionRows(session: Session): Promise<string[]> {
  const tables = await session.query<{ name: string; condition: string }>(
    `SELECT i.identity AS name, c.condition FROM pg_extension e
     CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) c(oid, condition) JOIN pg_class r ON r.oid = c.oid AND r.relkind = 'r'
     CROSS JOIN LATERAL pg_identify_object('pg_class'::regclass, c.oid, 0) i
     WHERE e.extname <> 'pglogical' ORDER BY 1`,
  );
  const filled: string[] = [];
  for (const { name, condition } of tables) {
    const rows = await session.query(`SELECT FROM ${name} ${condition} LIMIT 1`);
    if (rows.length > 0) filled.push(name);
  }
  return filled;
}
