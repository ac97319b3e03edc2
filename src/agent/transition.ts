import { randomBytes } from 'node:crypto';
import { Failure, toFailure } from '../errors.ts';
import type { AuthorizedKeys } from '../drops/authorized-keys.ts';
import type { EpochBook, EpochState } from '../drops/epoch-book.ts';
import { noEpoch } from '../drops/epoch-book.ts';
import type { GateFile } from '../drops/gate-file.ts';
import { formatEpoch, type Epoch } from '../rules/epoch.ts';
import { peerIn, peerOfGate } from '../rules/gate.ts';
import type { Pairing } from '../rules/pairing.ts';
import { judgeData, nextEpoch, planTransition, type DataAge, type Transition } from '../rules/transition.ts';
import type { JudgedFact } from '../system/fact.ts';
import type { JobLog } from '../system/log.ts';

export interface TransitionParts {
  readonly epochs: EpochBook;
  readonly gate: GateFile;
  readonly keys: AuthorizedKeys;
  readonly log: JobLog;
  /** Why the state here is another machine's, where it is. */
  readonly foreign: () => Promise<string | undefined>;
  /** Data of an older epoch is promoted: what this master lacks was not removed by anybody. */
  readonly forced: () => Promise<void>;
  /** The other master: from the fact's key on a spare, from its introduction on an active. */
  readonly peer: (fact: JudgedFact) => Promise<Pairing | undefined>;
  /** The peer's epoch as it says itself; undefined when it does not answer within 3 s. */
  readonly askPeer: (fact: JudgedFact) => Promise<Epoch | undefined>;
  /** Why the witness forbids a promotion, where it does. */
  readonly witness: () => Promise<string | undefined>;
  /** Ends the session of the old role at its next safe points. */
  readonly leave: () => Promise<void>;
  /** Applies what was verified and is pending, as the spare that this still is. Throws `interrupted` when the fact changes. */
  readonly applyPending: (epoch: Epoch) => Promise<void>;
  /** Connections that logged in before the key of the other master was narrowed are ended. */
  readonly endOldLogins: () => Promise<void>;
  /** Issues the CRLs anew, with numbers above all that the old active may issue; how many. Undefined: not ours to keep. */
  readonly leapCrls: () => Promise<number | undefined>;
  /** A role is settled next: so that its hooks run, whatever is killed. */
  readonly expect: (event: 'promoted' | 'demoted', epoch: Epoch, why: string) => Promise<void>;
  /** Whether the fact file still is what was judged. */
  readonly stillSays: (fact: JudgedFact) => Promise<boolean>;
  /** The streams of this pair. */
  readonly streams: readonly string[];
  /** Tells what the transition has done. */
  readonly progress?: (point: TransitionPoint) => void;
}

/** The points of a change of roles, in their order. */
export const transitionPoints = [
  'gate closed',
  'old role left',
  'pending applied',
  'keys narrowed',
  'CRLs issued anew',
  'settled',
  'gate open',
] as const;
export type TransitionPoint = (typeof transitionPoints)[number];

export type Entered =
  | { readonly role: 'active' | 'passive'; readonly epoch: Epoch; readonly why: string }
  | { readonly role: 'suspended'; readonly why: string };

/**
 * From the settled role to the one that the fact names. INVARIANTS: the gate is closed before anything else, and opens
 * last; `settle` is the one write that makes a promotion count, so that a crash before it repeats the transition whole.
 */
export async function enterRole(parts: TransitionParts, fact: JudgedFact): Promise<Entered> {
  const known = await parts.epochs.read();
  const foreign = await parts.foreign();
  const plan = planTransition({ settled: known?.settled.role, foreign, fact: fact.role });
  switch (plan.kind) {
    case 'suspend':
      return await suspend(parts, fact, known, plan);
    case 'resume':
      await parts.leave();
      return await open(parts, fact, plan.role, await seenNow(parts), plan.why);
    case 'demote':
      parts.log.success(plan.why);
      await close(parts, fact, known, 'demoting');
      await leave(parts);
      await parts.expect('demoted', await seenNow(parts), plan.why);
      await parts.epochs.settle('passive', await seenNow(parts));
      parts.progress?.('settled');
      return await open(parts, fact, 'passive', await seenNow(parts), plan.why);
    case 'promote':
      return await promote(parts, fact, known, plan.why);
  }
}

// The old role may have raised it on its last steps.
const seenNow = async ({ epochs }: TransitionParts): Promise<Epoch> => (await epochs.read())?.seen ?? noEpoch;

// The peer is asked when nothing runs here any more: its answer may take 3 s, and may forbid the promotion.
async function promote(
  parts: TransitionParts,
  fact: JudgedFact,
  before: EpochState | undefined,
  why: string,
): Promise<Entered> {
  parts.log.success(why);
  await close(parts, fact, before, 'promoting');
  await leave(parts);
  await parts.applyPending(before?.seen ?? noEpoch);
  parts.progress?.('pending applied');
  const peerEpoch = await parts.askPeer(fact);
  const known = await parts.epochs.read(); // a pending drop may have raised it
  const { stale, missing } = judgeData(ageOf(parts, known, peerEpoch));
  const objection = await objectionTo(parts, stale);
  if (objection !== undefined) return await suspend(parts, fact, known, objection);
  if (stale !== undefined) await parts.forced();
  const peer = await parts.peer(fact);
  await demandStillWanted(parts, fact);
  if (peer !== undefined) await parts.keys.write(peer, 'hello-only');
  await parts.endOldLogins();
  parts.progress?.('keys narrowed');
  await leapCrls(parts);
  parts.progress?.('CRLs issued anew');
  const epoch = nextEpoch(known?.seen ?? noEpoch, peerEpoch, randomBytes(8).toString('hex'));
  await parts.expect('promoted', epoch, why);
  await parts.epochs.settle('active', epoch);
  parts.progress?.('settled');
  parts.log.success(`Promoted: epoch ${formatEpoch(epoch)}`);
  if (missing.length > 0) parts.log.warning(`Promoted without ${missing.join(', ')}: nothing of it ever arrived here`);
  return await open(parts, fact, 'active', epoch, why);
}

// A list that keeps its number is no reason not to promote: both sides' lists are united when they meet.
async function leapCrls(parts: TransitionParts): Promise<void> {
  try {
    const leapt = await parts.leapCrls();
    if (leapt === 0) parts.log.warning('Promoted with the CRL as it was: the key of the CA is not here');
  } catch (error) {
    parts.log.warning(`Promoted with the CRL as it was: ${toFailure(error).message}`);
  }
}

/** What speaks against a promotion, by what this master knows and by what lies outside. */
async function objectionTo(
  { epochs, witness }: TransitionParts,
  stale: string | undefined,
): Promise<Suspension | undefined> {
  if (stale !== undefined && !(await epochs.isStalePermitted()))
    return { kind: 'suspend', why: stale, hint: forceHint };
  const forbidden = await witness();
  if (forbidden === undefined) return undefined;
  return { kind: 'suspend', why: `the witness forbids the promotion: ${forbidden}`, hint: witnessHint };
}

type Suspension = Extract<Transition, { kind: 'suspend' }>;

const witnessHint =
  'When it permits it, type: systemctl restart pe-failover. To stay the spare, write pe_failover_mode: passive into the fact';
const forceHint = 'To promote it all the same, type: pe-failover promote --force-stale';

const ageOf = ({ streams }: TransitionParts, known: EpochState | undefined, peer: Epoch | undefined): DataAge => ({
  seen: known?.seen ?? noEpoch,
  peer,
  data: streams.map((stream) => ({ stream, epoch: known?.streams?.[stream] ?? known?.data })),
});

/** An admin who took the word back while pending drops were applied gets no promotion. */
async function demandStillWanted(parts: TransitionParts, fact: JudgedFact): Promise<void> {
  if (await parts.stillSays(fact)) return;
  throw new Failure('interrupted', 'the promotion is put off', { why: 'the fact file was edited meanwhile' });
}

async function open(
  parts: TransitionParts,
  fact: JudgedFact,
  role: 'active' | 'passive',
  epoch: Epoch,
  why: string,
): Promise<Entered> {
  const peer = await parts.peer(fact);
  if (peer !== undefined) await parts.keys.write(peer, role === 'passive' ? 'drops' : 'hello-only');
  await parts.gate.write({ role, epoch, fact: fact.sha256, ...peerIn(peer) });
  parts.progress?.('gate open');
  return { role, epoch, why };
}

async function leave(parts: TransitionParts): Promise<void> {
  await parts.leave();
  parts.progress?.('old role left');
}

/** Role and epoch stay as they were: what is pending may still be applied, and nothing new comes in. */
async function close(
  parts: TransitionParts,
  fact: JudgedFact,
  known: EpochState | undefined,
  why: string,
): Promise<void> {
  if (known === undefined) return;
  const peer = peerOfGate(await parts.gate.read());
  await parts.gate.write({ role: known.settled.role, epoch: known.seen, fact: fact.sha256, closed: why, ...peer });
  parts.progress?.('gate closed');
}

async function suspend(
  parts: TransitionParts,
  fact: JudgedFact,
  known: EpochState | undefined,
  plan: Suspension,
): Promise<Entered> {
  const peer = peerOfGate(await parts.gate.read().catch(() => undefined)); // one that cannot be read is made anew
  const epoch = known?.seen ?? noEpoch;
  await parts.gate.write({ role: 'suspended', epoch, fact: fact.sha256, closed: plan.why, ...peer });
  await parts.leave();
  const why = `${plan.why}. ${plan.hint}`;
  parts.log.failure(`All jobs are suspended: ${why}`);
  return { role: 'suspended', why };
}

/** A peer that does not answer is no reason to wait: it may be the one that died. */
export async function peerEpoch(ask: (signal: AbortSignal) => Promise<Epoch>, log: JobLog): Promise<Epoch | undefined> {
  try {
    return await ask(AbortSignal.timeout(3_000));
  } catch (error) {
    log.warning(`The peer was not heard before the promotion: ${toFailure(error).message}`);
    return undefined;
  }
}
