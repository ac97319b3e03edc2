import type { Right } from '../rules/ownership.ts';
import { quoteName, quoteText, type Session } from '../system/postgres.ts';
import { exchangeRights } from './database-rights.ts';

/**
 * Gives a database what belongs to the live one and not to a dump: access rights, settings, settings of roles in it, comment,
 * connection limit. May run twice.
 */
export async function carryOver(session: Session, from: string, to: string): Promise<void> {
  await carryRights(session, from, to);
  await carrySettings(session, from, to);
  const [row] = await session.query<{ comment: string | null; limit: number }>(
    `SELECT shobj_description(oid, 'pg_database') AS comment, datconnlimit AS limit FROM pg_database WHERE datname = $1`,
    [from],
  );
  const comment = row?.comment === null || row === undefined ? 'NULL' : quoteText(row.comment);
  await session.query(`COMMENT ON DATABASE ${quoteName(to)} IS ${comment}`);
  await session.query(`ALTER DATABASE ${quoteName(to)} CONNECTION LIMIT ${row?.limit ?? -1}`);
}

const rightsQuery = `SELECT g.rolname AS grantee, a.privilege_type AS privilege, a.is_grantable AS grantable
  FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a LEFT JOIN pg_roles g ON g.oid = a.grantee
  WHERE d.datname = $1`;

async function carryRights(session: Session, from: string, to: string): Promise<void> {
  const had = await session.query<Right>(rightsQuery, [to]);
  const wanted = await session.query<Right>(rightsQuery, [from]);
  const grantees = had.map(({ grantee }) => grantee);
  await exchangeRights(session, `DATABASE ${quoteName(to)}`, grantees, wanted);
}

interface Setting {
  readonly role: string | null;
  readonly name: string;
  readonly value: string;
}

const settingsQuery = `SELECT r.rolname AS role, split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value
  FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
  WHERE d.datname = $1`;

// FROM CURRENT: a list setting such as search_path can't be written as one literal.
async function carrySettings(session: Session, from: string, to: string): Promise<void> {
  const target = ({ role }: Setting): string =>
    role === null ? `ALTER DATABASE ${quoteName(to)}` : `ALTER ROLE ${quoteName(role)} IN DATABASE ${quoteName(to)}`;
  const had = await session.query<Setting>(settingsQuery, [to]);
  for (const setting of had) await session.query(`${target(setting)} RESET ${quoteSetting(setting.name)}`);
  for (const setting of await session.query<Setting>(settingsQuery, [from])) {
    const current = `SELECT set_config(${quoteText(setting.name)}, ${quoteText(setting.value)}, true)`;
    await session.query(`${current}; ${target(setting)} SET ${quoteSetting(setting.name)} FROM CURRENT`);
  }
}

const quoteSetting = (name: string): string => name.split('.').map(quoteName).join('.');
