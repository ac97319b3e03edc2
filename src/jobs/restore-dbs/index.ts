import { byPlace } from '../../drops/archive.ts';
import type { VerifiedDrop } from '../../drops/intake.ts';
import { Failure, toFailure } from '../../errors.ts';
import { eachDatabase } from '../../puppet/each-database.ts';
import { findByOid, maintenanceDatabase } from '../../puppet/database-facts.ts';
import { sweepLeftovers } from '../../puppet/database-staging.ts';
import type { DropReference } from '../../rules/receipt.ts';
import type { Attempt } from '../../rules/waiting.ts';
import { isBusy } from '../../system/lock.ts';
import type { Job, Outcome, PassContext } from '../job.ts';
import { closeBrakes, closeFailed, raiseFailed } from './brakes.ts';
import { createOverdueBook, type OverdueBook } from './overdue.ts';
import { createRecordStore, type RecordStore, type Staged } from './record.ts';
import { referenceOf, stageDrop } from './stage.ts';
import { quarantine, recoverOne, switchStaged, type Switched } from './switch.ts';
import type { RestoreDbsOptions, RestoredDatabase } from './tools.ts';

/** Causes of a pass that may stop services, and its retries; any other only loads and checks what arrived. */
const switching = new Set(['cron', 'by hand', 'promotion']);

/** Loads what arrived beside the live databases at once, and makes it live at its predictable minute. */
export function createRestoreDbs(options: RestoreDbsOptions): Job {
  const streams = options.databases.map(({ name }) => `db-dump.${name}`);
  const cron = options.cron ?? '3 * * * *';
  const limitMs = options.stagedLimitMs ?? 6 * hourMs;
  const memory: Memory = { owed: new Set(), overdue: createOverdueBook({ limitMs, cron }) };
  return {
    name: 'restore-dbs',
    role: 'passive',
    triggers: [
      { kind: 'start' },
      { kind: 'drop', streams },
      { kind: 'cron', expression: cron },
      { kind: 'every', ms: Math.min(limitMs, hourMs) }, // stops nothing: sees what waits though no minute comes
    ],
    run: (context) =>
      eachDatabase(options.databases, context.signal, (database) =>
        restoreOne(allowing(options, database), database, memory, context).catch(waitingWhereBusy),
      ),
  };
}

const allowing = (tools: RestoreDbsOptions, { extensions }: RestoredDatabase): RestoreDbsOptions => ({
  ...tools,
  host: { ...tools.host, allowedExtensions: [...tools.host.allowedExtensions, ...extensions] },
});

/** The agent ends an interrupted switch at its start, whatever its role. */
function waitingWhereBusy(error: unknown): Outcome {
  if (isBusy(error))
    return { kind: 'waiting', why: `services are stopped or started already: ${toFailure(error).why ?? ''}` };
  throw error;
}

const hourMs = 3_600_000;

interface Memory {
  /** Databases whose minute came, and whose switch was put off since: the retry of such a pass may switch. */
  readonly owed: Set<string>;
  readonly overdue: OverdueBook;
}

async function restoreOne(
  tools: RestoreDbsOptions,
  database: RestoredDatabase,
  { owed, overdue }: Memory,
  context: PassContext,
): Promise<Outcome> {
  const { name } = database;
  const isMinute = switching.has(context.cause) || (context.cause === 'retry' && owed.has(name));
  if (isMinute) owed.add(name);
  const store = createRecordStore(tools.stateDirectory, name);
  await recoverOne(tools, name, store, context);
  await honourRelease(tools, store);
  const drop = await tools.intake.next(`db-dump.${name}`);
  await tidy(tools, name, store, drop, context);
  // Tidying may have settled it.
  const next = await tools.intake.next(`db-dump.${name}`);
  const staging = await stageNext(tools, name, store, next, context);
  const { staged, followed } = await store.read();
  if (!isMinute || staged === undefined) {
    if (isMinute) owed.delete(name);
    await overdue.note(name, store, untried(database, staged), context);
    if (staging instanceof Failure) throw staging;
    return staging ?? { kind: 'unchanged', why: staged === undefined ? 'nothing arrived' : 'staged already' };
  }
  const switched = await switchStaged(tools, database, { ...staged, followed }, context).catch(
    async (error: unknown) => {
      const { class: errorClass, message: why } = toFailure(error);
      if (errorClass !== 'interrupted') await overdue.note(name, store, { kind: 'put off', why }, context);
      throw error;
    },
  );
  if (switched.kind !== 'not tried' || switched.outcome.kind !== 'waiting') owed.delete(name);
  await overdue.note(name, store, attemptOf(switched), context);
  const outcome = await conclude(tools, store, next, switched);
  if (staging instanceof Failure) throw staging;
  return outcome;
}

// A database that waits for a promotion, and what changed by use alone, wait by design.
function untried(database: RestoredDatabase, staged: Staged | undefined): Attempt {
  if (staged === undefined) return { kind: 'over', why: 'nothing is loaded that differs' };
  const byDesign = database.switch === 'promotion' || staged.byUse === true;
  return byDesign ? { kind: 'over', why: 'it differs no more in what counts' } : { kind: 'not tried' };
}

function attemptOf(switched: Switched): Attempt {
  if (switched.kind !== 'not tried') return { kind: 'over', ...(switched.kind === 'live' && { why: switched.why }) };
  const { kind, why } = switched.outcome;
  return kind === 'waiting' || kind === 'held' ? { kind: 'put off', why } : { kind: 'over', why };
}

/** A failure is handed on: it must not keep an older drop, which is loaded and checked, from going live. */
async function stageNext(
  tools: RestoreDbsOptions,
  name: string,
  store: RecordStore,
  next: VerifiedDrop | undefined,
  context: PassContext,
): Promise<Outcome | Failure | undefined> {
  if (next === undefined) return undefined;
  const staging = await stageDrop(tools, store, next, context).catch((error: unknown) => toFailure(error));
  if (staging instanceof Failure && staging.class === 'interrupted') throw staging;
  await tidy(tools, name, store, next, context); // of an older one nothing may be left to count on
  return staging;
}

/** A content that failed here is held, and refused until an admin says that its cause is mended. */
async function honourRelease({ holds }: RestoreDbsOptions, store: RecordStore): Promise<void> {
  const { quarantined, ...rest } = await store.read();
  if (quarantined === undefined) return;
  const id = await raiseFailed({ holds }, quarantined);
  if (!(await holds.isReleased(id))) return;
  await store.write(rest);
  await holds.close(id);
}

async function conclude(
  tools: RestoreDbsOptions,
  store: RecordStore,
  drop: VerifiedDrop | undefined,
  result: Switched,
): Promise<Outcome> {
  switch (result.kind) {
    case 'not tried':
      return result.outcome;
    case 'live':
      await forget(tools, store, drop, { state: 'applied', why: result.why });
      return { kind: 'done', why: result.why };
    case 'went back': {
      await quarantine(store, result.why);
      await honourRelease(tools, store);
      await forget(tools, store, drop, { state: 'failed', why: result.why });
      const hint = 'The old database is live again. Mend the cause, then type: pe-failover holds';
      throw new Failure('bad-data', 'database switched back', { why: result.why, hint });
    }
  }
}

// Settled before it is forgotten: killed in between, the next pass finds it staged and settles it again. Its files may be
// gone (overtaken, or removed by hand): what became of it is said all the same, unless a newer one failed meanwhile.
async function forget(
  tools: RestoreDbsOptions,
  store: RecordStore,
  drop: VerifiedDrop | undefined,
  verdict: { readonly state: 'applied' | 'failed'; readonly why: string },
): Promise<void> {
  const { staged, ...rest } = await store.read();
  const isApplied = verdict.state === 'applied';
  if (staged !== undefined) {
    if (isApplied) await closeBrakes(tools, staged.drop.stream);
    const failed = rest.quarantined?.drop;
    if (drop !== undefined && isSame(referenceOf(drop), staged.drop)) await tools.intake.settle(drop, verdict);
    else if (failed === undefined || byPlace(failed, staged.drop) <= 0) await tools.intake.report(staged.drop, verdict);
  }
  if (!isApplied || staged === undefined) return await store.write(rest);
  const followed = { epoch: staged.drop.epoch, rows: staged.shape?.rows };
  await store.write({ ...(await closeFailed(tools, rest, staged.drop)), followed });
}

const isSame = (a: DropReference, b: DropReference): boolean => a.epoch.id === b.epoch.id && a.sequence === b.sequence;

/** Compares what is remembered with the databases that exist, and drops what nobody counts on. */
async function tidy(
  tools: RestoreDbsOptions,
  database: string,
  store: RecordStore,
  drop: VerifiedDrop | undefined,
  context: PassContext,
): Promise<void> {
  await using session = await tools.admin.connect(maintenanceDatabase, { signal: context.signal });
  const { staged, quarantined, ...rest } = await store.read();
  const found = staged === undefined ? undefined : await findByOid(session, staged.oid);
  const lost = staged !== undefined && quarantined?.drop.digest === staged.drop.digest;
  if (lost) await forget(tools, store, drop, { state: 'failed', why: quarantined.why });
  else if (staged !== undefined && found?.name === database) {
    await forget(tools, store, drop, { state: 'applied', why: `drop ${staged.drop.sequence} is live` });
  } else if (staged !== undefined && found?.name !== staged.name) {
    await store.write({ ...rest, ...(quarantined === undefined ? {} : { quarantined }) });
  }
  const { staged: kept } = await store.read();
  const swept = await sweepLeftovers(session, database, kept === undefined ? [] : [kept.oid]);
  if (swept.length > 0) context.log.success(`Dropped what is no longer needed: ${swept.join(', ')}`);
}
