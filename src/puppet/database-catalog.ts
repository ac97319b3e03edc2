// What a database defines, as (kind, identity, definition) rows that do not depend on OIDs, on the order of creation, or
// on columns dropped long ago. Members of extensions and pglogical's own schema do not count.

export const rights = (acl: string, owner: string, kind: string): string => {
  const whole = kind === 'c' ? acl : `coalesce(${acl}, acldefault('${kind}', ${owner}))`;
  return `(SELECT coalesce(string_agg(line, ',' ORDER BY line COLLATE "C"), '') FROM (
    SELECT coalesce(quote_ident(g.rolname), 'PUBLIC') || '=' || privilege_type || CASE WHEN is_grantable THEN '*' ELSE '' END AS line
    FROM aclexplode(${whole}) a LEFT JOIN pg_roles g ON g.oid = a.grantee) lines)`;
};
export const member = (catalog: string, oid: string): string =>
  `EXISTS (SELECT FROM pg_depend m WHERE m.classid = '${catalog}'::regclass AND m.objid = ${oid} AND m.deptype = 'e')`;

/** To begin with: `spaces`, `relations`, `types`, `functions`, and `changed`, the rights of members of extensions. */
export const shared = `WITH spaces AS (
  SELECT oid, nspname, nspowner, nspacl, quote_ident(nspname) AS name FROM pg_namespace
  WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'pglogical')),
relations AS (
  SELECT c.*, n.name || '.' || quote_ident(c.relname) AS name FROM pg_class c JOIN spaces n ON n.oid = c.relnamespace
  WHERE NOT ${member('pg_class', 'c.oid')}),
types AS (
  SELECT t.*, n.name || '.' || quote_ident(t.typname) AS name FROM pg_type t JOIN spaces n ON n.oid = t.typnamespace
  WHERE t.typtype IN ('e', 'd') AND NOT ${member('pg_type', 't.oid')}),
functions AS (
  SELECT p.*, n.name || '.' || quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS name
  FROM pg_proc p JOIN spaces n ON n.oid = p.pronamespace WHERE NOT ${member('pg_proc', 'p.oid')}),
lists AS (
  SELECT 'pg_proc'::regclass AS classid, oid, proowner AS owner, proacl AS acl, 'f'::"char" AS kind FROM pg_proc
  UNION ALL SELECT 'pg_type'::regclass, oid, typowner, typacl, 'T' FROM pg_type
  UNION ALL SELECT 'pg_class'::regclass, oid, relowner, relacl, (CASE relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char" FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  UNION ALL SELECT 'pg_namespace'::regclass, oid, nspowner, nspacl, 'n' FROM pg_namespace
  UNION ALL SELECT 'pg_language'::regclass, oid, lanowner, lanacl, 'l' FROM pg_language
  UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, fdwowner, fdwacl, 'F' FROM pg_foreign_data_wrapper
  UNION ALL SELECT 'pg_foreign_server'::regclass, oid, srvowner, srvacl, 'S' FROM pg_foreign_server),
changed AS (
  SELECT i.type, i.identity, l.owner, l.acl FROM lists l
  JOIN pg_depend m ON m.classid = l.classid AND m.objid = l.oid AND m.deptype = 'e'
  JOIN pg_extension e ON m.refclassid = 'pg_extension'::regclass AND e.oid = m.refobjid AND e.extname NOT IN ('plpgsql', 'pglogical')
  LEFT JOIN pg_init_privs p ON p.classoid = l.classid AND p.objoid = l.oid AND p.objsubid = 0
  CROSS JOIN LATERAL pg_identify_object(l.classid, l.oid, 0) i
  WHERE l.acl IS NOT NULL AND ${rights('l.acl', '', 'c')} <> ${rights('coalesce(p.initprivs, acldefault(l.kind, l.owner))', '', 'c')})`;

const parts = [
  `SELECT 'schema' AS kind, name AS identity, concat_ws(' | ', pg_get_userbyid(nspowner), ${rights('nspacl', 'nspowner', 'n')}) AS definition
   FROM spaces WHERE NOT ${member('pg_namespace', 'spaces.oid')}`,
  `SELECT 'relation', name, concat_ws(' | ', relkind, relpersistence, relrowsecurity, relforcerowsecurity, relreplident, reloptions::text,
     pg_get_userbyid(relowner), ${rights('relacl', 'relowner', 'r')}, pg_get_expr(relpartbound, oid),
     CASE WHEN relkind = 'p' THEN pg_get_partkeydef(oid) END,
     (SELECT string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = relations.oid))
   FROM relations WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'c')`,
  `SELECT 'sequence', name, concat_ws(' | ', pg_get_userbyid(relowner), ${rights('relacl', 'relowner', 's')}, format_type(s.seqtypid, NULL),
     s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle,
     (SELECT d.refobjid::regclass::text || '.' || a.attname FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
      WHERE d.classid = 'pg_class'::regclass AND d.objid = relations.oid AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass))
   FROM relations JOIN pg_sequence s ON s.seqrelid = relations.oid`,
  `SELECT 'view', name, pg_get_viewdef(oid) FROM relations WHERE relkind IN ('v', 'm')`,
  `SELECT 'column', r.name || '.' || quote_ident(a.attname), concat_ws(' | ',
     row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, coalesce(to_jsonb(a) ->> 'attgenerated', ''),
     (SELECT c.collname FROM pg_collation c WHERE c.oid = a.attcollation), pg_get_expr(d.adbin, d.adrelid), ${rights('a.attacl', '', 'c')})
   FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND a.attnum > 0 AND NOT a.attisdropped`,
  `SELECT 'constraint', coalesce(r.name, t.name) || '.' || quote_ident(c.conname), pg_get_constraintdef(c.oid)
   FROM pg_constraint c LEFT JOIN relations r ON r.oid = c.conrelid LEFT JOIN types t ON t.oid = c.contypid
   WHERE r.oid IS NOT NULL OR t.oid IS NOT NULL`,
  `SELECT 'index', x.name, concat_ws(' | ', pg_get_indexdef(i.indexrelid), i.indisclustered, i.indisreplident)
   FROM relations x JOIN pg_index i ON i.indexrelid = x.oid`,
  `SELECT 'trigger', r.name || '.' || quote_ident(t.tgname), concat_ws(' | ', pg_get_triggerdef(t.oid), t.tgenabled)
   FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal`,
  `SELECT 'rule', r.name || '.' || quote_ident(w.rulename), concat_ws(' | ', pg_get_ruledef(w.oid), w.ev_enabled)
   FROM pg_rewrite w JOIN relations r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'`,
  `SELECT 'policy', r.name || '.' || quote_ident(p.polname), concat_ws(' | ', p.polcmd, p.polpermissive,
     (SELECT string_agg(CASE WHEN o = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(o) END, ',') FROM unnest(p.polroles) o),
     pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
   FROM pg_policy p JOIN relations r ON r.oid = p.polrelid`,
  `SELECT 'function', name, concat_ws(' | ', prokind, pg_get_userbyid(proowner), ${rights('proacl', 'proowner', 'f')},
     CASE WHEN prokind <> 'a' THEN pg_get_functiondef(oid) END) FROM functions`,
  `SELECT 'function body', name, prosrc FROM functions`,
  `SELECT 'type', name, concat_ws(' | ', typtype, pg_get_userbyid(typowner), ${rights('typacl', 'typowner', 'T')},
     CASE WHEN typtype = 'd' THEN format_type(typbasetype, typtypmod) END, typnotnull, typdefault,
     (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = types.oid)) FROM types`,
  `SELECT 'statistics', n.name || '.' || quote_ident(s.stxname), pg_get_statisticsobjdef(s.oid)
   FROM pg_statistic_ext s JOIN spaces n ON n.oid = s.stxnamespace`,
  `SELECT 'extension', quote_ident(extname), extnamespace::regnamespace::text FROM pg_extension WHERE extname <> 'pglogical'`,
  `SELECT 'default rights', concat_ws(' ', pg_get_userbyid(defaclrole), (SELECT n.name FROM spaces n WHERE n.oid = defaclnamespace), defaclobjtype),
     ${rights('defaclacl', '', 'c')} FROM pg_default_acl`,
  `SELECT 'rights in an extension', type || ' ' || identity,
     ${rights("(SELECT coalesce(array_agg(i), '{}') FROM unnest(acl) i, aclexplode(ARRAY[i]) x WHERE x.grantee <> owner)", '', 'c')} FROM changed`,
  `SELECT 'comment', i.type || ' ' || i.identity, d.description
   FROM pg_description d CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
   WHERE (i.schema IN (SELECT name FROM spaces) OR i.type = 'schema' AND i.identity IN (SELECT name FROM spaces)
     OR i.schema IS NULL AND i.type IN ('table constraint', 'trigger', 'rule', 'policy'))
   AND NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = d.classoid AND m.objid = d.objoid AND m.deptype = 'e')`,
];

/** Columns kind, identity, definition. */
export const definitionsQuery = `${shared}\n${parts.join('\nUNION ALL\n')}`;

/** Tables that hold rows of their own: name, schema, table, columns in their order. */
export const tablesQuery = `${shared} SELECT r.name, n.nspname AS schema, r.relname AS table,
  (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
  FROM relations r JOIN spaces n ON n.oid = r.relnamespace WHERE r.relkind = 'r' ORDER BY 1`;

/** Sequences with the table that owns them, if one does: name, owner (schema.table, unquoted). */
export const sequencesQuery = `${shared} SELECT r.name,
  (SELECT n.nspname || '.' || t.relname FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace n ON n.oid = t.relnamespace
   WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass) AS owner
  FROM relations r WHERE r.relkind = 'S' ORDER BY 1`;

/** Roles that own or may use anything in the database, and its owner: name. */
export const rolesQuery = `SELECT DISTINCT r.rolname AS name FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
  WHERE d.refclassid = 'pg_authid'::regclass AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  UNION SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database() ORDER BY 1`;

/**
 * Without plpgsql, which every database has, and pglogical, which is not ours to copy: name, schema. In an order in which they can
 * be made: one stands on others.
 */
export const extensionsQuery = `SELECT extname AS name, n.nspname AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
  WHERE extname NOT IN ('plpgsql', 'pglogical') ORDER BY e.oid`;
