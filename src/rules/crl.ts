/** What a rule needs to know of one issuer's CRL. `issuer` is any text that names it, the same on both sides. */
export interface CrlFacts {
  readonly issuer: string;
  readonly number: bigint | undefined;
  readonly revoked: ReadonlyMap<bigint, unknown>;
}

export interface CrlSituation {
  /** What the active last had accepted; undefined before the first time. */
  readonly accepted: readonly CrlFacts[] | undefined;
  readonly incoming: readonly CrlFacts[];
  readonly live: readonly CrlFacts[];
  /** Certificates that ended by themselves: forgetting them is no loss. */
  readonly expired: (serial: bigint) => boolean;
  /** Whether the issuer's key is at hand. */
  readonly canSign: (issuer: string) => boolean;
}

export interface IssuerDecision {
  readonly issuer: string;
  /** `live`: the incoming one can't go live and a union can't be signed. `union`: re-issued with all of them. */
  readonly use: 'incoming' | 'live' | 'union';
  /** Number of the re-issued one. */
  readonly number: bigint;
  /** Revoked in the accepted one, not in the incoming one, and not expired. */
  readonly lost: readonly bigint[];
  /** Revoked live only: by the spare itself. */
  readonly madeHere: readonly bigint[];
  /** Revoked by the incoming one, but not live after this decision. */
  readonly waiting: readonly bigint[];
}

/**
 * Which CRL of each issuer goes live. INVARIANT: a serial that is revoked live stays revoked, unless its certificate
 * has expired. Compared with the last accepted one: the live one also holds what the spare revoked itself.
 */
export function decideCrls(situation: CrlSituation): IssuerDecision[] {
  const { accepted = [], incoming, live } = situation;
  const issuers = new Set([...incoming, ...live, ...accepted].map((crl) => crl.issuer));
  return [...issuers].map((issuer) => decide(issuer, situation));
}

/** infra_crl.pem has no accepted side: what is revoked in either list stays revoked. */
export function decideInfraCrls(
  incoming: readonly CrlFacts[],
  live: readonly CrlFacts[],
  rule: (lists: Pick<CrlSituation, 'accepted' | 'incoming' | 'live'>) => IssuerDecision[],
): IssuerDecision[] {
  return rule({ accepted: undefined, incoming, live }).map((decision) => {
    const of = (crls: readonly CrlFacts[]): CrlFacts | undefined =>
      crls.find(({ issuer }) => issuer === decision.issuer);
    const [theirs, mine] = [of(incoming), of(live)];
    const isNewer = mine === undefined || theirs === undefined || (theirs.number ?? 0n) > (mine.number ?? 0n);
    const hasAll = mine !== undefined && theirs !== undefined && contains(mine, theirs);
    return decision.use === 'incoming' && hasAll && !isNewer ? { ...decision, use: 'live' } : decision;
  });
}

function decide(issuer: string, situation: CrlSituation): IssuerDecision {
  const of = (crls: readonly CrlFacts[] | undefined): CrlFacts | undefined =>
    crls?.find((crl) => crl.issuer === issuer);
  const [accepted, incoming, live] = [of(situation.accepted), of(situation.incoming), of(situation.live)];
  const lost = lacking(accepted, incoming, situation.expired);
  const madeHere = lacking(live, incoming, situation.expired).filter((serial) => !accepted?.revoked.has(serial));
  const number = [accepted, incoming, live].reduce((highest, crl) => larger(highest, crl?.number ?? 0n), 0n) + 1n;
  const use = choose({ issuer, accepted, incoming, live, lost, madeHere, canSign: situation.canSign });
  const waiting = use === 'live' ? lacking(incoming, live, situation.expired) : [];
  return { issuer, use, number, lost, madeHere, waiting };
}

interface Choice {
  readonly issuer: string;
  readonly accepted: CrlFacts | undefined;
  readonly incoming: CrlFacts | undefined;
  readonly live: CrlFacts | undefined;
  readonly lost: readonly bigint[];
  readonly madeHere: readonly bigint[];
  readonly canSign: (issuer: string) => boolean;
}

function choose({ issuer, accepted, incoming, live, lost, madeHere, canSign }: Choice): IssuerDecision['use'] {
  if (incoming === undefined) return 'live';
  if (live === undefined && lost.length === 0) return 'incoming';
  const backwards = (incoming.number ?? 0n) < (accepted?.number ?? 0n);
  if (lost.length === 0 && madeHere.length === 0 && !backwards) return 'incoming';
  if (live !== undefined && contains(live, incoming) && contains(live, accepted)) return 'live';
  if (canSign(issuer)) return 'union';
  // Without the key an older number that loses nothing is still the better one.
  return lost.length === 0 && madeHere.length === 0 ? 'incoming' : 'live';
}

/** How far a promotion raises the number of a CRL: above what the old active may issue before it hears of it. */
export const crlLeap = 0x186a0n;

/**
 * A promotion's rule: lists that can be signed get a number above those that were there `before`, as far as they have none yet,
 * so that no list of the new active has the number of another list of the old one.
 */
export function leapOfCrls(
  before: readonly CrlFacts[],
  canSign: (issuer: string) => boolean,
): (live: readonly CrlFacts[]) => IssuerDecision[] {
  const number = before.reduce((highest, crl) => larger(highest, crl.number ?? 0n), 0n) + crlLeap;
  return (live) =>
    live.map(({ issuer, number: has = 0n }) => {
      const use = has < number && canSign(issuer) ? 'union' : 'live';
      return { issuer, use, number, lost: [], madeHere: [], waiting: [] };
    });
}

/** Serials of `from` that `other` lacks, expired ones aside, ascending. */
export function lacking(
  from: CrlFacts | undefined,
  other: CrlFacts | undefined,
  expired: (serial: bigint) => boolean,
): bigint[] {
  const found: bigint[] = [];
  for (const serial of from?.revoked.keys() ?? []) {
    if (other?.revoked.has(serial) !== true && !expired(serial)) found.push(serial);
  }
  return found.sort((a, b) => (a < b ? -1 : 1));
}

const contains = (outer: CrlFacts, inner: CrlFacts | undefined): boolean =>
  [...(inner?.revoked.keys() ?? [])].every((serial) => outer.revoked.has(serial));

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);

/** A time as it stands in a list (UTCTime or GeneralizedTime), in ISO 8601; undefined where it is none. */
export function crlMoment(text: string): string | undefined {
  const match = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  if (match === null) return undefined;
  const [, year = '', ...rest] = match;
  const [month, day, hour, minute, second] = rest;
  const whole = year.length === 4 ? year : `${Number(year) < 50 ? '20' : '19'}${year}`;
  const iso = `${whole}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  return Number.isNaN(Date.parse(iso)) ? undefined : iso;
}
