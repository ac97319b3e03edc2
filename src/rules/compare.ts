import type { Audit, Part } from './audit.ts';
import { compareCa } from './compare-ca.ts';
import { compareClassifier } from './compare-classifier.ts';
import { lookAtCa, lookAtEnd } from './compare-crls.ts';
import { compareDatabases } from './compare-databases.ts';
import { compareEnvironments, compareFiles } from './compare-files.ts';
import {
  compareBuilds,
  compareCertificates,
  compareClocks,
  compareGems,
  compareMasters,
  compareSettings,
  componentOf,
  type ClockDifference,
} from './compare-host.ts';
import {
  betweenOf,
  components,
  createCompared,
  many,
  type Compared,
  type Component,
  type Difference,
  type Severity,
  type Sides,
} from './differences.ts';

/** What `compare` tells, as one value. */
export interface Comparison {
  readonly format: 1;
  /** As Nagios counts: 0 alike, 1 warning, 2 critical, 3 the other master was not asked. */
  readonly code: 0 | 1 | 2 | 3;
  readonly text: string;
  readonly own: Compare;
  /** Missing: it did not answer. */
  readonly other?: Compare;
  /** The worst component first, and in it the worst difference. */
  readonly differences: readonly Difference[];
  /** What was compared and is alike, in words. */
  readonly equal: readonly string[];
  readonly at: string;
}

type Compare = Pick<Audit, 'certname' | 'role'>;

export interface Question {
  readonly own: Audit;
  readonly now: Date;
  /** Undefined: all. */
  readonly only?: Component | undefined;
}

export interface Other {
  readonly audit: Audit;
  readonly clock: ClockDifference;
}

/** Both masters, whoever of them is asked. */
export function compareMastersWith({ own, now, only }: Question, { audit, clock }: Other): Comparison {
  const compared = createCompared();
  const isOther = audit.role === 'active' && own.role !== 'active';
  const sides: Sides = isOther ? { a: audit, b: own, now } : { a: own, b: audit, now };
  lookAt(own, now, compared);
  lookAt(audit, now, compared);
  const wants = (component: Component): boolean => only === undefined || only === component;
  if (wants('masters')) compareMasters(sides, compared);
  if (wants('ca')) compareCa(sides, compared.of('ca'));
  if (wants('classifier')) compareClassifier(sides, compared.of('classifier'));
  if (wants('databases')) compareDatabases(sides, compared.of('databases'));
  if (['secrets', 'files', 'code', 'autosign', 'deployment'].some((one) => wants(one as Component)))
    compareFiles(sides, compared);
  if (wants('code')) compareEnvironments(sides, compared.of('code'));
  if (wants('gems')) compareGems(sides, compared.of('gems'));
  if (wants('builds')) compareBuilds(sides, compared.of('builds'));
  if (wants('certificates')) compareCertificates(sides, compared.of('certificates'));
  if (['settings', 'autosign', 'code'].some((one) => wants(one as Component))) compareSettings(sides, compared);
  if (wants('clock')) compareClocks(own.certname, audit.certname, clock, compared.of('clock'));
  const differences = sorted(compared.differences, only);
  const equal = compared.equal.filter(({ component }) => wants(component)).map(({ says }) => says);
  const counts = spokenCounts(differences);
  const [first, second] = [sides.a.certname, sides.b.certname];
  const code = codeOf(differences);
  const text =
    code === 0
      ? `OK: ${first} and ${second} are alike${counts}`
      : `${words[code]}: ${first} and ${second} differ${counts}`;
  return { ...whole(own, now), code, text, other: nameOf(audit), differences, equal };
}

/** This one alone, where the other one does not answer. */
export function lookAtOne({ own, now, only }: Question, other: string, why: string): Comparison {
  const compared = createCompared();
  lookAt(own, now, compared);
  for (const { id, stream, sentence } of betweenOf(own).holds)
    compared
      .of(componentOf(stream))
      .warning(
        `held on ${own.certname}: ${sentence}`,
        `Type: pe-failover release ${id}, or: pe-failover discard ${id}`,
      );
  for (const [component, part] of partsOf(own))
    if ('failed' in part) compared.of(component).warning(`not looked at on ${own.certname}: ${part.failed}`);
  if ('found' in own.certificate)
    lookAtEnd(
      `the own certificate of ${own.certname}`,
      own.certificate.found.notAfter,
      { now, warnDays: 30 },
      compared.of('certificates'),
    );
  const differences = sorted(compared.differences, only);
  const text = `UNKNOWN: only ${own.certname} was looked at${spokenCounts(differences)}. ${other} was not: ${why}`;
  return { ...whole(own, now), code: 3, text, differences, equal: [] };
}

const whole = (own: Audit, now: Date) => ({ format: 1 as const, own: nameOf(own), at: now.toISOString() });
const nameOf = ({ certname, role }: Audit): Compare => ({ certname, role });

const partsOf = (audit: Audit): [Component, Part<unknown>][] => [
  ['ca', audit.ca],
  ['certificates', audit.certificate],
  ['classifier', audit.classifier],
  ['secrets', audit.files],
  ['code', audit.environments],
  ['gems', audit.gems],
  ['builds', audit.builds],
  ['settings', audit.settings],
  ...[...audit.databases.values()].map((part): [Component, Part<unknown>] => ['databases', part]),
];

/** What is wrong with one master by itself. */
function lookAt(audit: Audit, now: Date, compared: Compared): void {
  if ('found' in audit.ca) lookAtCa(audit, audit.ca.found, now, compared.of('ca'));
}

const words = { 1: 'WARNING', 2: 'CRITICAL' } as const;
const gravity: readonly Severity[] = ['critical', 'warning', 'note'];

function codeOf(differences: readonly Difference[]): 0 | 1 | 2 {
  const has = (severity: Severity): boolean => differences.some((one) => one.severity === severity);
  return has('critical') ? 2 : has('warning') ? 1 : 0;
}

function spokenCounts(differences: readonly Difference[]): string {
  const counts = gravity.flatMap((severity) => {
    const count = differences.filter((one) => one.severity === severity).length;
    return count === 0 ? [] : [severity === 'critical' ? `${count} critical` : many(count, severity)];
  });
  return counts.length === 0 ? '' : `: ${counts.join(', ')}`;
}

function sorted(found: readonly Difference[], only: Component | undefined): Difference[] {
  const wanted = found.filter(({ component }) => only === undefined || component === only);
  const rank = ({ severity }: Difference): number => gravity.indexOf(severity);
  const worst = (component: Component): number =>
    Math.min(...wanted.filter((one) => one.component === component).map(rank));
  return [...wanted].sort(
    (one, other) =>
      worst(one.component) - worst(other.component) ||
      components.indexOf(one.component) - components.indexOf(other.component) ||
      rank(one) - rank(other),
  );
}
