import type { Holds } from '../../drops/holds.ts';
import type { Intake } from '../../drops/intake.ts';
import type { AgentRuns } from '../../puppet/agent-runs.ts';
import type { Host } from '../../puppet/database-facts.ts';
import type { SwitchTools } from '../../puppet/database-switch.ts';
import type { Health } from '../../puppet/health.ts';
import type { KeyFiles } from '../../puppet/key-files.ts';
import type { BrakeLimits } from '../../rules/brake-limits.ts';
import type { Journal } from '../../system/journal.ts';
import type { Postgres } from '../../system/postgres.ts';
import type { ServiceManager } from '../../system/service-manager.ts';
import type { SwitchNote } from '../../system/web-notes.ts';

export interface RestoredDatabase {
  readonly name: string;
  /** Units that use it, in the order to stop them. */
  readonly services: readonly string[];
  /** What must be healthy again if it was. */
  readonly health: readonly string[];
  /** Extensions that its dumps may ask for, besides those that every dump may. */
  readonly extensions: readonly string[];
  /** `promotion`: loaded and checked now, live only when this host becomes active. */
  readonly switch: 'schedule' | 'promotion';
}

/** What a switch, or its end, needs: no role, no drop, no way between the masters. */
export interface SwitchParts {
  /** Superuser of PostgreSQL. */
  readonly admin: Postgres;
  /** One journal a database, so that one that is stuck does not stop the others. */
  readonly journalOf: (database: string) => Journal;
  readonly stateDirectory: string;
  readonly services: ServiceManager;
  /** The lock of all who stop services. */
  readonly withServicesLock: <Value>(work: () => Promise<Value>) => Promise<Value>;
  readonly agentRuns: AgentRuns;
  readonly health: Health;
  readonly keyFiles: KeyFiles;
  readonly note: SwitchNote;
  readonly limits?: SwitchTools['limits'];
}

export interface RestoreDbsOptions extends SwitchParts {
  /** Unprivileged role of ours. */
  readonly restorer: Postgres;
  readonly host: Host;
  readonly intake: Omit<Intake, 'reopen'>;
  readonly holds: Pick<Holds, 'raise' | 'isReleased' | 'list' | 'close'>;
  readonly databases: readonly RestoredDatabase[];
  /** True once an admin said that what is live here may be replaced. */
  readonly adopted: () => Promise<boolean>;
  readonly parallel?: number;
  readonly timeoutMs?: number;
  readonly cron?: string;
  /** How long a loaded database may wait for its switch before a WARNING says so. */
  readonly stagedLimitMs?: number;
  /** How many rows of a table may vanish before the switch is held. */
  readonly rowsLimits?: BrakeLimits;
}
