import { databaseBrakes, type DatabaseBrake, type DatabaseShape } from '../../rules/brakes-database.ts';
import { rbacDatabase } from '../../puppet/rbac-administrators.ts';
import type { Outcome, PassContext } from '../job.ts';
import type { Staged } from './record.ts';
import type { RestoreDbsOptions } from './tools.ts';

type Tools = Pick<RestoreDbsOptions, 'holds' | 'intake' | 'rowsLimits'>;
interface Raised extends DatabaseBrake {
  readonly holdId: string;
}

/** What keeps a database that is loaded and checked from going live: it looks like a mistake. Undefined: nothing does. */
export async function brakeOn(
  tools: Tools,
  database: string,
  live: DatabaseShape,
  { drop, shape }: Staged,
  { log }: Pick<PassContext, 'log'>,
): Promise<Outcome | undefined> {
  if (shape === undefined) return undefined;
  if (database === rbacDatabase && live.administrators === undefined) {
    log.warning(`The tables of ${database} are not as they are known: whether an administrator is left cannot be told`);
  }
  const raised: Raised[] = [];
  for (const brake of databaseBrakes(database, live, shape, tools.rowsLimits))
    raised.push({ ...brake, holdId: await tools.holds.raise({ ...brake, stream: drop.stream, drop }) });
  await closeOthers(tools, drop.stream, raised);
  for (const { holdId, sentence, rule, difference } of raised) {
    if (await tools.holds.isReleased(holdId)) continue;
    const why = `${sentence}. To let it through, type: pe-failover release ${holdId}`;
    log.failure(`Not made live: ${why}`);
    await tools.intake.report(drop, { state: 'held', why, holdId, waits: true });
    return { kind: 'held', why, detail: { rule, holdId, difference } };
  }
  return undefined;
}

const ours: ReadonlySet<string> = new Set<DatabaseBrake['rule']>(['rows-vanish', 'administrators-vanish']);

/** What was held is live: a release is no permit for the next time. */
export const closeBrakes = (tools: Tools, stream: string): Promise<void> => closeOthers(tools, stream, []);

/** A newer database that is harmless lifts a hold by itself; what did not load at all is held by another rule. */
async function closeOthers({ holds }: Tools, stream: string, standing: readonly Raised[]): Promise<void> {
  for (const { id, rule, stream: other } of await holds.list())
    if (other === stream && ours.has(rule) && !standing.some(({ holdId }) => holdId === id)) await holds.close(id);
}
