import type { Cluster } from './postgres-cluster.ts';

export const severalRoles = ['app_a', 'app_b', 'app_c', 'Odd "Owner"', 'reader'];

/** One kind of thing after the other, each of another owner than what it stands in or on. */
const statements = [
  'CREATE EXTENSION citext',
  'CREATE SCHEMA extensions',
  'CREATE EXTENSION hstore SCHEMA extensions',
  `COMMENT ON EXTENSION citext IS 'ours'`,
  'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO reader', // as Puppet Enterprise does, on what is citext's too
  'REVOKE EXECUTE ON FUNCTION citext_eq(citext, citext) FROM PUBLIC',
  'ALTER SCHEMA public OWNER TO app_b',
  'REVOKE ALL ON SCHEMA public FROM PUBLIC',
  'GRANT USAGE ON SCHEMA public TO PUBLIC, app_c, reader',
  'CREATE SCHEMA inner_one AUTHORIZATION app_c',
  'CREATE SCHEMA "Odd Schema"',
  `COMMENT ON SCHEMA "Odd Schema" IS 'a superuser''s'`,
  'GRANT USAGE ON SCHEMA "Odd Schema" TO app_a WITH GRANT OPTION',
  `CREATE TYPE public.mood AS ENUM ('good', 'bad')`,
  'ALTER TYPE public.mood OWNER TO app_c',
  'CREATE TYPE inner_one.pair AS (a int, b public.mood)',
  'ALTER TYPE inner_one.pair OWNER TO app_a',
  'CREATE DOMAIN public.short AS text CHECK (length(value) < 9)',
  'ALTER DOMAIN public.short OWNER TO "Odd ""Owner"""',
  'CREATE TABLE public.a (id serial PRIMARY KEY, name citext, mood public.mood)',
  'ALTER TABLE public.a OWNER TO app_a',
  'CREATE TABLE inner_one.b (id int REFERENCES public.a, word public.short)',
  'ALTER TABLE inner_one.b OWNER TO app_b',
  'CREATE TABLE "Odd Schema"."Odd Table" (id int PRIMARY KEY, value extensions.hstore)',
  'ALTER TABLE "Odd Schema"."Odd Table" OWNER TO "Odd ""Owner"""',
  `COMMENT ON TABLE "Odd Schema"."Odd Table" IS 'odd'`,
  'CREATE SEQUENCE public.counter',
  'ALTER SEQUENCE public.counter OWNER TO app_c',
  `SELECT setval('public.counter', 42)`,
  'CREATE VIEW public.v AS SELECT id, name FROM public.a',
  'ALTER VIEW public.v OWNER TO app_c',
  'GRANT SELECT ON public.a TO app_c, reader',
  'GRANT UPDATE (name) ON public.a TO app_b',
  'CREATE MATERIALIZED VIEW inner_one.m AS SELECT id FROM public.a',
  'ALTER MATERIALIZED VIEW inner_one.m OWNER TO app_c',
  `CREATE FUNCTION public.f(x int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT x'`,
  'ALTER FUNCTION public.f OWNER TO app_c',
  'REVOKE EXECUTE ON FUNCTION public.f FROM PUBLIC',
  'GRANT EXECUTE ON FUNCTION public.f TO reader',
  `CREATE FUNCTION public.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
  'ALTER FUNCTION public.stamp OWNER TO app_b',
  'CREATE TRIGGER stamp BEFORE INSERT ON inner_one.b FOR EACH ROW EXECUTE FUNCTION public.stamp()',
  'CREATE STATISTICS public.s ON id, name FROM public.a',
  'ALTER STATISTICS public.s OWNER TO app_b',
  'ALTER TABLE "Odd Schema"."Odd Table" ENABLE ROW LEVEL SECURITY',
  'CREATE POLICY own ON "Odd Schema"."Odd Table" TO reader USING (id > 1)',
  `INSERT INTO public.a (name, mood) VALUES ('One', 'good'), ('Two', 'bad')`,
  `INSERT INTO inner_one.b VALUES (1, 'short')`,
  `INSERT INTO "Odd Schema"."Odd Table" VALUES (1, 'a=>1'::extensions.hstore)`,
  'REFRESH MATERIALIZED VIEW inner_one.m',
  `SELECT lo_from_bytea(4711, 'large')`,
  'ALTER LARGE OBJECT 4711 OWNER TO app_b',
  'GRANT SELECT ON LARGE OBJECT 4711 TO reader',
  'ALTER DEFAULT PRIVILEGES FOR ROLE app_a IN SCHEMA public GRANT SELECT ON TABLES TO reader',
  'ALTER DEFAULT PRIVILEGES FOR ROLE app_b REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC',
  'ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT SELECT ON SEQUENCES TO reader WITH GRANT OPTION',
];

export async function makeRoles(cluster: Cluster): Promise<void> {
  for (const role of severalRoles) await cluster.sql('postgres', `CREATE ROLE "${role.replaceAll('"', '""')}"`);
}

export const createFor = (cluster: Cluster, database: string, owner: string): Promise<unknown> =>
  cluster.sql('postgres', `CREATE DATABASE "${database}" OWNER "${owner}" TEMPLATE template0 ENCODING 'UTF8'`);

/** A database whose things belong to five roles, the schema public to one of them, and a schema to a superuser. */
export async function buildSeveral(cluster: Cluster, database: string): Promise<void> {
  await createFor(cluster, database, 'app_a');
  await using session = await cluster.open(database);
  await session.query('SET search_path = public');
  for (const statement of statements) await session.query(statement);
}

const ours = (schema: string): string => `WHERE ${schema}::regnamespace::text !~ '^(pg_|information_schema)'`;

/** Every thing that can belong to somebody, with its owner and who may use it, asked in other words than the program's. */
export const belongings = (cluster: Cluster, database: string) =>
  cluster.sql(
    database,
    `SELECT thing, owner::regrole::text AS owner, (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(coalesce(acl, acldefault(kind, owner))) a) AS acl
     FROM (SELECT 'relation ' || oid::regclass AS thing, relowner AS owner, relacl AS acl, (CASE relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char" AS kind
        FROM pg_class ${ours('relnamespace')}
      UNION ALL SELECT 'column ' || attrelid::regclass || attname, 10, attacl, 'c' FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid > 16384
      UNION ALL SELECT 'function ' || oid::regprocedure, proowner, proacl, 'f' FROM pg_proc ${ours('pronamespace')}
      UNION ALL SELECT 'type ' || oid::regtype, typowner, typacl, 'T' FROM pg_type ${ours('typnamespace')}
      UNION ALL SELECT 'schema ' || nspname, nspowner, nspacl, 'n' FROM pg_namespace WHERE nspname !~ '^pg_'
      UNION ALL SELECT 'large object ' || oid, lomowner, lomacl, 'L' FROM pg_largeobject_metadata
      UNION ALL SELECT 'statistics ' || stxname, stxowner, NULL, 'c' FROM pg_statistic_ext
      UNION ALL SELECT 'default ' || defaclnamespace::regnamespace || defaclobjtype::text, defaclrole, defaclacl, 'c' FROM pg_default_acl
     ) things ORDER BY 1, 2`,
  ); // prettier-ignore
