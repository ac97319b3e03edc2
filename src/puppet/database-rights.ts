import { Failure } from '../errors.ts';
import type { DefaultRights, ExtensionRights, Right } from '../rules/ownership.ts';
import { quoteName, quoteText, type Session } from '../system/postgres.ts';
import type { DumpDetail } from './database-dump.ts';
import { schemasQuery } from './database-ownership.ts';

// What only a superuser may set in a database that is being loaded. Every statement here is made of a list, never of the dump.

const whom = (grantee: string | null): string => (grantee === null ? 'PUBLIC' : quoteName(grantee));

/** Exchanges the rights on one thing, in one transaction. `on` is such as `SCHEMA "public"`. */
export async function exchangeRights(
  session: Session,
  on: string,
  had: readonly (string | null)[],
  wanted: readonly Right[],
): Promise<void> {
  const revoke = [...new Set(had)].map((grantee) => `REVOKE ALL ON ${on} FROM ${whom(grantee)}`);
  const grant = wanted.map(({ grantee, privilege, grantable }) => {
    return `GRANT ${privilege} ON ${on} TO ${whom(grantee)}${grantable ? ' WITH GRANT OPTION' : ''}`;
  });
  await session.query(['SELECT 1', ...revoke, ...grant].join('; '));
}

type Belongings = Pick<DumpDetail, 'extensions'> & { readonly ownership: NonNullable<DumpDetail['ownership']> };

/**
 * Makes schemas and extensions in an empty database, and lets these roles make things in the schemas: an object can be handed to a
 * role only where that may create one, and the dump says last who may.
 */
export async function furnish(session: Session, detail: Belongings, roles: readonly string[]): Promise<void> {
  const { schemas, extensionRights } = detail.ownership;
  if (!schemas.some(({ name }) => name === 'public')) await session.query('DROP SCHEMA public');
  for (const { name, owner, comment } of schemas) {
    const own = name === 'public' ? `ALTER SCHEMA public OWNER TO` : `CREATE SCHEMA ${quoteName(name)} AUTHORIZATION`;
    await session.query(`${own} ${quoteName(owner)}`);
    await session.query(`COMMENT ON SCHEMA ${quoteName(name)} IS ${comment === null ? 'NULL' : quoteText(comment)}`);
  }
  for (const { name, schema } of detail.extensions) {
    const isMade = schema === 'pg_catalog' || schemas.some((made) => made.name === schema);
    await session.query(`CREATE EXTENSION ${quoteName(name)}${isMade ? ` WITH SCHEMA ${quoteName(schema)}` : ''}`);
  }
  await setExtensionRights(session, extensionRights);
  const lent = roles.map(quoteName).join(', ');
  for (const { name } of schemas) await session.query(`GRANT USAGE, CREATE ON SCHEMA ${quoteName(name)} TO ${lent}`);
}

/** Takes back what was lent for the load: schemas get the rights that they have in the dump. */
export async function settleRights(session: Session, { ownership }: Pick<Belongings, 'ownership'>): Promise<void> {
  const now = await session.query<Belongings['ownership']['schemas'][number]>(schemasQuery);
  for (const { name, rights } of ownership.schemas) {
    const had = now.find((schema) => schema.name === name)?.rights ?? [];
    const grantees = had.map(({ grantee }) => grantee);
    await exchangeRights(session, `SCHEMA ${quoteName(name)}`, grantees, rights);
  }
  for (const rights of ownership.defaultRights) await setDefaultRights(session, rights);
}

const kinds: Readonly<Record<string, string>> = {
  function: 'ROUTINE', procedure: 'ROUTINE', aggregate: 'ROUTINE', type: 'TYPE', table: 'TABLE', view: 'TABLE', 'materialized view': 'TABLE',
  'foreign table': 'TABLE', sequence: 'SEQUENCE', schema: 'SCHEMA', language: 'LANGUAGE', 'foreign-data wrapper': 'FOREIGN DATA WRAPPER',
  server: 'FOREIGN SERVER',
}; // prettier-ignore

// Only what IS a member of an extension here: the words of the list are compared, and the server's own stand in the statement.
async function setExtensionRights(session: Session, lists: readonly ExtensionRights[]): Promise<void> {
  if (lists.length === 0) return;
  const members = await session.query<{ type: string; identity: string; grantees: (string | null)[] }>(
    `SELECT i.type, i.identity, ARRAY(SELECT g.rolname::text FROM pg_init_privs p CROSS JOIN LATERAL aclexplode(p.initprivs) x
       LEFT JOIN pg_roles g ON g.oid = x.grantee WHERE p.classoid = m.classid AND p.objoid = m.objid AND p.objsubid = 0
       AND g.rolname IS DISTINCT FROM current_user) AS grantees
     FROM pg_depend m CROSS JOIN LATERAL pg_identify_object(m.classid, m.objid, 0) i
     WHERE m.refclassid = 'pg_extension'::regclass AND m.deptype = 'e'`,
  );
  const byName = new Map(members.map((found) => [`${found.type} ${found.identity}`, found]));
  for (const { type, identity, rights } of lists) {
    const found = byName.get(`${type} ${identity}`);
    const kind = kinds[type];
    if (found === undefined || kind === undefined) continue; // another version of the extension: the digests tell
    await exchangeRights(session, `${kind} ${found.identity}`, [null, ...found.grantees], rights);
  }
}

const plurals: Readonly<Record<string, string>> = {
  r: 'TABLES',
  S: 'SEQUENCES',
  f: 'FUNCTIONS',
  T: 'TYPES',
  n: 'SCHEMAS',
  L: 'LARGE OBJECTS',
};

async function setDefaultRights(session: Session, { role, schema, kind, rights }: DefaultRights): Promise<void> {
  const plural = plurals[kind];
  if (plural === undefined) throw new Failure('bug', 'unknown default rights', { where: kind });
  const place = schema === null ? '' : ` IN SCHEMA ${quoteName(schema)}`;
  const alter = `ALTER DEFAULT PRIVILEGES FOR ROLE ${quoteName(role)}${place}`;
  // Those of a schema are added to what a role has anyhow; those of the whole database take its place.
  const revoke = schema === null ? [null, role].map((had) => `${alter} REVOKE ALL ON ${plural} FROM ${whom(had)}`) : [];
  const grant = rights.map(({ grantee, privilege, grantable }) => {
    return `${alter} GRANT ${privilege} ON ${plural} TO ${whom(grantee)}${grantable ? ' WITH GRANT OPTION' : ''}`;
  });
  await session.query([...revoke, ...grant].join('; '));
}
