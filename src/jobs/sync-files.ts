import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { baseOf, type Delivery, type Goods } from '../drops/delivery.ts';
import { isAmong, sayWord, type Said, type Sentences } from '../drops/word.ts';
import type { JobLog } from '../system/log.ts';
import { Failure } from '../errors.ts';
import { arrived, type Receipt } from '../rules/receipt.ts';
import { addWeight, formatSetDigest } from '../rules/set-digest.ts';
import type { AcceptedSet, SetChanges } from '../system/accepted-set.ts';
import { readAccounts } from '../system/accounts.ts';
import { captureFiles, packFiles, type FileCapture } from '../system/file-capture.ts';
import type { Job, Outcome, PassContext } from './job.ts';

export interface SyncFilesTools {
  /** `/`, or the directory that a test pair lives under. */
  readonly root: string;
  /** Absolute paths of files and directories, as the admin lists them. */
  readonly paths: readonly string[];
  /** What the spare last acknowledged, kept on this side. */
  readonly set: AcceptedSet;
  readonly delivery: Delivery;
  readonly spare: string;
  /** A directory of our own, on the file system of the outbox. */
  readonly work: string;
  readonly everyMs: number;
}

const stream = 'sync-files';

/** Sends secrets and whatever else the admin lists. */
export function createSyncFiles(tools: SyncFilesTools): Job {
  const watched = tools.paths.map((path) => join(tools.root, path));
  return {
    name: stream,
    role: 'active',
    triggers: [{ kind: 'watch', paths: watched, deep: true }, { kind: 'every', ms: tools.everyMs }, { kind: 'start' }],
    settleMs: 100,
    run: (context) => pass(tools, context),
  };
}

async function pass(tools: SyncFilesTools, context: PassContext): Promise<Outcome> {
  const { delivery, set, work } = tools;
  const late = await delivery.catchUp(stream, context.signal);
  const acknowledged = await delivery.acknowledged(stream);
  const agrees = acknowledged?.digest === set.digest() && set.reference() !== undefined;
  const whole = !agrees || (await delivery.needsWhole(stream));
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true, mode: 0o700 });
  try {
    const outcome = await send(tools, context, whole ? undefined : acknowledged, late);
    return isRefused(outcome) ? await sendAgain(tools, context, outcome.refused) : outcome;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The spare did not take the drop, and why. */
interface Refused {
  readonly refused: string;
}

const isRefused = (outcome: Outcome | Refused): outcome is Refused => 'refused' in outcome;

async function sendAgain(tools: SyncFilesTools, context: PassContext, why: string): Promise<Outcome> {
  context.log.warning(`The spare refused a drop: ${why}. It is captured anew, and sent whole`);
  const outcome = await send(tools, context, undefined);
  if (!isRefused(outcome)) return outcome;
  throw new Failure('bad-data', 'the spare refuses a whole drop', { where: tools.spare, why: outcome.refused });
}

/** One drop: a delta against what was acknowledged, or the whole set where nothing is. */
async function send(
  tools: SyncFilesTools,
  context: PassContext,
  base: Receipt | undefined,
  late: readonly Receipt[] = [],
): Promise<Outcome | Refused> {
  const { set, delivery, spare } = tools;
  const capture = await captureFiles({
    root: tools.root,
    paths: tools.paths.map((path) => path.replace(/^\/+/, '').replace(/\/+$/, '')),
    directory: tools.work,
    known: (path) => (base === undefined ? undefined : set.get(path)),
    accounts: await readAccounts(),
  });
  for (const what of capture.skipped) context.log.warning(`Skipped: ${what}`);
  const changes = changesOf(set, capture, base === undefined);
  const empty = base !== undefined && changes.put.length === 0 && changes.remove.length === 0;
  if (!empty && context.cause !== 'retry') context.log.success(`Starting sync of files to ${spare}`);
  const delivered = await delivery.deliver(goodsOf(tools, capture, changes, base), context);
  if (delivered.kind === 'confirmed') {
    const { receipt } = delivered;
    // Captured whole, and acknowledged by a word that came late: from now on changes are counted from it.
    if (base === undefined) set.rebuild(changes.put, receipt);
    return tell(receipt, spare, context.log, isAmong(receipt, late));
  }
  return judge(tools, context, changes, delivered.receipt, base === undefined);
}

function changesOf(set: AcceptedSet, capture: FileCapture, whole: boolean): SetChanges {
  const gone = whole ? [] : [...set.all()].map(({ path }) => path).filter((path) => !capture.found.has(path));
  return { put: capture.changed.map(({ entry }) => entry), remove: gone };
}

function goodsOf(tools: SyncFilesTools, capture: FileCapture, changes: SetChanges, base: Receipt | undefined): Goods {
  const sum = changes.put.reduce((so, { weight }) => addWeight(so, weight), 0n);
  return {
    stream,
    digest: base === undefined ? formatSetDigest(sum) : tools.set.digestAfter(changes),
    kind: base === undefined ? 'whole' : 'delta',
    ...(base === undefined ? {} : { base: baseOf(base) }),
    deleted: changes.remove,
    detail: {
      files: capture.found.size,
      changed: changes.put.length,
      deleted: changes.remove.length,
      directories: capture.directories,
    },
    pack: (payload) => packFiles(tools.work, payload, capture.changed),
  };
}

/** What was left out waits there for its obstacle to go; the other files are live, and the next change must not be kept. */
function tell(receipt: Receipt, spare: string, log: JobLog, isNews: boolean): Said {
  if (receipt.state !== 'failed') return sayWord(receipt, sentencesFor(spare), log, isNews);
  if (isNews) log.failure(`${sentencesFor(spare).failed}: ${receipt.why}`);
  const detail = { sequence: receipt.sequence, receipt: receipt.state };
  return { kind: isNews ? 'waiting' : 'unchanged', why: `failed there: ${receipt.why}`, detail };
}

function judge(
  { set, spare }: SyncFilesTools,
  { log }: PassContext,
  changes: SetChanges,
  receipt: Receipt | undefined,
  whole: boolean,
): Outcome | Refused {
  if (receipt === undefined) return { kind: 'waiting', why: 'published; the spare has not answered yet' };
  if (receipt.state === 'refused') return { refused: receipt.why };
  if (arrived(receipt.state)) {
    if (whole) set.rebuild(changes.put, receipt);
    else set.commit(changes, receipt);
  }
  const said = tell(receipt, spare, log, true);
  return { ...said, detail: { ...said.detail, files: changes.put.length, deleted: changes.remove.length } };
}

const sentencesFor = (spare: string): Sentences => ({
  completed: `Completed sync of files to ${spare}`,
  refused: `${spare} refused the files`,
  failed: `${spare} could not place the files`,
});
