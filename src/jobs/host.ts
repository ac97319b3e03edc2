import type { Greeting } from '../drops/peer.ts';
import type { Spare } from '../drops/spare.ts';
import type { AgentRuns } from '../puppet/agent-runs.ts';
import type { Classifier } from '../puppet/classifier.ts';
import type { Health } from '../puppet/health.ts';
import type { Paths } from '../rules/paths.ts';
import type { BrakeLimits } from '../rules/brake-limits.ts';
import type { Exec } from '../system/exec.ts';
import type { Postgres } from '../system/postgres.ts';
import type { ServiceManager } from '../system/service-manager.ts';
import type { SwitchNote } from '../system/web-notes.ts';

/** What the configuration says of the jobs; times in milliseconds. */
export interface JobSettings {
  readonly enabled: (job: string) => boolean;
  /** What a spare takes in where it says. */
  readonly files: readonly string[];
  /** What an active sends: these, and the keys without which its databases cannot be read. */
  readonly sentFiles: readonly string[];
  readonly excludeCerts: readonly string[];
  readonly serialGap: bigint;
  readonly every: {
    readonly syncCerts: number;
    readonly syncFiles: number;
    readonly updateCa: number;
    readonly updateFiles: number;
    readonly fetchMadeHere: number;
  };
  readonly cron: {
    readonly ncDump: string;
    readonly dbDump: string;
    readonly restoreNc: string;
    readonly restoreDbs: string;
  };
  readonly poll: { readonly ncDump: number; readonly dbDump: number };
  /** Of a pass; no tool or statement in it has a shorter one of its own. */
  readonly timeout: { readonly dbDump: number; readonly restoreDbs: number };
  /** How many trees of node groups are kept on an active. */
  readonly keptTrees: number;
  /** How many archives of what was replaced are kept. */
  readonly keptArchives: number;
  /** Bytes that no dump, load or adoption may use up. */
  readonly freeSpace: number;
  readonly hostMap: readonly { readonly active: string; readonly passive: string }[];
  /** Names of node groups that count as the platform's, besides its own. */
  readonly furtherInfrastructure: readonly string[];
  readonly databases: readonly {
    readonly name: string;
    readonly services: readonly string[];
    readonly health: readonly string[];
    readonly needs: readonly string[];
    readonly volatile: readonly string[];
    readonly extensions: readonly string[];
    readonly switch: 'schedule' | 'promotion';
  }[];
  readonly build: string;
  readonly parallel: number;
  readonly limits: { readonly agentRunMs: number; readonly healthyMs: number };
  readonly stagedLimitMs: number;
  /** How much may vanish at once before it is held. */
  readonly brakes: Readonly<Record<'ca' | 'classifier' | 'databases' | 'files', BrakeLimits>>;
}

export interface JobHost {
  readonly paths: Paths;
  readonly exec: Exec;
  readonly settings: JobSettings;
  readonly certname: string;
  /** Resolved; where no CA is yet, where it will be. */
  readonly cadir: string;
  readonly classifier: Classifier;
  /** PostgreSQL as its superuser. */
  readonly admin: Postgres;
  /** What the spare is to be told of keys, as a signed line, after a greeting of it. */
  readonly answerOnKeys: (greeting: Greeting) => Promise<string | undefined>;
  /** Registers what must be closed when the role is left. */
  readonly onClose: (close: () => void) => void;
}

export interface SpareHost extends JobHost {
  readonly spare: Spare;
  /** PostgreSQL as our own unprivileged role. */
  readonly restorer: Postgres;
  readonly services: ServiceManager;
  readonly agentRuns: AgentRuns;
  readonly health: Health;
  /** Tells load balancers of a switch of a database. */
  readonly note: SwitchNote;
  readonly mayChown: boolean;
  readonly isServerStopped: () => Promise<boolean>;
  readonly adopted: () => Promise<boolean>;
}
