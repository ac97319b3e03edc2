import { toFailure } from '../errors.ts';
import type { Postgres, Session } from '../system/postgres.ts';
import { quoteName } from '../system/postgres.ts';
import { leftoverDatabases, maintenanceDatabase } from './database-facts.ts';
import { dropDatabase } from './database-staging.ts';

/** What this program made in PostgreSQL: databases beside the live ones, and a role. The live ones are not among it. */
export interface OwnInPostgres {
  readonly databases: readonly string[];
  readonly role: boolean;
}

const askMs = 15_000;
const dropMs = 300_000;

/** Throws where PostgreSQL cannot be asked. */
export async function findOwn(admin: Postgres, names: readonly string[], role: string): Promise<OwnInPostgres> {
  return await within(admin, askMs, async (session) => {
    const databases: string[] = [];
    for (const name of names)
      databases.push(...(await leftoverDatabases(session, name)).map((found) => found.name).sort());
    const roles = await session.query('SELECT FROM pg_roles WHERE rolname = $1', [role]);
    return { databases, role: roles.length > 0 };
  });
}

/** What pg_upgrade meets: it refuses whatever does not allow connections, but for template0. */
export interface MetByUpgrade {
  readonly ours: readonly { readonly name: string; readonly isClosed: boolean }[];
  /** Not ours, and closed all the same. */
  readonly others: readonly string[];
}

/** Throws where PostgreSQL cannot be asked. */
export async function findForUpgrade(admin: Postgres, names: readonly string[]): Promise<MetByUpgrade> {
  return await within(admin, askMs, async (session) => {
    const ours: { name: string; isClosed: boolean }[] = [];
    for (const name of names)
      for (const found of await leftoverDatabases(session, name))
        ours.push({ name: found.name, isClosed: !found.open });
    const closed = await session.query<{ name: string }>(
      `SELECT datname AS name FROM pg_database WHERE NOT datallowconn AND datname <> 'template0' ORDER BY 1`,
    );
    const others = closed.map(({ name }) => name).filter((name) => !ours.some((own) => own.name === name));
    return { ours, others };
  });
}

export const dropOwnDatabase = (admin: Postgres, name: string): Promise<void> =>
  within(admin, dropMs, (session) => dropDatabase(session, name));

/** Returns why it could not be dropped: something of somebody else hangs on it. */
export const dropOwnRole = (admin: Postgres, role: string): Promise<string | undefined> =>
  within(admin, askMs, async (session) => {
    try {
      await session.query(`DROP ROLE IF EXISTS ${quoteName(role)}`);
      return undefined;
    } catch (error) {
      return toFailure(error).message;
    }
  });

async function within<Value>(admin: Postgres, ms: number, work: (session: Session) => Promise<Value>): Promise<Value> {
  await using session = await admin.connect(maintenanceDatabase, { signal: AbortSignal.timeout(ms) });
  return await work(session);
}
