import type { Audit, BetweenAudit, Part } from './audit.ts';

export const components = [
  ...(['masters', 'ca', 'classifier', 'databases', 'secrets', 'files', 'code', 'gems'] as const),
  ...(['autosign', 'deployment', 'builds', 'certificates', 'settings', 'clock'] as const),
] as const;
export type Component = (typeof components)[number];
/** The parts of an audit that a component is made of, besides what is under way. */
const partsBy: Readonly<Record<Component, readonly (keyof Audit)[]>> = {
  ...{
    masters: [],
    ca: ['ca'],
    classifier: ['classifier'],
    databases: ['databases'],
    secrets: ['files', 'databases'],
    files: ['files'],
  },
  ...{
    code: ['files', 'environments', 'settings'],
    gems: ['gems'],
    autosign: ['files', 'settings'],
    deployment: ['files'],
  },
  ...{
    builds: ['builds'],
    certificates: ['certificate', 'settings'],
    settings: ['settings', 'certificate'],
    clock: [],
  },
};

/** Undefined: all of them. */
export const partsOf = (only: Component | undefined): readonly string[] | undefined =>
  only === undefined ? undefined : partsBy[only];

export type Severity = 'critical' | 'warning' | 'note';

/** One thing that is not alike on both masters, or not well on one. */
export interface Difference {
  readonly component: Component;
  readonly severity: Severity;
  readonly says: string;
  /** What to type. */
  readonly fix?: string;
}

/** Collects what the rules find, each for its component. */
export interface Findings {
  critical(says: string, fix?: string): void;
  warning(says: string, fix?: string): void;
  /** Under way, by design, or to be known. */
  note(says: string, fix?: string): void;
  /** What was compared and is alike: "1,000 groups". */
  equal(says: string): void;
}

export interface Compared {
  readonly differences: Difference[];
  readonly equal: { readonly component: Component; readonly says: string }[];
  of(component: Component): Findings;
}

export function createCompared(): Compared {
  const [differences, equal]: [Difference[], Compared['equal']] = [[], []];
  const add = (component: Component, severity: Severity, says: string, fix?: string): void =>
    void differences.push({ component, severity, says, ...(fix === undefined ? {} : { fix }) });
  return {
    differences,
    equal,
    of: (component) => ({
      critical: (says, fix) => add(component, 'critical', says, fix),
      warning: (says, fix) => add(component, 'warning', says, fix),
      note: (says, fix) => add(component, 'note', says, fix),
      equal: (says) => void equal.push({ component, says }),
    }),
  };
}

/** Both sides: `a` is the active where one is, `b` the other one. */
export interface Sides {
  readonly a: Audit;
  readonly b: Audit;
  readonly now: Date;
}

/** Both, where both were found. What one of them could not be asked for is a warning. */
export function bothFound<Value>(
  { a, b }: Sides,
  pick: (audit: Audit) => Part<Value>,
  what: string,
  findings: Pick<Findings, 'warning'>,
): { readonly a: Value; readonly b: Value } | undefined {
  const [mine, theirs] = [pick(a), pick(b)];
  if ('found' in mine && 'found' in theirs) return { a: mine.found, b: theirs.found };
  const hasOff = [mine, theirs].some((part) => 'off' in part);
  const hasOther = [mine, theirs].some((part) => 'found' in part);
  for (const [audit, part] of [
    [a, mine],
    [b, theirs],
  ] as const) {
    if ('failed' in part) findings.warning(`${what}: not compared, because on ${audit.certname}: ${part.failed}`);
    else if ('off' in part && hasOff && hasOther)
      findings.warning(`${what}: not compared, because on ${audit.certname}: ${part.off}`);
  }
  return undefined;
}

const nothingBetween: BetweenAudit = {
  streams: [],
  holds: [],
  running: [],
  madeHere: { certificates: [], revocations: [] },
};

export const betweenOf = ({ between }: Audit): BetweenAudit => ('found' in between ? between.found : nothingBetween);

/** "web1, web2, web3 and 17 more". */
export function some(names: readonly string[], shown = 3): string {
  const first = names.slice(0, shown).join(', ');
  return names.length <= shown ? first : `${first} and ${grouped(names.length - shown)} more`;
}

/** 10,000. */
export const grouped = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ',');

export const many = (count: number, one: string, several = `${one}s`): string =>
  `${grouped(count)} ${count === 1 ? one : several}`;

/** The first holds of a stream, for a person to decide on. */
export const holdsOf = (audit: Audit, stream: string): string[] =>
  betweenOf(audit).holds.flatMap((hold) => (hold.stream === stream ? [hold.id] : []));

const jobsBy: Readonly<Record<string, readonly string[]>> = {
  'sync-certs': ['sync-certs', 'update-passive-ca'],
  'sync-files': ['sync-files', 'update-passive-files'],
  'nc-dump': ['nc-dump', 'restore-nc'],
  'db-dump': ['db-dump', 'restore-dbs'],
};

/** A pass that may end the difference goes on at this moment. */
export const isUnderWay = ({ a, b }: Sides, stream: string): boolean =>
  (jobsBy[stream.replace(/\..*$/, '')] ?? []).some((job) =>
    [a, b].some((audit) => betweenOf(audit).running.includes(job)),
  );
