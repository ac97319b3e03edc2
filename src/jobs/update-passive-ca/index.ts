import { pruneArchive } from '../../drops/archive.ts';
import type { Holds } from '../../drops/holds.ts';
import type { MadeHereFile } from '../../drops/made-here-file.ts';
import type { Intake, Verdict, VerifiedDrop } from '../../drops/intake.ts';
import { compareLive, type Drift } from '../../puppet/ca-drift.ts';
import { resolveDrop, type ResolvedDrop } from '../../puppet/ca-drop.ts';
import { foreignCa } from '../../puppet/ca-foreign.ts';
import type { HeldCa, HeldStore } from '../../puppet/ca-held.ts';
import type { LiveCa } from '../../puppet/ca-live.ts';
import type { CaWish } from '../../puppet/ca-decision.ts';
import { applyWish, type Applied } from '../../puppet/ca-pass.ts';
import { ownOfCa } from '../../puppet/ca-made-here.ts';
import { closeWhatStandsNoMore } from '../../puppet/ca-standing.ts';
import type { VanishedBook } from '../../puppet/ca-vanished.ts';
import type { CaBrake } from '../../rules/brakes-ca.ts';
import { expectedOf } from '../../rules/expected-deletions.ts';
import type { BrakeLimits } from '../../rules/brake-limits.ts';
import { dropName, type Manifest } from '../../rules/manifest.ts';
import type { AcceptedSet } from '../../system/accepted-set.ts';
import type { ContentStore } from '../../system/content-store.ts';
import type { Exec } from '../../system/exec.ts';
import { sweepTemporary } from '../../system/files.ts';
import type { Journal } from '../../system/journal.ts';
import { adoptOrHold, type AdoptionTools } from './adopt.ts';
import { some, tell, tellingOverlaps, tellWarnings } from './tell.ts';
import type { Job, Outcome, PassContext } from '../job.ts';

export interface UpdatePassiveCaTools {
  /** Of this master: its own certificate never comes from the active. */
  readonly certname: string;
  readonly live: LiveCa;
  readonly set: AcceptedSet;
  readonly content: ContentStore;
  readonly held: HeldStore;
  readonly holds: Pick<Holds, 'raise' | 'isReleased' | 'list' | 'close' | 'closeOthers'>;
  readonly vanished: VanishedBook;
  readonly intake: Omit<Intake, 'reopen'>;
  readonly journal: Journal;
  readonly exec: Exec;
  /** Gets one directory for each apply with what it replaced or removed. */
  readonly archive: string;
  readonly keptArchives?: number;
  readonly serialGap?: bigint;
  /** How many certificates may vanish before the removals are held. */
  readonly limits?: BrakeLimits;
  readonly adoption: AdoptionTools;
  /** For the active to ask for. */
  readonly madeHere: Pick<MadeHereFile, 'write'>;
  /** Milliseconds between whole compares. */
  readonly every?: number;
}

const stream = 'sync-certs';
const name = 'update-passive-ca';

/** Verifies and applies what the active's CA became, and heals what drifted here. */
export function createUpdatePassiveCa(tools: UpdatePassiveCaTools): Job {
  const memory: Memory = { reported: '', overlaps: new Set() };
  return {
    name,
    role: 'passive',
    triggers: [{ kind: 'drop', streams: [stream] }, { kind: 'every', ms: tools.every ?? 300_000 }, { kind: 'start' }],
    run: (context) => pass(tools, memory, context),
  };
}

interface Memory {
  /** The last drift that was told to the active. */
  reported: string;
  /** Serials given out twice that were said: a pass that is tried again says nothing twice. */
  readonly overlaps: Set<string>;
}

async function pass(tools: UpdatePassiveCaTools, memory: Memory, context: PassContext): Promise<Outcome> {
  const interrupted = await tools.journal.open();
  // A retry's own pass was interrupted, and has said why.
  if (interrupted !== undefined && context.cause !== 'retry') {
    context.log.warning(`Finishing what was interrupted at step ${interrupted.step} of ${interrupted.run}`);
  }
  if (interrupted !== undefined || context.cause === 'start') await sweep(tools.live);
  const drop = await tools.intake.next(stream);
  // Rolled forward by deciding anew: what is done already needs no action any more.
  await tools.journal.close();
  if (drop !== undefined)
    return (await adoptOrHold(tools, drop, context)) ?? applyWaiting(tools, memory, drop, context);
  if (context.cause === 'drop' && interrupted === undefined) return { kind: 'unchanged', why: 'no drop is waiting' };
  if (tools.set.reference() === undefined) return { kind: 'waiting', why: 'nothing of the CA has arrived yet' };
  const foreign = await foreignCa(tools);
  if (foreign !== undefined) return holdAll(tools, memory, foreign);
  await applyReleased(tools, memory, context);
  return heal(tools, memory, context);
}

/** A loss of power may have taken more than the drop brings that waits: a start compares all the same. */
async function applyWaiting(
  tools: UpdatePassiveCaTools,
  memory: Memory,
  drop: VerifiedDrop,
  context: PassContext,
): Promise<Outcome> {
  const outcome = await applyDrop(tools, memory, drop, context);
  if (context.cause === 'start' && outcome.kind === 'done') await heal(tools, memory, context);
  return outcome;
}

async function sweepContent({ set, content }: UpdatePassiveCaTools): Promise<void> {
  const kept = new Set([...set.all()].map(({ sha256 }) => sha256));
  await content.sweep((sha256) => kept.has(sha256));
}

async function sweep(live: LiveCa): Promise<void> {
  await sweepTemporary(live.cadir);
  await sweepTemporary(live.path('signed'));
}

async function applyDrop(
  tools: UpdatePassiveCaTools,
  memory: Memory,
  drop: VerifiedDrop,
  context: PassContext,
): Promise<Outcome> {
  const { manifest } = drop;
  const resolved = await resolveDrop(drop, tools.set, tools.content);
  if (typeof resolved === 'string') {
    await tools.intake.settle(drop, { state: 'refused', why: resolved });
    return { kind: 'waiting', why: `refused drop ${dropName(manifest)}: ${resolved}` };
  }
  const wish = wishOf(resolved, tools, manifest);
  const asked = { wish, drop: manifest, accept: resolved, brakes: true };
  const applied = await applyWish(
    tools,
    { ...asked, job: name, ...tellingOverlaps(memory.overlaps, context) },
    context,
  );
  // Before the word on the drop: an active that was set back asks for it then, for until it has that it signs with old serials.
  // Whole is also the first drop after an exchange of roles: what only the demoted master knows must not wait for an interval.
  if (wish.united || resolved.whole)
    await tools.madeHere.write(await ownOfCa(tools.live, await compareLive(tools), applied.own));
  tellWarnings(applied, context);
  await pruneArchive(tools.archive, tools.keptArchives ?? 24);
  await closeWhatStandsNoMore(tools, stream, context.clock.now());
  const verdict = await verdictOf(tools, applied, dropName(manifest));
  await tools.intake.settle(drop, verdict);
  return tell(verdict, applied, context);
}

function wishOf(resolved: ResolvedDrop, { set, certname }: UpdatePassiveCaTools, { detail }: Manifest): CaWish {
  const united = detail['united'] === true;
  const isCertificate = (path: string): boolean => path.startsWith('signed/');
  // After roles were exchanged the accepted set has this master's own one: it does not travel, and does not go either.
  const stay = new Set([certname, ...namesOf(detail['excluded'])].map((name) => `signed/${name}.pem`));
  const deleted = united ? [] : resolved.deleted.filter((path) => !stay.has(path));
  const removed = deleted.filter(isCertificate);
  const before = removed.length === 0 ? 0 : set.count('signed/'); // counted only for the brakes
  const arrived = resolved.files.filter(({ path }) => isCertificate(path));
  const added = arrived.filter(({ path }) => set.get(path) === undefined).length;
  const after = resolved.whole ? arrived.length : before - removed.length + added;
  return {
    incoming: resolved.files,
    deleted,
    source: resolved.source,
    accepted: (path) => (united ? undefined : set.get(path)?.sha256),
    ...(united ? { united } : {}),
    inventoryLines: resolved.inventoryLines,
    certificates: { before, after },
    expected: expectedOf(detail),
    forgiven: new Set<bigint>(),
  };
}

const namesOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((name): name is string => typeof name === 'string') : [];

async function verdictOf(tools: UpdatePassiveCaTools, applied: Applied, drop: string): Promise<Verdict> {
  const differing = [...applied.bad.keys()].sort();
  const live = { ok: differing.length === 0, missing: [], differing };
  const held = (await tools.held.read()).filter((one) => one.drop === drop);
  const crlProblem = applied.bad.get('ca_crl.pem');
  if (crlProblem !== undefined) return { state: 'failed', why: `ca_crl.pem was not believed: ${crlProblem}`, live };
  const [first] = held;
  if (first === undefined) return { state: 'applied', why: applied.why, live };
  return { state: 'held', why: heldBy(held), holdId: first.id, live };
}

/** Makes live what an admin released, as far as it still stands. */
async function applyReleased(tools: UpdatePassiveCaTools, memory: Memory, context: PassContext): Promise<void> {
  for (const held of await tools.held.read()) {
    if (!(await tools.holds.isReleased(held.id))) continue;
    const wish = releasedWish(held, tools);
    const asked = { wish, drop: referenceOf(tools.set), accept: undefined, brakes: false };
    await applyWish(tools, { ...asked, job: name, ...tellingOverlaps(memory.overlaps, context) }, context);
    if (removalRules.has(held.rule)) await tools.vanished.forget(); // it is decided: a new window begins
    await tools.holds.close(held.id); // before it is forgotten: the release is no permit for the next time
    await tools.held.write((await tools.held.read()).filter(({ id }) => id !== held.id));
    context.log.success(`Released: ${held.rule}`);
  }
}

const removalRules: ReadonlySet<string> = new Set<CaBrake>(['certificates-vanish', 'ca-source-empty']);

function releasedWish(held: HeldCa, { set, content }: UpdatePassiveCaTools) {
  const removals = new Map(held.removals.map(({ path, sha256 }) => [path, sha256]));
  const crl = held.serials.length > 0 ? set.get('ca_crl.pem') : undefined;
  const files = held.files.filter(({ path, sha256 }) => set.get(path)?.sha256 === sha256);
  return {
    incoming: crl === undefined ? files : [...files, crl],
    deleted: [...removals.keys()].filter((path) => set.get(path) === undefined),
    source: (_path: string, sha256: string) => content.path(sha256),
    accepted: (path: string) => set.get(path)?.sha256 ?? removals.get(path),
    inventoryLines: [],
    certificates: { before: 0, after: 0 },
    forgiven: new Set(held.serials.map((serial) => BigInt(`0x${serial}`))),
  };
}

// Accepted was the CA that lay here then: since, somebody replaced it.
async function holdAll({ set, intake }: UpdatePassiveCaTools, memory: Memory, why: string): Promise<Outcome> {
  if (memory.reported !== why) await intake.report(referenceOf(set), { state: 'held', why });
  memory.reported = why;
  return { kind: 'held', why };
}

async function heal(tools: UpdatePassiveCaTools, memory: Memory, context: PassContext): Promise<Outcome> {
  const { set, intake } = tools;
  await sweepContent(tools);
  const drift = await compareLive(tools);
  const drop = referenceOf(set);
  const wish = { ...drift.wish, accepted: (path: string) => set.get(path)?.sha256 };
  const asked = { wish, drop, accept: undefined, brakes: true };
  const applied = await applyWish(
    tools,
    { ...asked, job: name, ...tellingOverlaps(memory.overlaps, context) },
    context,
  );
  const back = drift.differs.filter((path) => applied.changed.has(path));
  if (back.length > 0) context.log.warning(`Put back what had changed in the CA directory: ${some(back)}`);
  const left = [...(drift.wish.leftovers?.keys() ?? [])].filter((path) => applied.changed.has(path));
  if (left.length > 0) context.log.warning(`Removed what an interrupted apply had left: ${some(left)}`);
  await closeWhatStandsNoMore(tools, stream, context.clock.now());
  await tools.madeHere.write(await ownOfCa(tools.live, drift, applied.own));
  const verdict = await orHeld(tools, driftVerdict(drift, applied));
  const told = JSON.stringify([drop.sequence, verdict.state, verdict.live, verdict.madeHere]);
  if (told !== memory.reported) {
    await intake.report(drop, verdict);
    if (verdict.state === 'failed') context.log.failure(verdict.why);
  }
  memory.reported = told;
  const detail = { actions: applied.actions, ...verdict.madeHere };
  return { kind: applied.actions > 0 ? 'done' : 'unchanged', why: verdict.why, detail };
}

function driftVerdict({ unhealable, own }: Drift, { bad, actions, own: renewed }: Applied): Verdict {
  const made = {
    certificates: own.certificates.length + renewed.length,
    revocations: own.revocations.length,
  };
  const differing = [...bad.keys()].sort();
  const ok = differing.length === 0 && unhealable.length === 0;
  const live = { ok, missing: unhealable, differing };
  const crlProblem = bad.get('ca_crl.pem');
  const lost = unhealable.map((path) => `${path} differs, and its content is not kept here intact`);
  const broken = crlProblem === undefined ? lost : [...lost, `ca_crl.pem was not believed: ${crlProblem}`];
  if (broken.length > 0) return { state: 'failed', why: `Not put back: ${some(broken)}`, live, madeHere: made };
  const done = actions > 0 ? 'live again as the active last had it' : 'live as the active last had it';
  const why = ok ? done : `live but for what is no certificate of this CA: ${some(differing)}`;
  return { state: 'unchanged', why, live, madeHere: made };
}

/** What an admin has not decided on is not live: the word "held" stands until then. */
async function orHeld({ holds }: UpdatePassiveCaTools, verdict: Verdict): Promise<Verdict> {
  const open = (await holds.list()).filter((hold) => hold.stream === stream && hold.decision === 'open');
  const [first] = open;
  if (first === undefined || verdict.state === 'failed') return verdict;
  return { ...verdict, state: 'held', why: heldBy(open), holdId: first.id };
}

const heldBy = (holds: readonly { readonly rule: string }[]): string =>
  `held by ${holds.map(({ rule }) => rule).join(', ')}`;

const referenceOf = (set: AcceptedSet) => ({
  stream,
  epoch: set.reference()?.epoch ?? { number: 0, id: '0000000000000000' },
  sequence: set.reference()?.sequence ?? 0,
  digest: set.digest(),
});
