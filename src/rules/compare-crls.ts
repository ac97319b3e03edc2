import type { Audit, CaAudit } from './audit.ts';
import type { CaSides } from './compare-ca.ts';
import { lacking, type CrlFacts } from './crl.ts';
import { betweenOf, holdsOf, many, some, type Findings } from './differences.ts';

/** Revoked sets, issuer by issuer. */
export function compareLists({ a, b, ca, now }: CaSides, findings: Findings): void {
  const [mine, theirs] = [factsOf(ca.a), factsOf(ca.b)];
  const expired = expiredIn([ca.a, ca.b], now);
  let [lists, revoked, alike] = [0, 0, true];
  for (const issuer of new Set([...mine, ...theirs].map((list) => list.issuer))) {
    const [one, other] = [mine, theirs].map((side) => side.find((list) => list.issuer === issuer));
    const who = nameOf(ca.a, issuer);
    if (one === undefined || other === undefined) {
      alike = false;
      const [has, lacks] = one === undefined ? [b, a] : [a, b];
      const fix = `On ${a.certname}, type: pe-failover run sync-certs`;
      findings.critical(`the CRL of ${who} is on ${has.certname} alone: ${lacks.certname} revokes nothing of it`, fix);
      continue;
    }
    const [onA, onB] = [lacking(one, other, expired), lacking(other, one, expired)];
    [lists, revoked, alike] = [lists + 1, revoked + one.revoked.size, alike && onA.length + onB.length === 0];
    revokedOnActive(onA, { a, b, ca, now }, findings);
    revokedOnSpare(onB, { a, b, ca, now }, findings);
  }
  if (alike) findings.equal(`${many(lists, 'CRL')} with ${many(revoked, 'revocation')}`);
}

const factsOf = ({ lists }: CaAudit): CrlFacts[] =>
  lists.map(({ issuer, number, revoked }) => ({
    issuer,
    number: number === undefined ? undefined : BigInt(`0x${number}`),
    revoked: new Map(revoked.map((serial) => [BigInt(`0x${serial}`), true])),
  }));

const nameOf = ({ authorities }: CaAudit, issuer: string): string =>
  authorities.find(({ subject }) => subject === issuer)?.name ?? 'another CA';

/** A list may forget what has ended. */
function expiredIn(sides: readonly CaAudit[], now: Date): (serial: bigint) => boolean {
  const ends = new Map<string, number>();
  for (const { inventory } of sides)
    for (const [serial, , , end] of inventory.each ?? []) ends.set(serial, Math.max(end, ends.get(serial) ?? 0));
  return (serial) => (ends.get(serial.toString(16)) ?? Infinity) * 1000 < now.getTime();
}

function revokedOnActive(serials: readonly bigint[], { a, b, ca }: CaSides, findings: Findings): void {
  if (serials.length === 0) return;
  const says = `${listed(serials, [ca.a, ca.b])} revoked on ${a.certname} and still valid on ${b.certname}`;
  const [hold] = holdsOf(b, 'sync-certs');
  if (hold !== undefined)
    findings.critical(`${says}; something is held there`, `On ${b.certname}, type: pe-failover holds`);
  else if (ca.a.justChanged) findings.warning(`${says}; changed within minutes, and on the way`);
  else findings.critical(says, `On ${a.certname}, type: pe-failover run sync-certs`);
}

function revokedOnSpare(serials: readonly bigint[], { a, b, ca }: CaSides, findings: Findings): void {
  const made = new Set(betweenOf(b).madeHere.revocations);
  const isMade = (serial: bigint): boolean => made.has(serial.toString(16));
  const [own, rest] = [serials.filter(isMade), serials.filter((serial) => !isMade(serial))];
  const says = (some_: readonly bigint[]): string =>
    `${listed(some_, [ca.b, ca.a])} revoked on ${b.certname} and still valid on ${a.certname}`;
  const fix = `On ${a.certname}, type: pe-failover run fetch-made-here`;
  if (own.length > 0) findings.note(`${says(own)}, which fetches what is made there`, fix);
  if (rest.length > 0) findings.critical(says(rest), fix);
}

function listed(serials: readonly bigint[], sides: readonly CaAudit[]): string {
  const rows = sides.flatMap(({ inventory }) => inventory.each ?? []);
  const nameBy = new Map(rows.map(([serial, name]) => [serial, name]));
  const names = serials.map(
    (serial) => nameBy.get(serial.toString(16)) ?? `serial 0x${serial.toString(16).toUpperCase()}`,
  );
  return `${many(serials.length, 'certificate')} (${some(names)}) ${serials.length === 1 ? 'is' : 'are'}`;
}

/** What is wrong with one CA by itself. */
export function lookAtCa({ certname }: Audit, ca: CaAudit, now: Date, findings: Findings): void {
  for (const { name, notAfter } of ca.authorities)
    lookAtEnd(`the CA certificate ${name} on ${certname}`, notAfter, { now, warnDays: 90 }, findings);
  for (const { issuer, nextUpdate } of ca.lists)
    if (nextUpdate !== undefined)
      lookAtEnd(`the CRL of ${nameOf(ca, issuer)} on ${certname}`, nextUpdate, { now, warnDays: 30 }, findings);
  if (ca.strange.length > 0) {
    const [first] = ca.strange;
    const says = `${many(ca.strange.length, 'file')} in signed/ on ${certname} (${some(ca.strange.map(({ name }) => name))})`;
    findings.warning(
      `${says} ${ca.strange.length === 1 ? 'is' : 'are'} no certificate of this CA: ${first?.why ?? ''}`,
      'Look at it, and move it away',
    );
  }
  lookAtLines(certname, ca, findings);
}

function lookAtLines(certname: string, ca: CaAudit, findings: Findings): void {
  const { certificates, inventory, serial } = ca;
  const rows = inventory.each ?? [];
  const issued = new Set(rows.map(([number]) => number));
  const strange = new Set(ca.strange.map(({ name }) => name));
  const missing = (certificates.each ?? []).filter(([name, number]) => !strange.has(name) && !issued.has(number));
  if (inventory.each !== undefined && missing.length > 0 && !ca.justChanged)
    findings.note(
      `${many(missing.length, 'certificate')} on ${certname} (${some(missing.map(([name]) => name))}) ${missing.length === 1 ? 'has' : 'have'} no line in its inventory`,
    );
  const next = serial === undefined ? undefined : BigInt(`0x${serial}`);
  const taken = next === undefined ? [] : rows.filter(([number]) => BigInt(`0x${number}`) === next);
  if (taken.length > 0)
    findings.critical(
      `the next serial on ${certname}, 0x${serial?.toUpperCase() ?? ''}, was given out already (${some(taken.map(([, name]) => name))})`,
      'Stop puppetserver there, raise "serial" in its CA directory, start it',
    );
}

export function lookAtEnd(
  what: string,
  end: string,
  { now, warnDays }: { readonly now: Date; readonly warnDays: number },
  findings: Pick<Findings, 'critical' | 'warning'>,
): void {
  const days = Math.floor((Date.parse(end) - now.getTime()) / 86_400_000);
  if (days < 0) findings.critical(`${what} has ended on ${end.slice(0, 10)}`);
  else if (days < warnDays) findings.warning(`${what} ends on ${end.slice(0, 10)}, in ${many(days, 'day')}`);
}
