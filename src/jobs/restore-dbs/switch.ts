import { Failure } from '../../errors.ts';
import { gatherRestoreFacts, maintenanceDatabase, requireDatabase } from '../../puppet/database-facts.ts';
import {
  defaultLimits,
  recoverSwitch,
  switchDatabase,
  type SwitchArgs,
  type SwitchTools,
} from '../../puppet/database-switch.ts';
import { runningOf } from '../../puppet/services.ts';
import { leavingOf } from '../../rules/leaving.ts';
import { previousName } from '../../rules/database-names.ts';
import { refusalOf } from '../../rules/restore-refusals.ts';
import { type Outcome, type PassContext } from '../job.ts';
import type { RecordStore, RestoreRecord, Staged } from './record.ts';
import { brakeOn } from './brakes.ts';
import { measureLive } from './stage.ts';
import type { RestoreDbsOptions, RestoredDatabase, SwitchParts } from './tools.ts';

/** What came of a switch: live, back to the old one, or not tried. */
export type Switched =
  | { readonly kind: 'live' | 'went back'; readonly why: string }
  | { readonly kind: 'not tried'; readonly outcome: Outcome };

const not = (kind: Outcome['kind'], why: string): Switched => ({ kind: 'not tried', outcome: { kind, why } });

/** Makes what is staged live, if that changes anything and nothing speaks against it. */
export async function switchStaged(
  tools: RestoreDbsOptions,
  database: RestoredDatabase,
  staged: Staged & Pick<RestoreRecord, 'followed'>,
  context: PassContext,
): Promise<Switched> {
  const promoting = context.cause === 'promotion';
  if (database.switch === 'promotion' && !promoting) return not('unchanged', 'staged; goes live at promotion only');
  const live = await measureLive(tools, database.name, staged.detail.volatile, context.signal);
  if (live.wholeDigest === staged.detail.wholeDigest) return not('unchanged', 'live is the same');
  if (live.digest === staged.detail.digest && !promoting) {
    return not('unchanged', 'differs only in what changes by use: no service is stopped for that');
  }
  if (!(await tools.adopted())) {
    const why = 'what is live here differs and was never replaced before: type pe-failover adopt';
    await tools.intake.report(staged.drop, { state: 'held', why, waits: true });
    return not('held', why);
  }
  await mayBeReplaced(tools, database.name, staged, context.signal); // of another build, other tables are no mistake
  // The first of all replaces what an installer made, as the admin said.
  const braked = staged.followed === undefined ? {} : await brakeOn(tools, database.name, live.shape, staged, context);
  if (braked.held !== undefined) return { kind: 'not tried', outcome: braked.held };
  const missing = await tools.keyFiles.missing(staged.needs);
  if (missing.length > 0) {
    const way = 'on the active, type: pe-failover run sync-files';
    return not('waiting', `key files have not arrived: ${missing.join(', ')}; ${way}`);
  }
  const switched = await tools.withServicesLock(() => doSwitch(tools, database, staged, context));
  if (switched.kind === 'live' && braked.warning !== undefined) context.log.warning(braked.warning);
  return switched;
}

async function doSwitch(
  tools: RestoreDbsOptions,
  { name, services, health }: RestoredDatabase,
  staged: Staged,
  context: PassContext,
): Promise<Switched> {
  const oldOid = await mayBeReplaced(tools, name, staged, context.signal);
  const unhealthy = await tools.health.unhealthy(health);
  for (const [key, why] of unhealthy)
    context.log.warning(`${key} ${why}: it is not waited for after the switch of ${name}`);
  const args: SwitchArgs = {
    way: 'forward',
    database: name,
    oldOid,
    staging: staged.name,
    freshOid: staged.oid,
    previous: previousName(name, staged.drop),
    ran: await runningOf(tools.services, services),
    healthy: health.filter((key) => !unhealthy.has(key)),
    needs: staged.needs,
    epoch: staged.drop.epoch,
    sequence: staged.drop.sequence,
    stream: staged.drop.stream,
  };
  await context.fence();
  const result = await switchDatabase(switchTools(tools, context), tools.journalOf(name), args);
  if (result.kind === 'went back') return result;
  context.log.success(`Completed restore of database ${name}`);
  return { kind: 'live', why: `drop ${staged.drop.sequence} is live` };
}

// Asked again: days may lie between loading and switching. The space is taken already.
async function mayBeReplaced(
  tools: RestoreDbsOptions,
  database: string,
  staged: Staged,
  signal: AbortSignal,
): Promise<number> {
  await using session = await tools.admin.connect(maintenanceDatabase, { signal });
  const restorer = tools.restorer.role;
  const drop = { database, build: staged.build, detail: { ...staged.detail, bytes: 0 }, restorer };
  const refusal = refusalOf(await gatherRestoreFacts(session, tools.admin, drop, tools.host));
  if (refusal !== undefined) throw new Failure('config', 'cannot restore database', { where: database, ...refusal });
  return (await requireDatabase(session, database)).oid;
}

/** What of a pass a switch needs. */
export type SwitchContext = Pick<PassContext, 'signal' | 'leaving' | 'log' | 'clock' | 'fence'>;

const switchTools = (tools: SwitchParts, context: SwitchContext): SwitchTools => ({
  leaving: leavingOf(context),
  admin: tools.admin,
  services: tools.services,
  agentRuns: tools.agentRuns,
  health: tools.health,
  keyFiles: tools.keyFiles,
  note: tools.note,
  clock: context.clock,
  log: context.log,
  fence: context.fence,
  limits: tools.limits ?? defaultLimits,
});

/** Ends what a crash interrupted; a content that lost is remembered before anything else may try it again. */
export async function recoverOne(
  tools: SwitchParts,
  database: string,
  store: RecordStore,
  context: SwitchContext,
): Promise<boolean> {
  const journal = tools.journalOf(database);
  if ((await journal.open()) === undefined) return false;
  const recovery = await tools.withServicesLock(() => recoverSwitch(switchTools(tools, context), journal));
  if (recovery.kind === 'nothing') return false;
  context.log.warning(`An interrupted switch of database ${database} was ended: ${recovery.kind}`);
  if (recovery.kind === 'went back') await quarantine(store, recovery.why);
  return true;
}

/** Refuses the staged content from now on. It stays remembered as staged until its receipt is written. */
export async function quarantine(store: RecordStore, why: string): Promise<void> {
  const record = await store.read();
  if (record.staged === undefined) return;
  await store.write({ ...record, quarantined: { drop: record.staged.drop, why } });
}
