import { sqlState, type Postgres, type Session } from '../system/postgres.ts';
import { maintenanceDatabase } from './database-facts.ts';

/**
 * A connection that is there when it is needed: opened before the outage begins, and again when PostgreSQL ended it, so that
 * the way back does not fail of what failed before.
 */
export interface Standing extends AsyncDisposable {
  use<Value>(work: (session: Session) => Promise<Value>): Promise<Value>;
}

const statementTimeoutMs = 60_000;

export function createStanding(admin: Postgres): Standing {
  let open: Session | undefined;
  // Not the pass's signal: what was begun is ended, also when the role is being left.
  const session = async (): Promise<Session> => {
    open ??= await admin.connect(maintenanceDatabase, { signal: new AbortController().signal, statementTimeoutMs });
    return open;
  };
  const close = async (): Promise<void> => {
    const closing = open;
    open = undefined;
    await closing?.close();
  };
  return {
    use: async (work) => {
      try {
        return await work(await session());
      } catch (error) {
        if (sqlState(error) === undefined || sqlState(error)?.startsWith('57P') === true) await close();
        throw error;
      }
    },
    [Symbol.asyncDispose]: close,
  };
}
