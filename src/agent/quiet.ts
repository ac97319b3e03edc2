import { toFailure, type Failure } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import type { JobLog } from '../system/log.ts';
import type { ServiceManager } from '../system/service-manager.ts';
import { quoteName, type Postgres } from '../system/postgres.ts';
import type { State } from '../system/state.ts';

/**
 * While roles are exchanged nothing may be written that would not travel any more: services that sign are stopped, databases
 * are read-only. INVARIANT: what is made quiet is on disk first, so that whoever finds it lying ends it.
 */
export interface Quiet {
  /** Units that ran, and databases, as far as they are there. */
  begin(units: readonly string[], databases: readonly string[], signal: AbortSignal): Promise<void>;
  /** Undefined: nothing is quiet. */
  standing(): Promise<Quieted | undefined>;
  /** Services that ran run again, databases are written again. */
  end(signal: AbortSignal): Promise<void>;
}

export interface Quieted {
  readonly units: readonly string[];
  readonly databases: readonly string[];
  /** ISO 8601. */
  readonly since: string;
}

export interface QuietParts {
  readonly state: State;
  readonly services: ServiceManager;
  readonly admin: Postgres;
  readonly now: () => Date;
}

const name = 'quiet';

export function createQuiet({ state, services, admin, now }: QuietParts): Quiet {
  const standing = (): Promise<Quieted | undefined> => state.read<Quieted>(name);
  return {
    standing,
    begin: async (units, wanted, signal) => {
      const before = await standing();
      const databases = wanted.length === 0 ? [] : await existing(admin, wanted, signal);
      // Of one that was killed: what it stopped ran before.
      const all = [...new Set([...(before?.units ?? []), ...units])];
      await state.write(name, { units: all, databases, since: before?.since ?? now().toISOString() } satisfies Quieted);
      for (const unit of units) await services.stop(unit);
      for (const database of databases) await setReadOnly(admin, database, true, signal);
    },
    end: async (signal) => {
      const quieted = await standing();
      if (quieted === undefined) return;
      for (const database of quieted.databases) await setReadOnly(admin, database, false, signal);
      for (const unit of quieted.units) if (!(await services.isActive(unit))) await services.start(unit);
      await state.remove(name);
    },
  };
}

const leftLookMs = 5_000;

/** Ends the quiet of whoever was killed in the middle: nobody holds the lock of the procedures any more. */
export async function endLeftQuiet(
  { quiet, isHeld, log, failed, clock }: LeftQuietParts,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      if ((await quiet.standing()) !== undefined && !(await isHeld())) {
        await quiet.end(signal);
        log.warning('An exchange of roles was interrupted: services run again, databases are written again');
      }
    } catch (error) {
      if (!signal.aborted) failed(toFailure(error));
    }
    await clock.sleep(leftLookMs, signal).catch(() => undefined);
  }
}

export interface LeftQuietParts {
  readonly quiet: Pick<Quiet, 'standing' | 'end'>;
  readonly isHeld: () => Promise<boolean>;
  readonly log: JobLog;
  /** Says it once, however often it is tried. */
  readonly failed: (failure: Failure) => void;
  readonly clock: Pick<Clock, 'sleep'>;
}

async function existing(admin: Postgres, names: readonly string[], signal: AbortSignal): Promise<string[]> {
  await using session = await admin.connect('postgres', { signal });
  const rows = await session.query<{ datname: string }>('SELECT datname FROM pg_database WHERE datname = ANY ($1)', [
    names,
  ]);
  return rows.map(({ datname }) => datname);
}

/** Sessions take it from their begin on: those that are there are ended, with what they had not committed. */
async function setReadOnly(admin: Postgres, database: string, isQuiet: boolean, signal: AbortSignal): Promise<void> {
  await using session = await admin.connect('postgres', { signal });
  const found = await session.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
  if (found.length === 0) return; // dropped meanwhile
  const change = isQuiet ? 'SET default_transaction_read_only = on' : 'RESET default_transaction_read_only';
  await session.query(`ALTER DATABASE ${quoteName(database)} ${change}`);
  await session.query(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()',
    [database],
  );
}
