import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Delivery, Goods } from '../../drops/delivery.ts';
import type { ExpectationBook } from '../../drops/expected-deletions.ts';
import { isAmong, sayWord, type Sentences } from '../../drops/word.ts';
import { Failure } from '../../errors.ts';
import { captureCa, packCapture, type Capture } from '../../puppet/ca-capture.ts';
import { sameEpoch } from '../../rules/epoch.ts';
import { strangeLines } from '../../rules/inventory.ts';
import { dropName } from '../../rules/manifest.ts';
import { arrived, type Receipt } from '../../rules/receipt.ts';
import { addWeight, formatSetDigest } from '../../rules/set-digest.ts';
import type { AcceptedSet, SetChanges } from '../../system/accepted-set.ts';
import { readAccounts } from '../../system/accounts.ts';
import { readIfThere } from '../../system/files.ts';
import { sendForAdoption } from './adoption.ts';
import { excludedNames, pathsToCompare } from './compare.ts';
import { openPaths, type Memory, type Unanswered } from './memory.ts';
import { countRemoved } from './removed.ts';
import type { Job, Outcome, PassContext } from '../job.ts';

export interface SyncCertsTools {
  /** Resolved: without symbolic links. */
  readonly cadir: string;
  /** What the spare last acknowledged, kept on this side. */
  readonly set: AcceptedSet;
  readonly delivery: Omit<Delivery, 'manifest' | 'sizes'>;
  /** Deletions that an admin announced here. */
  readonly expected: Pick<ExpectationBook, 'standing' | 'use'>;
  /** The certname of where the CA goes to. Its own certificate never travels. */
  readonly spare: string;
  /** A directory of our own, on the file system of the outbox. */
  readonly work: string;
  readonly excludeCerts: readonly string[];
  /** Milliseconds between whole compares. */
  readonly every?: number;
}

const stream = 'sync-certs';

/** Sends what changed in the CA directory to the spare. */
export function createSyncCerts(tools: SyncCertsTools): Job {
  const memory: Memory = { dirty: new Set(), unanswered: undefined, strange: new Set() };
  return {
    name: stream,
    role: 'active',
    triggers: [
      { kind: 'watch', paths: [tools.cadir, join(tools.cadir, 'signed')] },
      { kind: 'every', ms: tools.every ?? 300_000 },
      { kind: 'start' },
    ],
    run: (context) => pass(tools, memory, context),
  };
}

async function pass(tools: SyncCertsTools, memory: Memory, context: PassContext): Promise<Outcome> {
  await requireCa(tools.cadir);
  const late = await tools.delivery.catchUp(stream, context.signal);
  const outcome = await compareAndSend(tools, memory, context);
  const acknowledged = await tools.delivery.acknowledged(stream);
  const waitsForCa = acknowledged?.state === 'held' && acknowledged.holdId === undefined;
  if (waitsForCa) return { kind: 'waiting', why: acknowledged.why };
  if (outcome.kind !== 'unchanged' || acknowledged === undefined) return outcome;
  const isNews = isAmong(acknowledged, late);
  // Said once: a pause after each pass would keep new certificates back.
  if (acknowledged.state === 'failed' && !isNews)
    return { kind: 'unchanged', why: `sent, but not all of it is live there: ${acknowledged.why}` };
  const said = sayWord(acknowledged, sentencesFor(tools.spare), context.log, isNews);
  return said.kind === 'unchanged' ? outcome : said;
}

async function compareAndSend(tools: SyncCertsTools, memory: Memory, context: PassContext): Promise<Outcome> {
  const asked = await tools.delivery.adoptionAsked(stream, context.signal);
  if (asked !== undefined) return await sendForAdoption(tools, asked, context);
  const acknowledged = await tools.delivery.acknowledged(stream);
  if (acknowledged !== undefined) await acknowledge(tools, memory, acknowledged);
  const agrees = acknowledged !== undefined && acknowledged.digest === tools.set.digest();
  const first = await sendOnce(tools, memory, context, !agrees || (await tools.delivery.needsWhole(stream)));
  if (first.receipt?.state !== 'refused' || !(await tools.delivery.needsWhole(stream))) return first.outcome;
  context.log.warning(`The spare refused a delta: ${first.receipt.why}. Sending the whole CA`);
  return (await sendOnce(tools, memory, context, true)).outcome;
}

/** An unmounted or missing CA directory must not pass for an emptied one. */
async function requireCa(cadir: string): Promise<void> {
  if ((await readIfThere(join(cadir, 'ca_crt.pem'))) !== undefined) return;
  const hint = 'Set paths.cadir in the configuration, or switch jobs.sync_certs off';
  throw new Failure('config', 'there is no CA here', { where: join(cadir, 'ca_crt.pem'), hint });
}

interface Sent {
  readonly outcome: Outcome;
  readonly receipt?: Receipt | undefined;
}

async function sendOnce(tools: SyncCertsTools, memory: Memory, context: PassContext, whole: boolean): Promise<Sent> {
  const directory = join(tools.work, 'capture');
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  try {
    const paths = await pathsToCompare(tools, memory, context, whole);
    const known = whole ? () => undefined : (path: string) => tools.set.get(path);
    const accounts = await readAccounts();
    const capture = await captureCa({ cadir: tools.cadir, directory, paths, known, accounts });
    await warnOfLines(tools, memory, context, directory);
    return await send(tools, memory, context, { capture, directory, whole });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Once each: what is in none of them is on neither master, and a certificate may lack its line. */
async function warnOfLines(
  { cadir }: SyncCertsTools,
  { strange }: Memory,
  { log }: PassContext,
  captured: string,
): Promise<void> {
  const text = (await readIfThere(join(captured, 'inventory.txt'))) ?? '';
  const lines = strangeLines(text).filter((line) => !strange.has(line));
  for (const line of lines) strange.add(line);
  if (lines[0] === undefined) return;
  const more = lines.length === 1 ? '' : ` and ${lines.length - 1} more`;
  const path = join(cadir, 'inventory.txt');
  log.warning(
    `Not sent, because it names no certificate: the line "${lines[0].slice(0, 200)}"${more} of ${path}. Mend it there`,
  );
}

interface Parcel {
  readonly capture: Capture;
  readonly directory: string;
  readonly whole: boolean;
}

async function send(tools: SyncCertsTools, memory: Memory, context: PassContext, parcel: Parcel): Promise<Sent> {
  const { set, delivery, spare } = tools;
  const { capture, whole } = parcel;
  const reference = set.reference();
  if (!whole && capture.touched.length > 0 && reference !== undefined)
    set.commit({ put: capture.touched, remove: [] }, reference);
  const changes: SetChanges = { put: capture.changed.map(({ entry }) => entry), remove: capture.gone };
  const empty = changes.put.length === 0 && changes.remove.length === 0;
  if (empty && !whole && context.changed !== undefined) {
    memory.dirty.clear();
    return { outcome: { kind: 'unchanged', why: 'as the spare has it' } };
  }
  const united = await delivery.unites(stream);
  const expected = (await tools.expected.standing(context.clock.now()))?.count ?? 0;
  const goods = goodsOf(tools, parcel, changes, { united, expected });
  if (!empty && context.cause !== 'retry') context.log.success(`Starting sync of Puppet CA directory to ${spare}`);
  const delivered = await delivery.deliver(goods, context);
  const names = openPaths(memory);
  const place = delivered.kind === 'pushed' ? { epoch: context.epoch, sequence: delivered.sequence } : undefined;
  [memory.unanswered, memory.dirty] = [{ changes, whole, digest: goods.digest, place, names, expected }, new Set()];
  if (delivered.kind === 'confirmed') {
    const acknowledged = await delivery.acknowledged(stream);
    if (acknowledged !== undefined) await acknowledge(tools, memory, acknowledged);
    return { outcome: { kind: 'unchanged', why: 'as the spare has it; confirmed' } };
  }
  if (delivered.receipt !== undefined) await acknowledge(tools, memory, delivered.receipt);
  if (united) context.wake?.('fetch-made-here');
  return { outcome: outcomeOf(delivered.receipt, changes, tools, context), receipt: delivered.receipt };
}

function goodsOf(
  tools: SyncCertsTools,
  { capture, directory, whole }: Parcel,
  changes: SetChanges,
  { united, expected }: { readonly united: boolean; readonly expected: number },
): Goods {
  const reference = tools.set.reference();
  const digest = whole ? digestOfWhole(changes) : tools.set.digestAfter(changes);
  // infra_* and serial are outside the digest: what changed in them alone travels all the same.
  const evenIfUnchanged = !whole && changes.put.length > 0 && digest === tools.set.digest();
  return {
    stream,
    digest,
    evenIfUnchanged,
    kind: whole ? 'whole' : 'delta',
    ...(whole || reference === undefined ? {} : { base: dropName(reference) }),
    deleted: whole ? [] : changes.remove,
    detail: {
      files: changes.put.length,
      deleted: changes.remove.length,
      excluded: excludedNames(tools),
      ...(united ? { united } : {}),
      ...(expected > 0 ? { expectedDeletions: expected } : {}),
    },
    pack: (payload) => packCapture(directory, payload, capture.changed),
  };
}

const digestOfWhole = ({ put }: SetChanges): string =>
  formatSetDigest(put.reduce((sum, { weight }) => addWeight(sum, weight), 0n));

// A drop of infra files alone has the digest of the one before it: the digest does not tell them apart.
const isOf = ({ digest, place }: Unanswered, receipt: Receipt): boolean =>
  receipt.digest === digest &&
  (place === undefined || (receipt.sequence === place.sequence && sameEpoch(receipt.epoch, place.epoch)));

/** The spare has what was pushed: from now on changes are counted from there. */
async function acknowledge({ set, expected }: SyncCertsTools, memory: Memory, receipt: Receipt): Promise<void> {
  const { unanswered } = memory;
  if (unanswered === undefined || !isOf(unanswered, receipt) || !arrived(receipt.state)) return;
  const { changes, whole } = unanswered;
  // First: killed in between, the announcement is never used twice.
  await expected.use(Math.min(unanswered.expected, countRemoved(set, changes, whole)));
  if (whole) set.rebuild(changes.put, receipt);
  else set.commit(changes, receipt);
  memory.unanswered = undefined;
}

function outcomeOf(
  receipt: Receipt | undefined,
  { put, remove }: SetChanges,
  { spare }: SyncCertsTools,
  { log }: PassContext,
): Outcome {
  const detail = { files: put.length, deleted: remove.length, sequence: receipt?.sequence };
  switch (receipt?.state) {
    case undefined:
      return { kind: 'done', why: 'published; the spare has not answered yet', detail };
    case 'applied':
    case 'unchanged':
      log.success(sentencesFor(spare).completed);
      return { kind: 'done', why: 'applied there', detail };
    case 'held':
      return { kind: 'held', why: receipt.why, detail };
    case 'failed':
      throw new Failure('incomplete', sentencesFor(spare).failed, { why: receipt.why });
    case 'refused':
    case 'staged':
    case 'superseded':
      return { kind: 'waiting', why: `${receipt.state} there: ${receipt.why}`, detail };
  }
}

const sentencesFor = (spare: string): Sentences => ({
  completed: `Completed sync of Puppet CA directory to ${spare}`,
  refused: `${spare} refused the CA`,
  failed: `${spare} could not apply all of the CA`,
});
