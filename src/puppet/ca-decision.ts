import { readFile } from 'node:fs/promises';
import { brakeCa, type CaHold, type VanishFacts } from '../rules/brakes-ca.ts';
import type { BrakeLimits } from '../rules/brake-limits.ts';
import { kindOf } from '../rules/ca-paths.ts';
import type { CaRenewal } from '../rules/ca-renewal.ts';
import { planCa, type CaFile, type CaPlan } from '../rules/ca-plan.ts';
import { decideCrls, decideInfraCrls, type CrlSituation, type IssuerDecision } from '../rules/crl.ts';
import { expiredSerials, missingLines, parseInventoryLine } from '../rules/inventory.ts';
import type { SerialOverlap } from '../rules/serial-overlaps.ts';
import { parseSerial, raiseSerial } from '../rules/serial.ts';
import type { AcceptedSet } from '../system/accepted-set.ts';
import { crlProblem, type Certificate, type Crl, type CrlReader } from '../system/certificates.ts';
import type { ContentStore } from '../system/content-store.ts';
import { readBytesIfThere, readIfThere } from '../system/files.ts';
import { inParallel } from '../system/in-parallel.ts';
import { compareCa } from './ca-change.ts';
import type { CrlSources } from './ca-crl.ts';
import { infraCrl, infraDecisions } from './ca-infra.ts';
import { acceptedInventory, ownRenewals } from './ca-own.ts';
import { contentProblem, liveLists, type LiveCa } from './ca-live.ts';
import { overlapsWith } from './ca-overlaps.ts';
import { vanishFacts, type VanishSides } from './ca-vanished.ts';

/** What should become live: a drop, a healing, or something that was held and is released. */
export interface CaWish {
  readonly incoming: readonly CaFile[];
  readonly deleted: readonly string[];
  /** What an interrupted apply left here, by sha256: it goes without a brake, for the active never had it accepted. */
  readonly leftovers?: ReadonlyMap<string, string>;
  readonly source: (path: string, sha256: string) => string;
  /** What the active last had: the base of every comparison. */
  readonly accepted: (path: string) => string | undefined;
  /** The active was set back to an earlier state: there is no base, and what only this master has is its own. */
  readonly united?: true;
  readonly inventoryLines: readonly string[];
  readonly certificates: { readonly before: number; readonly after: number };
  /** How many deletions the active has announced. */
  readonly expected?: number;
  /** Revocations that a released hold lets go. */
  readonly forgiven: ReadonlySet<bigint>;
}

export interface CaSides {
  readonly live: LiveCa;
  readonly set: AcceptedSet;
  readonly content: ContentStore;
  readonly vanished: VanishSides['vanished'];
  /** Removals that an open hold keeps. */
  readonly waiting: readonly string[];
  readonly now: Date;
  readonly serialGap: bigint | undefined;
  readonly limits?: BrakeLimits | undefined;
}

export interface CaFacts extends CrlDecisions {
  readonly authorities: readonly Certificate[];
  readonly hashes: ReadonlyMap<string, string>;
  /** Certificates that this master renewed while the active did not: they stay. */
  readonly own: readonly string[];
  /** Paths whose content may not go live, with the reason. */
  readonly bad: ReadonlyMap<string, string>;
  readonly crls: CrlSources;
  readonly holds: readonly CaHold[];
  /** Certificates of the CA itself that go live with a longer life, and their own key. */
  readonly renewed: readonly CaRenewal[];
  readonly vanish: VanishFacts;
  readonly serial: bigint | undefined;
  readonly inventory: readonly string[];
  /** Serials that the active gave to other certificates than this master knows by them. */
  readonly overlaps: readonly SerialOverlap[];
}

/** Reads what the rules ask for. Its cost follows the wish, not the size of the CA. */
export async function gatherFacts(wish: CaWish, sides: CaSides): Promise<CaFacts> {
  const { live, set, content } = sides;
  const authorities = await live.authorities();
  const leftovers = [...(wish.leftovers?.keys() ?? [])];
  const paths = [...wish.incoming.map(({ path }) => path), ...wish.deleted, ...leftovers, ...sides.waiting];
  const hashes = await live.hashes(paths, (path) => set.get(path));
  const unchanged = wish.incoming.filter(({ path, sha256 }) => wish.united || wish.accepted(path) === sha256);
  const issuedThere = () => (wish.united ? Promise.resolve(wish.inventoryLines) : acceptedInventory(set, content));
  const own = await ownRenewals(live, issuedThere, unchanged, hashes, authorities);
  const fresh = wish.incoming.filter(({ path, sha256 }) => hashes.get(path) !== sha256);
  const bad = await badContent(wish, fresh, authorities, live.readCrls);
  const crls = await readLists(wish, sides, bad, authorities);
  const inventory = missingLines(await textOfInventory(wish, live), wish.inventoryLines);
  const lists = await decideLists(wish, crls, authorities, sides);
  const { decisions } = lists;
  const removed = wish.deleted.filter((path) => kindOf(path) === 'certificate' && hashes.has(path));
  const waiting = sides.waiting.filter((path) => hashes.has(path));
  const vanish = await vanishFacts(sides, { removed, waiting, expected: wish.expected ?? 0 });
  const { renewed, holds } = await holdsOf(wish, sides, { hashes, decisions, authorities, vanish });
  const serial = await nextSerial(wish, sides, inventory);
  const good = fresh.filter(({ path }) => !bad.has(path));
  const overlaps = await overlapsWith(live, { lines: inventory, fresh: good, source: wish.source }, sides.now);
  return {
    authorities,
    hashes,
    own,
    bad,
    crls,
    ...lists,
    holds,
    renewed,
    vanish,
    serial,
    inventory,
    overlaps,
  };
}

type Judged = Pick<CaFacts, 'hashes' | 'decisions' | 'authorities' | 'vanish'>;

async function holdsOf(
  wish: CaWish,
  { live, now, limits }: CaSides,
  { hashes, decisions, authorities, vanish }: Judged,
): Promise<Pick<CaFacts, 'holds' | 'renewed'>> {
  const { changed, renewed } = await compareCa(wish, hashes, live, now);
  const change = {
    changedCa: changed,
    crls: decisions.map((decision) => ({ ...decision, issuerName: nameOf(decision.issuer, authorities) })),
    certificatesBefore: wish.certificates.before,
    certificatesAfter: wish.certificates.after,
    vanish,
  };
  return { holds: brakeCa(change, limits), renewed };
}

/** The plan, with what is held left out. */
export function planFrom(wish: CaWish, facts: CaFacts, held: ReadonlySet<string>): CaPlan {
  return planCa({
    accepted: (path) => wish.accepted(path) ?? wish.leftovers?.get(path),
    live: (path) => facts.hashes.get(path),
    incoming: wish.incoming,
    deleted: [...wish.deleted, ...(wish.leftovers?.keys() ?? [])],
    bad: facts.bad,
    held: new Set([...held, ...facts.own]),
    serial: facts.serial,
    inventory: facts.inventory,
    crls: facts.decisions,
  });
}

async function badContent(
  { source }: CaWish,
  fresh: readonly CaFile[],
  authorities: readonly Certificate[],
  readLists: CrlReader,
): Promise<Map<string, string>> {
  const bad = new Map<string, string>();
  await inParallel(fresh, 16, async ({ path, sha256 }) => {
    const problem = await contentProblem(path, source(path, sha256), authorities, readLists);
    if (problem !== undefined) bad.set(path, problem);
  });
  return bad;
}

const crlPath = 'ca_crl.pem';

async function readLists(
  { incoming, source, forgiven, accepted }: CaWish,
  { content, live }: CaSides,
  bad: ReadonlyMap<string, string>,
  authorities: readonly Certificate[],
): Promise<CrlSources> {
  const file = incoming.find(({ path }) => path === crlPath);
  if (file === undefined || bad.has(crlPath)) return { incoming: [], accepted: [], forgiven };
  const list = live.readCrls(await readFile(source(crlPath, file.sha256)), crlPath);
  const before = accepted(crlPath);
  const pem = before === undefined ? undefined : await readBytesIfThere(content.path(before));
  // An accepted list that was never believed is no base: what is live is kept anyway.
  const known = pem === undefined ? [] : readBelieved(pem, live.readCrls, authorities);
  return { incoming: list, accepted: known, forgiven };
}

function readBelieved(pem: Buffer, read: CrlReader, authorities: readonly Certificate[]): Crl[] {
  try {
    return read(pem, crlPath).filter((crl) => crlProblem(crl, authorities) === undefined);
  } catch {
    return [];
  }
}

type Lists = Pick<CrlSituation, 'accepted' | 'incoming' | 'live'>;

async function crlRule(
  authorities: readonly Certificate[],
  { live, now }: CaSides,
): Promise<(lists: Lists, forgiven?: ReadonlySet<bigint>) => IssuerDecision[]> {
  const signable = new Set<string>();
  for (const authority of authorities) if (await live.hasKeyOf(authority)) signable.add(authority.subject);
  const expired = expiredSerials(await live.text('inventory.txt'), now);
  return (lists, forgiven) =>
    decideCrls({
      ...lists,
      expired: (serial) => forgiven?.has(serial) === true || expired(serial),
      canSign: (issuer) => signable.has(issuer),
    });
}

interface CrlDecisions {
  readonly decisions: readonly IssuerDecision[];
  /** The same decision for the live lists of another moment. */
  readonly decideCrls: (live: readonly Crl[]) => readonly IssuerDecision[];
  readonly decideInfra: (incoming: readonly Crl[], live: readonly Crl[]) => readonly IssuerDecision[];
  readonly infraWaiting: number;
}

async function decideLists(
  wish: CaWish,
  crls: CrlSources,
  authorities: readonly Certificate[],
  sides: CaSides,
): Promise<CrlDecisions> {
  const infra = wish.incoming.find(({ path }) => path === infraCrl);
  if (crls.incoming.length === 0 && infra === undefined)
    return { decisions: [], decideCrls: () => [], decideInfra: () => [], infraWaiting: 0 };
  const rule = await crlRule(authorities, sides);
  const decideAll = (live: readonly Crl[]): IssuerDecision[] =>
    crls.incoming.length === 0 ? [] : rule({ ...crls, live }, crls.forgiven);
  const decideInfra = (incoming: readonly Crl[], live: readonly Crl[]) => decideInfraCrls(incoming, live, rule);
  const waiting =
    infra === undefined ? [] : await infraDecisions(sides.live, wish.source(infraCrl, infra.sha256), decideInfra);
  const infraWaiting = waiting.reduce((sum, one) => sum + one.waiting.length, 0);
  return { decisions: decideAll(await liveLists(sides.live)), decideCrls: decideAll, decideInfra, infraWaiting };
}

async function textOfInventory({ inventoryLines }: CaWish, live: LiveCa): Promise<string> {
  return inventoryLines.length === 0 ? '' : live.text('inventory.txt');
}

async function nextSerial(
  { incoming, source, accepted }: CaWish,
  { live, content, serialGap }: CaSides,
  lines: readonly string[],
): Promise<bigint | undefined> {
  const file = incoming.find(({ path }) => path === 'serial');
  const before = accepted('serial');
  const path = file !== undefined ? source('serial', file.sha256) : before && content.path(before);
  const theirs = path === undefined ? undefined : parseSerial((await readIfThere(path)) ?? '');
  const issued = lines.map((line) => parseInventoryLine(line)?.serial).filter((serial) => serial !== undefined);
  const gap = serialGap === undefined ? {} : { gap: serialGap };
  return raiseSerial({ live: parseSerial(await live.text('serial')), theirs, issued, ...gap });
}

const nameOf = (issuer: string, authorities: readonly Certificate[]): string =>
  authorities.find(({ subject }) => subject === issuer)?.commonName ?? 'unknown CA';
