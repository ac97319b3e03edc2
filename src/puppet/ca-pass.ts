import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BrakeLimits } from '../rules/brake-limits.ts';
import type { CaHold } from '../rules/brakes-ca.ts';
import { kindOf, topNames } from '../rules/ca-paths.ts';
import type { CaRenewal } from '../rules/ca-renewal.ts';
import { dropName, type ManifestFile } from '../rules/manifest.ts';
import { changedPaths, type CaPlan } from '../rules/ca-plan.ts';
import type { DropReference } from '../rules/receipt.ts';
import type { SerialOverlap } from '../rules/serial-overlaps.ts';
import { counted } from '../rules/spoken.ts';
import type { AcceptedEntry, AcceptedSet } from '../system/accepted-set.ts';
import { readAccounts } from '../system/accounts.ts';
import type { Clock } from '../system/clock.ts';
import type { ContentStore } from '../system/content-store.ts';
import type { Exec } from '../system/exec.ts';
import { inParallel } from '../system/in-parallel.ts';
import { runOperation, type Journal, type Step } from '../system/journal.ts';
import { applySteps } from './ca-apply.ts';
import { gatherFacts, planFrom, type CaFacts, type CaWish } from './ca-decision.ts';
import type { ResolvedDrop } from './ca-drop.ts';
import type { HeldCa, HeldStore } from './ca-held.ts';
import type { LiveCa } from './ca-live.ts';
import { waitingRemovals, type VanishedBook } from './ca-vanished.ts';

export interface CaPassTools {
  readonly live: LiveCa;
  readonly set: AcceptedSet;
  readonly content: ContentStore;
  readonly held: HeldStore;
  readonly holds: {
    raise(
      hold: Pick<CaHold, 'rule' | 'sentence' | 'difference'> & { stream: string; drop: DropReference },
    ): Promise<string>;
    isReleased(id: string): Promise<boolean>;
    list(): Promise<readonly { readonly id: string; readonly decision: string }[]>;
  };
  readonly vanished: VanishedBook;
  readonly journal: Journal;
  readonly exec: Exec;
  readonly archive: string;
  readonly serialGap?: bigint;
  /** How many certificates may vanish before the removals are held. */
  readonly limits?: BrakeLimits;
}

export interface CaPassRequest {
  readonly wish: CaWish;
  readonly drop: DropReference;
  /** What becomes the accepted set with the last step; undefined: it stays. */
  readonly accept: ResolvedDrop | undefined;
  readonly brakes: boolean;
  /** Told before anything is done: afterwards both lines stand in the inventory, and nothing shows that one is new. */
  readonly onOverlaps: (overlaps: readonly SerialOverlap[]) => void;
  readonly job: string;
}

export interface CaPassContext {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly fence: () => Promise<void>;
}

export interface Applied {
  readonly actions: number;
  /** Paths that were placed, replaced or removed. */
  readonly changed: ReadonlySet<string>;
  readonly why: string;
  readonly bad: ReadonlyMap<string, string>;
  readonly bothSigned: readonly string[];
  /** Certificates that this master renewed itself. */
  readonly own: readonly string[];
  readonly kept: readonly string[];
  readonly sentences: readonly string[];
  /** What is held now is not much more than what was held already, and said. */
  readonly isGrown: boolean;
  /** Revocations of infra_crl.pem that wait for the CA's key. */
  readonly infraWaiting: number;
  readonly renewed: readonly CaRenewal[];
}

/** Facts, brakes, plan, fence, then the journalled steps; the accepted set moves last. */
export async function applyWish(tools: CaPassTools, request: CaPassRequest, context: CaPassContext): Promise<Applied> {
  const { wish, drop, accept } = request;
  const now = context.clock.now();
  const waiting = await waitingOf(tools, wish);
  const facts = await gatherFacts(wish, { ...tools, now, waiting: waiting.paths, serialGap: tools.serialGap });
  request.onOverlaps(facts.overlaps);
  const held = request.brakes ? await raiseHolds(tools, facts, drop, wish) : [];
  if (request.brakes) await noteVanished(tools, facts, wish, now);
  const isGrown = held.every((one) => isOfVanished(one) && one.removals.length <= 2 * waiting.paths.length);
  const merged = held.some(isOfVanished) ? waiting.ids : [];
  const plan = planFrom(wish, facts, new Set(held.flatMap(({ paths }) => paths)));
  if (plan.actions.length > 0 || accept !== undefined || held.length > 0) {
    const steps = [
      ...(await liveSteps(tools, request, { facts, plan }, context.signal)),
      holdStep(tools.held, held, merged),
      ...(accept === undefined ? [] : [acceptStep(tools, accept, drop)]),
    ];
    await context.fence();
    const run = dropName(drop);
    await runOperation(tools.journal, {
      job: request.job,
      run,
      args: { drop: run },
      steps,
      pointOfNoReturn: 'archive',
    });
  }
  return { ...appliedOf(facts, plan), sentences: held.map(({ sentence }) => sentence), isGrown };
}

function appliedOf(facts: CaFacts, plan: CaPlan): Omit<Applied, 'sentences' | 'isGrown'> {
  const { bad, own, infraWaiting, renewed } = facts;
  const { actions, bothSigned, kept } = plan;
  const why = actions.length === 0 ? 'live already' : `applied in ${counted(actions.length, 'change')}`;
  const changed = new Set(changedPaths(plan));
  return { actions: actions.length, changed, why, bad, bothSigned, own, kept, infraWaiting, renewed };
}

const isOfVanished = ({ rule }: HeldCa): boolean => rule === 'certificates-vanish';

/** Removals that wait already. What vanishes one by one is one hold that grows, not one for each. */
async function waitingOf({ held, holds, set }: CaPassTools, { incoming, deleted }: CaWish) {
  const all = deleted.length === 0 ? [] : await held.read();
  if (!all.some(isOfVanished)) return { ids: [], paths: [] };
  const open = new Set((await holds.list()).flatMap(({ id, decision }) => (decision === 'open' ? [id] : [])));
  return waitingRemovals(all, (id) => open.has(id), incoming, set);
}

/** Before anything goes, whether it is held or not: a pass that is killed and made anew counts the same once. */
async function noteVanished({ vanished }: CaPassTools, { vanish }: CaFacts, { incoming }: CaWish, now: Date) {
  const back = incoming.map(({ path }) => path).filter((path) => kindOf(path) === 'certificate');
  await vanished.note({ gone: vanish.old.slice(vanish.expected), back }, now);
}

async function liveSteps(
  tools: CaPassTools,
  { wish, drop, accept }: CaPassRequest,
  { facts, plan }: { readonly facts: CaFacts; readonly plan: CaPlan },
  signal: AbortSignal,
): Promise<Step[]> {
  return applySteps({
    live: tools.live,
    plan,
    source: wish.source,
    described: describer(wish, tools.set),
    accounts: await readAccounts(),
    archive: join(tools.archive, `${dropName(drop)}${accept === undefined ? '-healed' : ''}`),
    crls: facts.crls,
    decideCrls: facts.decideCrls,
    decideInfra: facts.decideInfra,
    authorities: facts.authorities,
    exec: tools.exec,
    signal,
  });
}

type Raised = HeldCa & { readonly paths: readonly string[]; readonly sentence: string };

/** Asks for each hold; what is released already goes through. */
async function raiseHolds(tools: CaPassTools, facts: CaFacts, drop: DropReference, wish: CaWish): Promise<Raised[]> {
  const raised: Raised[] = [];
  for (const { rule, sentence, difference, paths, serials } of facts.holds) {
    const id = await tools.holds.raise({ rule, stream: drop.stream, sentence, difference, drop });
    if (await tools.holds.isReleased(id)) continue;
    const incoming = new Map(wish.incoming.map(({ path, sha256 }) => [path, sha256]));
    const described = (from: (path: string) => string | undefined) =>
      paths
        .flatMap((path) => [{ path, sha256: from(path) }])
        .filter((file): file is Described => file.sha256 !== undefined);
    const files = described((path) => incoming.get(path));
    const removals = described((path) => (incoming.has(path) ? undefined : facts.hashes.get(path)));
    const hex = serials.map((serial) => serial.toString(16));
    raised.push({ id, rule, drop: dropName(drop), files, removals, serials: hex, paths, sentence });
  }
  return raised;
}

interface Described {
  readonly path: string;
  readonly sha256: string;
}

function describer({ incoming }: CaWish, set: AcceptedSet) {
  const files = new Map(incoming.map((file) => [file.path, file as Partial<ManifestFile>]));
  return (path: string) => {
    const { mode, owner, group } = files.get(path) ?? {};
    const known = set.get(path)?.mode;
    if (mode !== undefined && owner !== undefined && group !== undefined) return { mode, owner, group };
    return known === undefined ? undefined : { mode: known, owner: '', group: '' };
  };
}

/** Remembers what waits; `merged` are holds that are part of it now. */
function holdStep(store: HeldStore, raised: readonly Raised[], merged: readonly string[]): Step {
  const remembered = raised.map(({ paths: _paths, sentence: _sentence, ...held }) => held);
  return {
    name: 'holds',
    isDone: async () => {
      const ids = new Set((await store.read()).map(({ id }) => id));
      return remembered.every(({ id }) => ids.has(id)) && !others(merged, remembered).some((id) => ids.has(id));
    },
    do: async () => {
      const replaced = new Set([...merged, ...remembered.map(({ id }) => id)]);
      await store.write([...(await store.read()).filter(({ id }) => !replaced.has(id)), ...remembered]);
    },
  };
}

const others = (ids: readonly string[], held: readonly HeldCa[]): string[] =>
  ids.filter((id) => !held.some((one) => one.id === id));

/** INVARIANT: the last step. Content first, then the set, in one transaction; what nobody refers to goes afterwards. */
function acceptStep({ live, set, content }: CaPassTools, resolved: ResolvedDrop, drop: DropReference): Step {
  return {
    name: 'accept',
    isDone: async () => {
      const reference = set.reference();
      return reference !== undefined && dropName(reference) === dropName(drop) && set.digest() === drop.digest;
    },
    do: async () => {
      const sources = resolved.entries.map(({ path, sha256 }) => ({ source: resolved.source(path, sha256), sha256 }));
      await content.add(sources);
      const old = staleHashes(set, resolved);
      const entries = await withTimes(live, resolved.entries);
      if (resolved.whole) set.rebuild(entries, drop);
      else set.commit({ put: entries, remove: resolved.deleted }, drop);
      await content.remove(old.filter((sha256) => !topNames.some((name) => set.get(name)?.sha256 === sha256)));
    },
  };
}

// Only where the live file is the accepted one may its time stand for its content.
async function withTimes(live: LiveCa, entries: readonly AcceptedEntry[]): Promise<AcceptedEntry[]> {
  const timed = new Map(entries.map((entry) => [entry.path, entry]));
  const certificates = entries.filter(({ path }) => path.startsWith('signed/'));
  await inParallel(certificates, 16, async (entry) => {
    const before = await lstat(live.path(entry.path), { bigint: true }).catch(() => undefined);
    const hashes = await live.hashes([entry.path], () => undefined);
    if (before !== undefined && hashes.get(entry.path) === entry.sha256) {
      timed.set(entry.path, { ...entry, mtimeNs: before.mtimeNs });
    }
  });
  return [...timed.values()];
}

// The large files that change often; what certificates leave behind waits for the next sweep.
function staleHashes(set: AcceptedSet, { entries, deleted }: ResolvedDrop): string[] {
  const paths = [...entries.map(({ path }) => path), ...deleted].filter((path) => topNames.includes(path));
  return paths.flatMap((path) => set.get(path)?.sha256 ?? []);
}
