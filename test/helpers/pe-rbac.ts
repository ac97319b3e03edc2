import type { Cluster } from './postgres-cluster.ts';

/** Run as a superuser in the empty database. */
export const rbacSchema = `
CREATE EXTENSION citext;
CREATE EXTENSION pgcrypto;
SET ROLE "pe-rbac";
CREATE TABLE subjects (id uuid PRIMARY KEY, login citext UNIQUE NOT NULL, email varchar(200), display_name text,
  is_group boolean NOT NULL DEFAULT false, is_revoked boolean NOT NULL DEFAULT false, is_superuser boolean DEFAULT false,
  last_login timestamptz, failed_login_attempts integer NOT NULL DEFAULT 0, avatar bytea, score double precision,
  kind varchar(20) CHECK (kind IN ('local', 'remote')));
CREATE TABLE roles (id serial PRIMARY KEY, display_name citext UNIQUE NOT NULL, description text DEFAULT 'none (yet)');
CREATE TABLE permissions (id uuid PRIMARY KEY, object_type text NOT NULL, action text NOT NULL, instance text);
CREATE TABLE roles_has_permissions (role_id int REFERENCES roles ON DELETE CASCADE, permission_id uuid REFERENCES permissions);
CREATE TABLE subjects_has_roles (subject_id uuid REFERENCES subjects ON DELETE CASCADE, role_id int REFERENCES roles);
CREATE TABLE tokens (id bigserial PRIMARY KEY, user_id uuid REFERENCES subjects (id), token text UNIQUE,
  creation timestamptz NOT NULL, expiration timestamptz NOT NULL, label text, session_timeout interval);
CREATE TABLE directory_settings (id serial PRIMARY KEY, display_name text, hostname text, port int, ssl boolean,
  login text, password bytea, connect_timeout int, base_dn text, user_rdn text, help_link text);
CREATE TABLE salt (salt bytea);
CREATE TABLE schema_migrations (id bigint PRIMARY KEY, applied timestamp, description varchar(1024));
CREATE TYPE audit_kind AS ENUM ('created', 'changed');
CREATE TABLE audit (at timestamptz, kind audit_kind, dropped int, what jsonb, tags text[]);
ALTER TABLE audit DROP COLUMN dropped;
CREATE INDEX tokens_expiration ON tokens (expiration);
CREATE INDEX subjects_lower ON subjects (lower(display_name)) WHERE NOT is_revoked;
CREATE VIEW live_subjects AS SELECT id, login FROM subjects WHERE NOT is_revoked;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.display_name := trim(NEW.display_name); RETURN NEW; END $$;
CREATE TRIGGER subjects_touch BEFORE INSERT OR UPDATE ON subjects FOR EACH ROW EXECUTE FUNCTION touch();
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "pe-rbac-write";
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO "pe-rbac-write";
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO "pe-rbac-write";
COMMENT ON TABLE subjects IS 'users and groups; it''s theirs';
`;

export const rbacRows = ({ subjects = 200, tokens = 300 }: RbacSize): string => `
SET TimeZone = 'UTC';
INSERT INTO subjects SELECT md5('s' || n)::uuid, 'User' || n, 'user' || n || '@example.com', 'Display ' || n, n % 7 = 0, n % 11 = 0, n = 1,
  '2026-01-01Z'::timestamptz + n * interval '1 minute', n % 3, decode(md5(n::text), 'hex'), n / 3.0::float8, CASE n % 2 WHEN 0 THEN 'local' ELSE 'remote' END
  FROM generate_series(1, ${subjects}) n;
INSERT INTO roles (display_name) SELECT 'Role ' || n FROM generate_series(1, 20) n;
INSERT INTO permissions SELECT md5('p' || n)::uuid, 'node_groups', 'view', '*' FROM generate_series(1, 100) n;
INSERT INTO roles_has_permissions SELECT 1 + n % 20, md5('p' || n)::uuid FROM generate_series(1, 100) n;
INSERT INTO subjects_has_roles SELECT md5('s' || n)::uuid, 1 + n % 20 FROM generate_series(1, ${subjects}) n;
INSERT INTO tokens (user_id, token, creation, expiration, label, session_timeout) SELECT md5('s' || (1 + n % ${subjects}))::uuid,
  md5(n::text) || md5('a' || n) || md5('b' || n), '2026-01-01Z', '2027-01-01Z', 'token ' || n, interval '30 days' FROM generate_series(1, ${tokens}) n;
INSERT INTO directory_settings (display_name, hostname, port, password) VALUES ('ldap', 'ldap.example.com', 636, '\\x00ff10');
INSERT INTO salt VALUES ('\\xdeadbeef');
INSERT INTO schema_migrations VALUES (1, '2026-01-01 10:00', 'first');
INSERT INTO audit VALUES ('2026-01-01Z', 'created', '{"b": 1, "a": [null, "x"]}', ARRAY['a,b', NULL, '']);
`;

export interface RbacSize {
  readonly subjects?: number;
  /** About 0.55 kB each. */
  readonly tokens?: number;
}

export const createRbac = (database: string): string =>
  `CREATE DATABASE "${database}" OWNER "pe-rbac" TEMPLATE template0 ENCODING 'UTF8'`;

/** A database shaped as PE's: owner role of the same name, citext, grants to a run-time role. */
export async function buildRbac(cluster: Cluster, database: string, size: RbacSize = {}): Promise<void> {
  await cluster.sql('postgres', createRbac(database));
  await cluster.sql(database, rbacSchema);
  await cluster.sql(database, rbacRows(size));
}
