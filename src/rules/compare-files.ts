import type { FileAudit } from './audit.ts';
import {
  bothFound,
  holdsOf,
  isUnderWay,
  many,
  some,
  type Compared,
  type Component,
  type Findings,
  type Sides,
} from './differences.ts';

/** In which component each kind of file is told, how grave it is, and what carries it. */
const kinds: Readonly<
  Record<FileAudit['kind'], { component: Component; severity: 'critical' | 'warning'; what: string }>
> = {
  secrets: { component: 'secrets', severity: 'critical', what: 'secret file' },
  listed: { component: 'files', severity: 'warning', what: 'listed file' },
  code: { component: 'code', severity: 'critical', what: 'hiera.yaml' },
  autosign: { component: 'autosign', severity: 'warning', what: 'autosign.conf' },
  deployment: { component: 'deployment', severity: 'warning', what: 'file of r10k and Code Manager' },
};

export function compareFiles(sides: Sides, compared: Compared): void {
  const found = bothFound(sides, ({ files }) => files, 'files', compared.of('files'));
  if (found === undefined) return;
  const [mine, theirs] = [byPath(found.a), byPath(found.b)];
  for (const [kind, { component, severity, what }] of Object.entries(kinds)) {
    const findings = compared.of(component);
    const paths = [...new Set([...mine.keys(), ...theirs.keys()])].filter(
      (path) => (mine.get(path) ?? theirs.get(path))?.kind === kind,
    );
    const differing = paths.filter((path) => mine.get(path)?.mac !== theirs.get(path)?.mac);
    const modes = paths.filter(
      (path) => mine.get(path)?.mac === theirs.get(path)?.mac && mine.get(path)?.mode !== theirs.get(path)?.mode,
    );
    for (const path of differing.slice(0, mostSaid)) {
      const [isMine, isTheirs] = [mine.has(path), theirs.has(path)];
      const staged = stagedWith(sides, path);
      if (staged !== undefined) {
        findings.note(`${path} differs; the newer one goes live with ${staged}`);
        continue;
      }
      if (kind === 'listed' && holdsOf(sides.b, 'sync-files').length === 0 && isUnderWay(sides, 'sync-files')) {
        findings.note(`${path} differs; a drop is under way`);
        continue;
      }
      const where = isMine && isTheirs ? 'differs' : `is on ${(isMine ? sides.a : sides.b).certname} alone`;
      findings[isMine ? severity : 'warning'](`${path} ${where}`, fixOf(kind as FileAudit['kind'], sides));
    }
    if (differing.length > mostSaid) findings[severity](`${many(differing.length - mostSaid, `more ${what}`)} differ`);
    if (modes.length > 0)
      findings.note(
        `${many(modes.length, what)} (${some(modes)}) ${modes.length === 1 ? 'has' : 'have'} another mode on each master`,
      );
    const same = paths.length - differing.length;
    if (same > 0)
      findings.equal(many(same, what, what.startsWith('file of') ? what.replace('file', 'files') : `${what}s`));
  }
}

const mostSaid = 20;

/** The database that is loaded on the spare and brings this key file along. */
const stagedWith = ({ b }: Sides, path: string): string | undefined =>
  [...b.databases].find(
    ([, part]) => 'found' in part && part.found.staged !== undefined && part.found.needs?.includes(path) === true,
  )?.[0];

const byPath = (files: readonly FileAudit[]): Map<string, FileAudit> => new Map(files.map((file) => [file.path, file]));

function fixOf(kind: FileAudit['kind'], { a, b }: Sides): string {
  if (kind !== 'listed') return `Copy it, or write it below \`files\` into the configuration of both masters`;
  const [hold] = holdsOf(b, 'sync-files');
  if (hold !== undefined) return `It is held. On ${b.certname}, type: pe-failover holds`;
  return `On ${a.certname}, type: pe-failover run sync-files; on ${b.certname}: pe-failover run update-passive-files`;
}

export function compareEnvironments(sides: Sides, findings: Findings): void {
  const found = bothFound(sides, ({ environments }) => environments, 'code environments', findings);
  if (found === undefined) return;
  const { a, b } = sides;
  const [mine, theirs] = [
    new Map(found.a.map((one) => [one.name, one])),
    new Map(found.b.map((one) => [one.name, one])),
  ];
  let same = 0;
  for (const name of new Set([...mine.keys(), ...theirs.keys()])) {
    const [one, other] = [mine.get(name), theirs.get(name)];
    const grave = name === 'production' ? 'critical' : 'warning';
    const deploy = `type: puppet code deploy ${name} --wait, or: r10k deploy environment ${name} -m`;
    if (one === undefined || other === undefined) {
      const [has, lacks] = one === undefined ? [b, a] : [a, b];
      findings[one === undefined ? 'warning' : grave](
        `environment ${name} is on ${has.certname} alone`,
        `On ${lacks.certname}, ${deploy}`,
      );
      continue;
    }
    const difference = howTheyDiffer(one, other, sides);
    if (difference === undefined) same += 1;
    else
      findings[difference.isUnknown ? 'warning' : grave](
        `environment ${name}: ${difference.says}`,
        `On ${b.certname}, ${deploy}`,
      );
    for (const [environment, master] of [
      [one, a],
      [other, b],
    ] as const)
      if (environment.ok === false)
        findings.warning(
          `environment ${name}: its last deployment on ${master.certname} has failed`,
          `On ${master.certname}, ${deploy}`,
        );
  }
  if (same > 0) findings.equal(many(same, 'code environment'));
}

type Environment = Extract<Sides['a']['environments'], { found: unknown }>['found'][number];

function howTheyDiffer(
  one: Environment,
  other: Environment,
  { a, b }: Sides,
): { says: string; isUnknown?: true } | undefined {
  const why = one.why ?? other.why;
  if (why !== undefined)
    return { says: `not compared, because on ${(one.why === undefined ? b : a).certname}: ${why}`, isUnknown: true };
  const shown = ({ commit }: Environment): string =>
    commit === undefined ? 'files of no commit' : `commit ${commit.slice(0, 10)}`;
  if (one.commit !== other.commit) return { says: `${shown(one)} on ${a.certname}, ${shown(other)} on ${b.certname}` };
  if (one.modules !== other.modules)
    return { says: `the same ${shown(one)}, with other modules or another hiera.yaml` };
  return one.tree === other.tree ? undefined : { says: 'its files differ' };
}
