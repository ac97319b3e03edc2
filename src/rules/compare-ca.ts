import type { CaAudit } from './audit.ts';
import {
  betweenOf,
  bothFound,
  grouped,
  holdsOf,
  isUnderWay,
  many,
  some,
  type Findings,
  type Sides,
} from './differences.ts';
import { compareLists } from './compare-crls.ts';
import { overlapSentence, serialOverlaps } from './serial-overlaps.ts';
import { formatSerial } from './serial.ts';

/** Both CAs: whose they are, what they signed, and whether they can meet in a serial. */
export function compareCa(sides: Sides, findings: Findings): void {
  const found = bothFound(sides, ({ ca }) => ca, 'CA', findings);
  if (found === undefined) return;
  const pair: CaSides = { ...sides, ca: found };
  if (!compareAuthorities(pair, findings)) return; // of another CA everything differs
  compareCertificates(pair, findings);
  compareInventories(pair, findings);
  compareSerials(pair, findings);
  compareLists(pair, findings);
}

export interface CaSides extends Sides {
  readonly ca: { readonly a: CaAudit; readonly b: CaAudit };
}

function compareAuthorities({ a, b, ca }: CaSides, findings: Findings): boolean {
  const [one, other] = [ca.a.authorities, ca.b.authorities];
  const prints = (list: CaAudit['authorities']): string =>
    list
      .map(({ fingerprint }) => fingerprint)
      .sort()
      .join();
  if (prints(one) === prints(other)) {
    if (ca.a.hasKey !== ca.b.hasKey) {
      const [has, lacks] = ca.a.hasKey ? [a, b] : [b, a];
      const fix = `On ${lacks.certname}, type: pe-failover adopt ${one[0]?.fingerprint ?? 'FINGERPRINT'}`;
      findings.critical(`the key of the CA lies on ${has.certname} alone: ${lacks.certname} cannot sign`, fix);
    } else findings.equal(`the CA${ca.a.hasKey ? ' and its key' : ''}`);
    return true;
  }
  const [mine, theirs] = [one[0], other[0]];
  const isSame = mine?.subject === theirs?.subject;
  const says = `the certificate of the CA differs: ${shortly(mine)} on ${a.certname}, ${shortly(theirs)} on ${b.certname}`;
  const [hold] = holdsOf(b, 'sync-certs');
  if (hold !== undefined) findings.critical(`${says}; it is held`, `On ${b.certname}, type: pe-failover holds`);
  else if (isSame) findings.critical(says, `On ${a.certname}, type: pe-failover run sync-certs`);
  else findings.critical(says, `On ${b.certname}, type: pe-failover adopt ${mine?.fingerprint ?? 'FINGERPRINT'}`);
  return isSame;
}

const shortly = (one: CaAudit['authorities'][number] | undefined): string =>
  one === undefined ? 'none' : `${one.name} (${one.fingerprint.slice(0, 12)})`;

function compareCertificates(sides: CaSides, findings: Findings): void {
  const { a, b, ca } = sides;
  const [one, other] = [ca.a.certificates, ca.b.certificates];
  if (one.each === undefined || other.each === undefined) return compareAsWhole(one, other, 'certificates', findings);
  // Each master's own one, and what the configuration leaves out, never travels.
  const left = new Set([a.certname, b.certname, ...ca.a.excluded, ...ca.b.excluded]);
  const of = (rows: NonNullable<typeof one.each>): Map<string, string> =>
    new Map(rows.flatMap(([name, serial, sha256]) => (left.has(name) ? [] : [[name, `${serial} ${sha256}`] as const])));
  const [mine, theirs] = [of(one.each), of(other.each)];
  const lacking = [...mine.keys()].filter((name) => !theirs.has(name));
  const further = [...theirs.keys()].filter((name) => !mine.has(name));
  const differing = [...mine].flatMap(([name, what]) => (theirs.has(name) && theirs.get(name) !== what ? [name] : []));
  tell(sides, lacking, 'a', (names) => `${names} ${a.certname} alone`, findings);
  tell(sides, further, 'b', (names) => `${names} ${b.certname} alone`, findings);
  tell(sides, differing, 'both', (names) => `${names} both masters and differ`, findings);
  if (lacking.length + further.length + differing.length === 0) findings.equal(many(mine.size, 'certificate'));
}

/** Splits what is on its way from what is not. */
function tell(
  sides: CaSides,
  names: readonly string[],
  where: 'a' | 'b' | 'both',
  says: (names: string) => string,
  findings: Findings,
): void {
  const { a, b, ca } = sides;
  const made = new Set(betweenOf(b).madeHere.certificates);
  const recent = new Set([...(where === 'b' ? [] : ca.a.recent), ...(where === 'a' ? [] : ca.b.recent)]);
  const isYoung = (name: string): boolean => recent.has(name) || (where === 'b' && ca.a.justChanged);
  const kindOf = (name: string) => (made.has(name) ? 'own' : isYoung(name) ? 'young' : 'rest');
  const { own = [], young = [], rest = [] } = Object.groupBy(names, kindOf);
  const listed = (some_: readonly string[]): string =>
    `${many(some_.length, 'certificate')} (${some(some_)}) ${some_.length === 1 ? 'is' : 'are'} on`;
  if (own.length > 0)
    findings.note(
      `${says(listed(own))}: ${b.certname} signed ${own.length === 1 ? 'it' : 'them'} itself, and ${a.certname} fetches what is made there`,
      `To have it now, on ${a.certname}, type: pe-failover run fetch-made-here`,
    );
  if (young.length > 0) findings.note(`${says(listed(young))}: changed within minutes, and on the way`);
  if (rest.length === 0) return;
  const [hold] = holdsOf(b, 'sync-certs');
  const fix =
    hold === undefined
      ? `On ${a.certname}, type: pe-failover run sync-certs`
      : `On ${b.certname}, type: pe-failover holds`;
  if (hold === undefined && isUnderWay(sides, 'sync-certs'))
    findings.note(`${says(listed(rest))}; a drop is under way`);
  else findings.warning(`${says(listed(rest))}${hold === undefined ? '' : '; something is held there'}`, fix);
}

function compareAsWhole(
  one: CaAudit['certificates' | 'inventory'],
  other: CaAudit['certificates' | 'inventory'],
  what: string,
  findings: Findings,
): void {
  if (one.digest === other.digest) return findings.equal(`${grouped(one.count)} ${what}`);
  // Each master's own certificate differs, and there are too many to tell which these are.
  findings.note(`the ${what} differ, and are too many to be named: ${grouped(one.count)} and ${grouped(other.count)}`);
}

function compareInventories({ a, b, ca, now }: CaSides, findings: Findings): void {
  const [one, other] = [ca.a.inventory, ca.b.inventory];
  if (one.each === undefined || other.each === undefined)
    return compareAsWhole(one, other, 'lines of the inventory', findings);
  const keyOf = ([serial, name, begin]: Row): string => `${serial} ${name} ${begin}`;
  const [mine, theirs] = [
    new Map(one.each.map((row) => [keyOf(row), row])),
    new Map(other.each.map((row) => [keyOf(row), row])),
  ];
  const lacking = [...mine].flatMap(([key, row]) => (theirs.has(key) ? [] : [row]));
  const further = [...theirs].flatMap(([key, row]) => (mine.has(key) ? [] : [row]));
  for (const [rows, has, lacks] of [
    [lacking, a, b],
    [further, b, a],
  ] as const) {
    if (rows.length === 0) continue;
    const says = `${many(rows.length, 'line')} of the inventory (${some(rows.map(([, name]) => name))}) ${rows.length === 1 ? 'stands' : 'stand'} on ${has.certname} alone`;
    const made = new Set(betweenOf(b).madeHere.certificates);
    const justNow = has === a ? ca.a.justChanged : ca.b.justChanged || rows.every(([, name]) => made.has(name));
    const fix = has === a ? 'pe-failover run sync-certs' : 'pe-failover run fetch-made-here';
    if (justNow) findings.note(`${says}, and on the way to ${lacks.certname}`);
    else findings.warning(says, `On ${a.certname}, type: ${fix}`);
  }
  if (lacking.length + further.length === 0)
    findings.equal(many(mine.size, 'line of the inventory', 'lines of the inventory'));
  const overlaps = serialOverlaps(textOf(other.each), lacking.map(lineOf), [], now);
  if (overlaps.length > 0) findings.critical(overlapSentence(overlaps));
}

type Row = NonNullable<CaAudit['inventory']['each']>[number];

const lineOf = ([serial, name, begin, end]: Row): string =>
  `0x${serial} ${momentOf(begin)} ${momentOf(end)} /CN=${name}`;
const textOf = (rows: readonly Row[]): string => rows.map((row) => `${lineOf(row)}\n`).join('');

/** Of a moment that no date has nothing is to be made. */
function momentOf(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? 'never' : `${date.toISOString().slice(0, 19)}UTC`;
}

function compareSerials({ a, b, ca }: CaSides, findings: Findings): void {
  const [mine, theirs] = [ca.a.serial, ca.b.serial];
  if (mine === undefined || theirs === undefined) return;
  const [one, other] = [BigInt(`0x${mine}`), BigInt(`0x${theirs}`)];
  const shown = (serial: bigint): string => `0x${formatSerial(serial)}`;
  if (other > one)
    return findings.equal(
      `the next serials (${shown(one)} and ${shown(other)}: ${grouped(Number(other - one))} apart)`,
    );
  findings.critical(
    `both would give out the same serials: the next one is ${shown(one)} on ${a.certname}, ${shown(other)} on ${b.certname}`,
    `On ${a.certname}, type: pe-failover run sync-certs; on ${b.certname}: pe-failover run update-passive-ca`,
  );
}
