import type { DatabaseAudit } from './audit.ts';
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

/** Table by table, with what is loaded beside a database and when that goes live. */
export function compareDatabases(sides: Sides, findings: Findings): void {
  const { a, b } = sides;
  for (const name of new Set([...a.databases.keys(), ...b.databases.keys()])) {
    const [one, other] = [a.databases.get(name), b.databases.get(name)];
    if (one === undefined || other === undefined) {
      const [has, lacks] = one === undefined ? [b, a] : [a, b];
      const fix = `Write it below \`databases\` into the configuration of ${lacks.certname}, too`;
      findings.warning(`${name} is kept on ${has.certname} alone`, fix);
      continue;
    }
    const pick = (audit: Sides['a']) => (audit === a ? one : other);
    const found = bothFound(sides, pick, name, findings);
    if (found !== undefined) compareOne(sides, name, found, findings);
  }
}

interface Both {
  readonly a: DatabaseAudit;
  readonly b: DatabaseAudit;
}

function compareOne(sides: Sides, name: string, { a, b }: Both, findings: Findings): void {
  const stream = `db-dump.${name}`;
  if (a.major !== b.major)
    findings.critical(
      `PostgreSQL is ${a.major} on ${sides.a.certname} and ${b.major} on ${sides.b.certname}: no dump of ${name} goes live`,
      'Bring both to one version',
    );
  if (a.digest === b.digest) return alike(name, { a, b }, findings);
  const says = `${name} differs in ${whatDiffers(sides, { a, b })}`;
  const [hold] = holdsOf(sides.b, stream);
  const onSpare = `On ${sides.b.certname}, type:`;
  const failed = b.quarantined ?? a.quarantined;
  if (failed?.digest === a.digest)
    findings.critical(`${says}; what is newer did not go live: ${failed.why}`, `${onSpare} pe-failover holds`);
  else if (hold !== undefined) findings.critical(`${says}; it is held`, `${onSpare} pe-failover holds`);
  else if (b.staged?.digest === a.digest)
    findings.note(
      `${says}; the newer one is staged, and ${b.staged.when}`,
      `To have it now: ${onSpare.replace('On', 'on')} pe-failover run restore-dbs`,
    );
  else missing(sides, { a, b, says, stream }, findings);
}

function missing(
  sides: Sides,
  { b, says, stream }: Both & { readonly says: string; readonly stream: string },
  findings: Findings,
): void {
  if (isUnderWay(sides, stream)) return findings.note(`${says}; a drop is under way`);
  const fix = `On ${sides.a.certname}, type: pe-failover run db-dump`;
  const [word] = betweenOf(sides.b).streams.filter((one) => one.stream === stream);
  const older = b.staged === undefined ? '' : '; what is staged is older, too';
  const refused =
    word?.state === 'refused' || word?.state === 'failed' ? `; the last drop was ${word.state}: ${word.why}` : '';
  findings.warning(`${says}${older}${refused}`, fix);
}

function alike(name: string, { a, b }: Both, findings: Findings): void {
  const rows = a.tables.reduce((sum, [, count]) => sum + count, 0);
  findings.equal(`${name} (${many(a.tables.length, 'table')}, ${many(rows, 'row')})`);
  if (a.wholeDigest !== b.wholeDigest) findings.note(`${name} differs in what changes by use alone, such as logins`);
}

function whatDiffers({ a, b }: Sides, audits: Both): string {
  const [mine, theirs] = [new Map(rowsOf(audits.a)), new Map(rowsOf(audits.b))];
  const tables = [...new Set([...mine.keys(), ...theirs.keys()])].filter(
    (name) => mine.get(name)?.mac !== theirs.get(name)?.mac,
  );
  const spoken = tables.map((name) => {
    const [one, other] = [mine.get(name), theirs.get(name)];
    if (one === undefined || other === undefined) return `${name} is on ${(one === undefined ? b : a).certname} alone`;
    return one.rows === other.rows
      ? name
      : `${name}: ${grouped(one.rows)} rows on ${a.certname}, ${grouped(other.rows)} on ${b.certname}`;
  });
  const parts = [
    ...(tables.length === 0 ? [] : [`${many(tables.length, 'table')} (${some(spoken)})`]),
    ...(audits.a.definitions === audits.b.definitions ? [] : ['definitions']),
    ...(audits.a.sequences === audits.b.sequences ? [] : ['sequences']),
  ];
  const [last = 'what its tables do not show', ...others] = parts.reverse();
  return others.length === 0 ? last : `${others.reverse().join(', ')} and ${last}`;
}

const rowsOf = ({ tables }: DatabaseAudit): [string, { readonly rows: number; readonly mac: string }][] =>
  tables.map(([name, rows, mac]) => [name, { rows, mac }]);
