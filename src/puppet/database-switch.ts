import { Failure, toFailure } from '../errors.ts';
import type { Epoch } from '../rules/epoch.ts';
import type { Need } from '../rules/manifest.ts';
import { swapDirection } from '../rules/swap.ts';
import type { Clock } from '../system/clock.ts';
import { recover, runOperation, type Journal, type Operation } from '../system/journal.ts';
import type { JobLog } from '../system/log.ts';
import type { Postgres } from '../system/postgres.ts';
import type { ServiceManager } from '../system/service-manager.ts';
import type { SwitchNote } from '../system/web-notes.ts';
import type { AgentRuns } from './agent-runs.ts';
import { findByOid, findDatabase } from './database-facts.ts';
import { createStanding, type Standing } from './database-standing.ts';
import { backSteps, forwardSteps, judgingSteps, reopen, swapBack } from './database-switch-steps.ts';
import type { Health } from './health.ts';
import type { KeyFiles } from './key-files.ts';

/** Everything that the steps of a switch need, known before it begins; stands in the journal. */
export interface SwitchArgs {
  readonly way: 'forward' | 'back';
  readonly database: string;
  /** OID of the database that was live when it began. */
  readonly oldOid: number;
  /** Name and OID of the loaded one. */
  readonly staging: string;
  readonly freshOid: number;
  /** What the old one is called in between. */
  readonly previous: string;
  /** Services that ran, in the order to stop them. */
  readonly ran: readonly string[];
  /** What was healthy before. */
  readonly healthy: readonly string[];
  readonly needs: readonly Need[];
  readonly epoch: Epoch;
  readonly sequence: number;
  readonly stream: string;
  /** Why it goes back. */
  readonly why?: string;
}

export interface SwitchTools {
  readonly admin: Postgres;
  readonly services: ServiceManager;
  readonly agentRuns: AgentRuns;
  readonly health: Health;
  readonly keyFiles: KeyFiles;
  /** Load balancers are told from right before the services stop until all is as it was. */
  readonly note: SwitchNote;
  readonly clock: Clock;
  readonly log: JobLog;
  /** Asked right before the database is closed, and again before the renames. */
  readonly fence: () => Promise<void>;
  readonly limits: SwitchLimits;
  /** The role is about to be left: no service is stopped any more, and what only waits ends. The next start goes on from there. */
  readonly leaving: AbortSignal;
}

export interface SwitchLimits {
  readonly agentRunMs: number;
  readonly healthyMs: number;
  /** How long health is waited for once the role is about to be left: until then agent runs stay disabled. */
  readonly leavingMs?: number;
}

export const defaultLimits: SwitchLimits = { agentRunMs: 600_000, healthyMs: 600_000 };

export type SwitchResult = { readonly kind: 'switched' } | { readonly kind: 'went back'; readonly why: string };

export type SwitchRecovery =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'undone' | 'switched'; readonly args: SwitchArgs }
  | { readonly kind: 'went back'; readonly why: string; readonly args: SwitchArgs };

/** The steps that a switch may die at, by the way it goes. */
export function switchSteps(tools: SwitchTools, standing: Standing, args: SwitchArgs): Operation<SwitchArgs>['steps'] {
  return args.way === 'forward' ? forwardSteps(tools, standing, args) : backSteps(tools, standing, args);
}

/**
 * Makes the loaded database the live one, with a stop of the services that use it. Where they do not come back healthy, the old
 * one is made live again. Thrown errors mean: nothing was switched, and what ran was started again as far as it would.
 */
export async function switchDatabase(tools: SwitchTools, journal: Journal, args: SwitchArgs): Promise<SwitchResult> {
  await using standing = createStanding(tools.admin);
  await standing.use(async () => undefined); // connects before anything stops
  return await endWell(tools, journal, standing, args, async () => {
    await runOperation(journal, operationOf(tools, standing, args, 'start services'));
  });
}

/** Ends a switch that a crash interrupted: by what the database is, finishes or undoes it. */
export async function recoverSwitch(tools: SwitchTools, journal: Journal): Promise<SwitchRecovery> {
  const open = await journal.open();
  if (open === undefined) return { kind: 'nothing' };
  const args = open.args as SwitchArgs;
  await using standing = createStanding(tools.admin);
  await tools.note.begin(args.database); // services may be stopped
  if (args.way === 'back') {
    await bringingBack(tools, args, () => goBack(tools, journal, standing, args));
    return { kind: 'went back', why: args.why ?? '', args };
  }
  let undone = false;
  const result = await endWell(tools, journal, standing, args, async () => {
    const direction = await directionNow(standing, args);
    undone = direction === 'undo';
    const turn = undone ? 'start services' : 'swap';
    await recover<SwitchArgs>(journal, async () => operationOf(tools, standing, args, turn));
  });
  if (result.kind === 'went back') return { ...result, args };
  return { kind: undone ? 'undone' : 'switched', args };
}

/**
 * The part of a recovery that needs no service: before they start after a reboot. The database has its name and is open, and the
 * key files are those of that database. The journal stays open for `recoverSwitch`. False: nothing was open.
 */
export async function recoverDatabase(
  { admin, keyFiles }: Pick<SwitchTools, 'admin' | 'keyFiles'>,
  journal: Journal,
): Promise<boolean> {
  const open = await journal.open();
  if (open === undefined) return false;
  const args = open.args as SwitchArgs;
  await using standing = createStanding(admin);
  const goesBack = args.way === 'back' || (await directionNow(standing, args)) === 'undo';
  await standing.use(async (session) => {
    if (args.way === 'back') await swapBack(session, args);
    await reopen(session, args, args.oldOid);
  });
  if (goesBack) await keyFiles.putBack(args.needs);
  return true;
}

function operationOf(
  tools: SwitchTools,
  standing: Standing,
  args: SwitchArgs,
  pointOfNoReturn: string,
): Operation<SwitchArgs> {
  const run = `${args.stream}-${args.epoch.number}-${args.sequence}-${args.way}`;
  return { job: 'restore-dbs', run, args, steps: switchSteps(tools, standing, args), pointOfNoReturn };
}

// Where the new database was judged and lost, the old one comes back; any other error leaves the journal to the next recovery.
async function endWell(
  tools: SwitchTools,
  journal: Journal,
  standing: Standing,
  args: SwitchArgs,
  work: () => Promise<void>,
): Promise<SwitchResult> {
  return await bringingBack(tools, args, async () => {
    try {
      await work();
      return { kind: 'switched' };
    } catch (error) {
      const open = await journal.open();
      const failure = toFailure(error);
      const isJudged = open !== undefined && judgingSteps.includes(open.step) && failure.class !== 'interrupted';
      if (open !== undefined && failure.class === 'interrupted') tools.log.warning(unjudged(args));
      if (!isJudged) throw error;
      // Where PostgreSQL ended meanwhile, that is the cause: the new database is judged again when it is back.
      await standing.use((session) => session.query('SELECT 1'));
      const why = failure.message;
      tools.log.failure(`Switching database ${args.database} back: ${why}`);
      await goBack(tools, journal, standing, { ...args, way: 'back', why });
      return { kind: 'went back', why };
    }
  });
}

const unjudged = ({ database }: SwitchArgs): string =>
  `The switch of database ${database} was left before all was healthy: agent runs stay disabled until the agent of pe-failover runs again, or until you type: pe-failover recover`;

async function goBack(tools: SwitchTools, journal: Journal, standing: Standing, args: SwitchArgs): Promise<void> {
  const operation = operationOf(tools, standing, args, 'stop services again');
  const open = await journal.open();
  const resumed = open !== undefined && (open.args as SwitchArgs).way === 'back';
  if (resumed) await recover<SwitchArgs>(journal, async () => operation);
  else await runOperation(journal, operation);
}

async function directionNow(standing: Standing, args: SwitchArgs): Promise<'finish' | 'undo'> {
  const facts = await standing.use(async (session) => ({
    live: (await findDatabase(session, args.database))?.oid,
    old: args.oldOid,
    fresh: args.freshOid,
    oldExists: (await findByOid(session, args.oldOid)) !== undefined,
    freshExists: (await findByOid(session, args.freshOid)) !== undefined,
  }));
  const { way, why } = swapDirection(facts);
  if (way !== 'stuck') return way;
  const hint = `Give one of them the name in psql: ALTER DATABASE ... RENAME TO "${args.database}"`;
  throw new Failure('config', 'cannot end an interrupted switch', { where: args.database, why, hint });
}

// INVARIANT: no error of ours leaves a service stopped that we stopped. Each gets its start, whatever the others do; then agents may come.
async function bringingBack<Value>(tools: SwitchTools, args: SwitchArgs, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    for (const unit of [...args.ran].reverse()) {
      await startIfStopped(tools.services, unit).catch((failed: unknown) =>
        tools.log.failure(toFailure(failed).message),
      );
    }
    throw error;
  } finally {
    await tools.note.end();
  }
}

async function startIfStopped(services: ServiceManager, unit: string): Promise<void> {
  if (!(await services.isActive(unit))) await services.start(unit);
}
