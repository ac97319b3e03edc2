import { byPlace } from '../../drops/archive.ts';
import { databaseBrakes, rowsMadeHere, type DatabaseBrake, type DatabaseShape } from '../../rules/brakes-database.ts';
import { sameEpoch } from '../../rules/epoch.ts';
import { letThrough } from '../../rules/hold-words.ts';
import type { DropReference } from '../../rules/receipt.ts';
import { rbacDatabase } from '../../puppet/rbac-administrators.ts';
import type { Outcome, PassContext } from '../job.ts';
import type { RestoreRecord, Staged } from './record.ts';
import type { RestoreDbsOptions } from './tools.ts';

type Tools = Pick<RestoreDbsOptions, 'holds' | 'intake' | 'rowsLimits'>;
interface Raised extends DatabaseBrake {
  readonly holdId: string;
}

export interface Braked {
  /** It looks like a mistake, and does not go live. */
  readonly held?: Outcome;
  /** To be said once it is live. */
  readonly warning?: string;
}

/** What keeps a database that is loaded and checked from going live. */
export async function brakeOn(
  tools: Tools,
  database: string,
  live: DatabaseShape,
  { drop, shape, followed }: Staged & Pick<RestoreRecord, 'followed'>,
  context: Pick<PassContext, 'log'>,
): Promise<Braked> {
  if (shape === undefined) return {};
  if (database === rbacDatabase && (live.administrators === undefined || shape.administrators === undefined)) {
    const why = 'whether an administrator is left cannot be told';
    context.log.warning(`The tables of ${database} are not as they are known: ${why}`);
  }
  // Of an earlier active nothing tells what the spare has made since: all that is live counts then.
  const isSame = followed !== undefined && followed !== true && sameEpoch(followed.epoch, drop.epoch);
  const shapes = { live, staged: shape, left: isSame ? followed.rows : undefined };
  const raised: Raised[] = [];
  for (const brake of databaseBrakes(database, shapes, tools.rowsLimits))
    raised.push({ ...brake, holdId: await tools.holds.raise({ ...brake, stream: drop.stream, drop }) });
  await closeOthers(tools, drop.stream, raised);
  const held = await firstHeld(tools, raised, drop, context);
  if (held !== undefined) return { held };
  const made = rowsMadeHere(shapes, tools.rowsLimits);
  if (made.length === 0) return {};
  return { warning: `Rows that were made on this spare in ${database} were replaced: ${made.slice(0, 5).join(', ')}` };
}

async function firstHeld(
  { holds, intake }: Tools,
  raised: readonly Raised[],
  drop: DropReference,
  { log }: Pick<PassContext, 'log'>,
): Promise<Outcome | undefined> {
  const decisions = new Map((await holds.list()).map(({ id, decision }) => [id, decision]));
  const first = raised.find(({ holdId }) => decisions.get(holdId) !== 'released');
  if (first === undefined) return undefined;
  const { holdId, sentence, rule, difference } = first;
  const why = `${sentence}. ${letThrough(holdId)}`;
  if (decisions.get(holdId) !== 'discarded') log.failure(`Not made live: ${why}`);
  await intake.report(drop, { state: 'held', why, holdId, waits: true });
  return { kind: 'held', why, detail: { rule, holdId, difference } };
}

const ours: ReadonlySet<string> = new Set<DatabaseBrake['rule']>(['rows-vanish', 'administrators-vanish']);

/** What was held is live: a release is no permit for the next time. */
export const closeBrakes = (tools: Tools, stream: string): Promise<void> => closeOthers(tools, stream, []);

/** A newer database that is harmless lifts a hold by itself; what did not load at all is held by another rule. */
async function closeOthers({ holds }: Tools, stream: string, standing: readonly Raised[]): Promise<void> {
  for (const { id, rule, stream: other } of await holds.list())
    if (other === stream && ours.has(rule) && !standing.some(({ holdId }) => holdId === id)) await holds.close(id);
}

export type FailedTools = Pick<RestoreDbsOptions, 'holds'>;
type Quarantined = NonNullable<RestoreRecord['quarantined']>;

/** Of a content that did not load, or was not healthy. Returns the hold's id. */
export const raiseFailed = ({ holds }: FailedTools, { drop, why }: Quarantined): Promise<string> =>
  holds.raise({
    rule: 'database-failed',
    stream: drop.stream,
    sentence: why,
    difference: [`content ${drop.digest}`],
    drop,
  });

/** A newer content is live, or the same as live: nobody has to decide on an older one any more. Returns what is left of the record. */
export async function closeFailed(
  { holds }: FailedTools,
  { quarantined, ...rest }: RestoreRecord,
  live: DropReference,
): Promise<RestoreRecord> {
  if (quarantined === undefined) return rest;
  if (byPlace(quarantined.drop, live) >= 0) return { ...rest, quarantined };
  for (const { id, rule, stream } of await holds.list())
    if (stream === live.stream && rule === 'database-failed') await holds.close(id);
  return rest;
}
