import type { VerifiedDrop } from '../../drops/intake.ts';
import { Failure, toFailure } from '../../errors.ts';
import { measureDatabase, type Measured } from '../../puppet/database-digest.ts';
import type { DumpDetail } from '../../puppet/database-dump.ts';
import { stageDatabase } from '../../puppet/database-staging.ts';
import type { DatabaseShape } from '../../rules/brakes-database.ts';
import { stagingName } from '../../rules/database-names.ts';
import { isOwnership } from '../../rules/ownership.ts';
import type { DropReference } from '../../rules/receipt.ts';
import { isVolatilePattern, parseVolatile } from '../../rules/volatile.ts';
import type { Outcome, PassContext } from '../job.ts';
import { closeBrakes, closeFailed, raiseFailed } from './brakes.ts';
import type { RecordStore, RestoreRecord, Staged } from './record.ts';
import type { RestoreDbsOptions } from './tools.ts';

export const stageTimeoutMs = 1_800_000;

/** Loads and checks a drop that arrived, unless that is done. What does not load is settled as failed and stays refused. */
export async function stageDrop(
  tools: RestoreDbsOptions,
  store: RecordStore,
  drop: VerifiedDrop,
  context: PassContext,
): Promise<Outcome> {
  const record = await store.read();
  const known = await knownDrop(tools, store, record, drop);
  if (known !== undefined) return known;
  const reference = referenceOf(drop);
  const { manifest, directory } = drop;
  const database = databaseOf(manifest.stream);
  try {
    const detail = parseDetail(manifest.detail);
    const live = await measureLive(tools, database, detail.volatile, context.signal);
    if (live.wholeDigest === detail.wholeDigest) return await settleUnchanged(tools, store, drop, live.shape);
    const name = stagingName(database, manifest);
    const superseded = record.staged?.name;
    const staging = { database, name, directory, build: manifest.build, detail, superseded };
    const loaded = await stageDatabase({ ...stagingTools(tools), signal: context.signal }, staging);
    const byUse = live.digest === detail.digest ? { byUse: true as const } : {};
    const staged = { drop: reference, name, ...loaded, build: manifest.build, needs: manifest.needs, detail, ...byUse };
    await store.write({ ...record, staged });
    const why = 'byUse' in staged ? 'staged; differs only in what changes by use' : 'staged and checked';
    await reportStaged(tools, store, staged, why);
    return { kind: 'done', why };
  } catch (error) {
    const failure = toFailure(error);
    if (failure.class !== 'bad-data') throw failure;
    const quarantined = { drop: reference, why: failure.message };
    await store.write({ ...record, quarantined });
    await raiseFailed(tools, quarantined);
    await tools.intake.settle(drop, { state: 'failed', why: failure.message });
    throw failure;
  }
}

// The record first: an older drop that is staged must not go live any more.
async function settleUnchanged(
  tools: RestoreDbsOptions,
  store: RecordStore,
  drop: VerifiedDrop,
  { rows }: DatabaseShape,
): Promise<Outcome> {
  const { staged: _overtaken, ...rest } = await store.read();
  const left = await closeFailed(tools, rest, referenceOf(drop));
  await store.write({ ...left, followed: { epoch: drop.manifest.epoch, rows } });
  await closeBrakes(tools, drop.manifest.stream);
  const why = 'live is the same';
  await tools.intake.settle(drop, { state: 'unchanged', why });
  return { kind: 'unchanged', why };
}

/** Of a drop that is loaded already, or that is refused for its content. */
async function knownDrop(
  tools: RestoreDbsOptions,
  store: RecordStore,
  { staged, quarantined }: RestoreRecord,
  drop: VerifiedDrop,
): Promise<Outcome | undefined> {
  const { epoch, sequence, digest } = drop.manifest;
  if (staged?.drop.sequence === sequence && staged.drop.epoch.id === epoch.id) {
    if (staged.reported !== true) await reportStaged(tools, store, staged, 'staged and checked');
    return { kind: 'unchanged', why: 'staged already' };
  }
  if (quarantined?.drop.digest !== digest) return undefined;
  await tools.intake.settle(drop, { state: 'failed', why: `quarantined: ${quarantined.why}` });
  return { kind: 'unchanged', why: 'quarantined' };
}

// Killed before it is noted, it is reported again: without that word the active would dump and push at each look.
async function reportStaged(
  { intake }: RestoreDbsOptions,
  store: RecordStore,
  staged: Staged,
  why: string,
): Promise<void> {
  await intake.report(staged.drop, { state: 'staged', why });
  await store.write({ ...(await store.read()), staged: { ...staged, reported: true } });
}

export const databaseOf = (stream: string): string => stream.slice(stream.indexOf('.') + 1);

export const referenceOf = ({ manifest }: VerifiedDrop): DropReference => ({
  stream: manifest.stream,
  epoch: manifest.epoch,
  sequence: manifest.sequence,
  digest: manifest.digest,
});

const stagingTools = ({ admin, restorer, host, parallel, timeoutMs }: RestoreDbsOptions) => ({
  admin,
  restorer,
  host,
  parallel: parallel ?? 2,
  timeoutMs: timeoutMs ?? stageTimeoutMs,
});

export async function measureLive(
  { admin, timeoutMs }: RestoreDbsOptions,
  database: string,
  volatile: readonly string[],
  signal: AbortSignal,
): Promise<Measured> {
  await using session = await admin.connect(database, { signal, statementTimeoutMs: timeoutMs ?? stageTimeoutMs });
  return await measureDatabase(session, database, parseVolatile(volatile));
}

/** The sender is believed, but its program may be another version. */
function parseDetail(value: Readonly<Record<string, unknown>>): DumpDetail {
  const isTexts = (list: unknown): boolean => Array.isArray(list) && list.every((text) => typeof text === 'string');
  const isExtension = (entry: unknown): boolean =>
    typeof entry === 'object' &&
    entry !== null &&
    'name' in entry &&
    'schema' in entry &&
    typeof entry.name === 'string' &&
    typeof entry.schema === 'string';
  const sound =
    typeof value['digest'] === 'string' &&
    typeof value['wholeDigest'] === 'string' &&
    typeof value['bytes'] === 'number' &&
    typeof value['major'] === 'number' &&
    isTexts(value['roles']) &&
    isTexts(value['volatile']) &&
    (value['volatile'] as string[]).every(isVolatilePattern) &&
    (value['ownership'] === undefined || isOwnership(value['ownership'])) &&
    Array.isArray(value['extensions']) &&
    value['extensions'].every(isExtension);
  if (sound) return value as unknown as DumpDetail;
  throw new Failure('bad-data', 'drop refused', {
    where: 'manifest.detail',
    why: 'it does not describe a database dump',
  });
}
