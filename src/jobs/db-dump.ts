import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Delivered, Delivery, Goods, LastPush } from '../drops/delivery.ts';
import { sayDelivered, sayWord, type Sentences } from '../drops/word.ts';
import { Failure, nothingLost } from '../errors.ts';
import type { ManifestFile, Need } from '../rules/manifest.ts';
import type { Receipt } from '../rules/receipt.ts';
import { spokenBytes } from '../rules/spoken.ts';
import { eachDatabase } from '../puppet/each-database.ts';
import { openCapture, tableBytes, type Capture, type DumpDetail } from '../puppet/database-dump.ts';
import type { DatabaseDigests } from '../puppet/database-digest.ts';
import { mayHaveChanged, probeChange, type ChangeProbe } from '../puppet/database-probe.ts';
import { demandSpace } from '../system/file-systems.ts';
import { readIfThere, sha256File } from '../system/files.ts';
import type { Postgres } from '../system/postgres.ts';
import type { Job, Outcome, PassContext } from './job.ts';

export interface DumpedDatabase {
  readonly name: string;
  /** Patterns `schema.table` and `schema.table.column`. */
  readonly volatile: readonly string[];
  /** Key files, as absolute paths. */
  readonly needs: readonly string[];
}

export interface DbDumpOptions {
  readonly postgres: Postgres;
  readonly delivery: Pick<Delivery, 'acknowledged' | 'catchUp' | 'lastPush' | 'needsWhole' | 'sizes' | 'deliver'>;
  readonly databases: readonly DumpedDatabase[];
  /** A directory of root's alone, on the outbox's file system. */
  readonly workDirectory: string;
  /** Bytes that no dump may use up; none unless told. */
  readonly freeSpace?: number;
  /** `/`, or what a test pair lives below: key files are there. */
  readonly root?: string;
  readonly cron?: string;
  readonly pollMs?: number;
  readonly timeoutMs?: number;
}

export const dumpStream = (database: string): string => `db-dump.${database}`;

const hourMs = 3600_000;
const dayMs = 24 * hourMs;

/** Dumps each database that changed and ships it. What only changes by use is shipped with the rest, or once a day. */
export function createDbDump(options: DbDumpOptions): Job {
  const memory = new Map<string, Remembered>();
  return {
    name: 'db-dump',
    role: 'active',
    triggers: [
      { kind: 'start' },
      { kind: 'cron', expression: options.cron ?? '10 * * * *' },
      { kind: 'every', ms: options.pollMs ?? 15_000 },
    ],
    run: (context) =>
      eachDatabase(options.databases, context.signal, (database) => dumpOne({ ...options, memory }, database, context)),
  };
}

interface Remembered extends DatabaseDigests {
  readonly probe: ChangeProbe;
  /** Of what was shipped last, if that was in this life of the program. */
  readonly shippedWhole: string | undefined;
}

type Tools = DbDumpOptions & { readonly memory: Map<string, Remembered> };

async function dumpOne(tools: Tools, database: DumpedDatabase, context: PassContext): Promise<Outcome> {
  const { delivery, memory, postgres } = tools;
  const stream = dumpStream(database.name);
  const late = await delivery.catchUp(stream, context.signal);
  const isLost = await delivery.needsWhole(stream); // the same digest as once acknowledged is no reason to confirm then
  const acknowledged = isLost ? undefined : await delivery.acknowledged(stream);
  // Before the snapshot: what is committed in between is in both, and shows as a change once more than needed.
  const probe = await probeOnce(postgres, database.name, context.signal);
  const before = memory.get(database.name);
  const isPoll = ['every', 'retry', 'word'].includes(context.cause);
  if (isPoll && before !== undefined && !mayHaveChanged(before.probe, probe)) {
    if (acknowledged?.digest === before.digest && !isVolatileDue(before, acknowledged, context))
      return confirm(tools, database.name, before.digest, late, context);
    const told = tellOfLastPush(await delivery.lastPush(stream), before.digest, database.name, context);
    if (told !== undefined) return told;
  }
  const { name, volatile } = database;
  const timeoutMs = tools.timeoutMs ?? 1_800_000;
  await using capture = await openCapture(postgres, { database: name, volatile, timeoutMs, signal: context.signal });
  const now = { ...capture.digests, probe, shippedWhole: before?.shippedWhole };
  const isNew = acknowledged?.digest !== now.digest;
  if (!isNew && !isVolatileDue(now, acknowledged, context)) {
    memory.set(name, now);
    return confirm(tools, name, now.digest, late, context);
  }
  const shipped = await ship(tools, database, { capture, context, evenIfUnchanged: !isNew });
  memory.set(name, { ...shipped.detail, probe, shippedWhole: shipped.detail.wholeDigest });
  return sayDelivered(shipped.delivered, late, sentencesFor(name), context.log);
}

async function probeOnce(postgres: Postgres, database: string, signal: AbortSignal): Promise<ChangeProbe> {
  await using session = await postgres.connect(database, { signal });
  return await probeChange(session);
}

function isVolatileDue(
  { wholeDigest, shippedWhole }: Pick<Remembered, 'wholeDigest' | 'shippedWhole'>,
  acknowledged: Receipt | undefined,
  { clock }: PassContext,
): boolean {
  if (acknowledged === undefined || wholeDigest === shippedWhole) return false;
  return clock.now().getTime() - Date.parse(acknowledged.at) >= dayMs;
}

async function confirm(
  { delivery }: Tools,
  name: string,
  digest: string,
  late: readonly Receipt[],
  context: PassContext,
): Promise<Outcome> {
  const goods: Goods = { stream: dumpStream(name), digest, kind: 'whole', pack: neverPacked };
  return sayDelivered(await delivery.deliver(goods, context), late, sentencesFor(name), context.log);
}

/** The same content is not dumped anew while the spare loads it, nor right after it was refused. */
function tellOfLastPush(
  push: LastPush | undefined,
  digest: string,
  name: string,
  { clock, log }: PassContext,
): Outcome | undefined {
  const isRecent = push !== undefined && Math.abs(clock.now().getTime() - Date.parse(push.publishedAt)) < hourMs;
  if (!isRecent || push.digest !== digest) return undefined;
  if (push.word?.state === 'refused') return sayWord(push.word, sentencesFor(name), log, true);
  const why = `drop ${push.sequence} is published; the spare has not answered yet`;
  return push.word === undefined ? { kind: 'waiting', why } : undefined;
}

const neverPacked = async (): Promise<never> => {
  throw new Failure('refused', 'the spare no longer has what it acknowledged', {
    why: 'it is captured anew next time',
  });
};

interface Shipment {
  readonly capture: Capture;
  readonly context: PassContext;
  readonly evenIfUnchanged: boolean;
}

/** Before anything is dumped: here, and on the spare, which needs it as large. */
async function demandRoom(tools: Tools, name: string, { signal }: PassContext): Promise<void> {
  const { delivery, postgres, workDirectory, freeSpace: reserve = 0 } = tools;
  const { last, room } = await delivery.sizes(dumpStream(name), signal);
  const bytes = last ?? (await tableBytes(postgres, name, signal));
  await demandSpace(workDirectory, { what: `the dump of ${name}`, bytes, reserve });
  if (room === undefined || bytes <= room) return;
  const why = `it has room for ${spokenBytes(room)}, and the dump is about ${spokenBytes(bytes)}`;
  const hint = `Free some space there; on the spare, type: df -h /var/lib/pe_failover. ${nothingLost}`;
  throw new Failure('dependency', `the spare has too little space for the dump of ${name}`, { why, hint });
}

async function ship(
  tools: Tools,
  { name, needs }: DumpedDatabase,
  { capture, context, evenIfUnchanged }: Shipment,
): Promise<{ readonly detail: DumpDetail; readonly delivered: Delivered }> {
  const { delivery, workDirectory, root = '/' } = tools;
  const work = join(workDirectory, name);
  await rm(work, { recursive: true, force: true });
  await demandRoom(tools, name, context);
  context.log.success(`Starting dump of database: ${name}`);
  await mkdir(work, { recursive: true, mode: 0o700 });
  try {
    const { files, detail } = await capture.dump(work);
    await capture[Symbol.asyncDispose](); // a push may take long, and an open snapshot holds back vacuum
    const goods: Goods = {
      stream: dumpStream(name),
      digest: detail.digest,
      kind: 'whole',
      bulk: true,
      needs: await fingerprint(needs, root, context),
      detail: { ...detail },
      pack: (directory) => moveAll(files, work, directory),
      ...(evenIfUnchanged ? { evenIfUnchanged } : {}),
    };
    return { detail, delivered: await delivery.deliver(goods, context) };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function fingerprint(needs: readonly string[], root: string, { log }: PassContext): Promise<Need[]> {
  const found: Need[] = [];
  for (const path of needs) {
    const live = join(root, path);
    if ((await readIfThere(live)) === undefined)
      log.warning(`Key file ${path} is missing: the spare will not wait for it`);
    else found.push({ file: path.replace(/^\/+/, ''), sha256: await sha256File(live) });
  }
  return found;
}

async function moveAll(files: readonly ManifestFile[], from: string, to: string): Promise<readonly ManifestFile[]> {
  for (const { path } of files) await rename(join(from, path), join(to, path));
  return files;
}

const sentencesFor = (name: string): Sentences => ({
  completed: `Completed sync of database: ${name}`,
  refused: `the spare refused the dump of ${name}`,
  failed: `the spare could not restore ${name}`,
});
