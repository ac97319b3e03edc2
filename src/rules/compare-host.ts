import { lookAtEnd } from './compare-crls.ts';
import {
  betweenOf,
  bothFound,
  many,
  some,
  type Compared,
  type Component,
  type Findings,
  type Sides,
} from './differences.ts';
import type { Audit } from './audit.ts';
import { spokenDuration } from './spoken.ts';

/** Of both masters as such: roles, what is held, and what does not arrive. */
export function compareMasters(sides: Sides, compared: Compared): void {
  const { a, b } = sides;
  const findings = compared.of('masters');
  const roles = [a, b].map(({ certname, role }) => `${certname} is ${role}`).join(', ');
  const isPair = a.role === 'active' && b.role === 'passive';
  if (isPair) findings.equal('their roles');
  else findings.critical(`${roles}: one must be active and the other one passive`, 'On both, type: pe-failover status');
  if (isPair && a.epoch !== b.epoch)
    findings.warning(
      `the epoch is ${a.epoch ?? 'none'} on ${a.certname} and ${b.epoch ?? 'none'} on ${b.certname}`,
      'It evens out with the next drop. On both, type: pe-failover status',
    );
  for (const audit of [a, b]) {
    if ('failed' in audit.between)
      findings.warning(`what is under way is not known, because on ${audit.certname}: ${audit.between.failed}`);
    for (const { id, stream, sentence } of betweenOf(audit).holds)
      compared
        .of(componentOf(stream))
        .warning(
          `held on ${audit.certname}: ${sentence}`,
          `On ${audit.certname}, type: pe-failover release ${id}, or: pe-failover discard ${id}`,
        );
  }
  const words = betweenOf(b.role === 'passive' ? b : a).streams;
  for (const { stream, state, why } of words)
    if (['failed', 'refused', 'latched'].includes(state))
      compared.of(componentOf(stream)).critical(`the last drop of ${stream} was ${state}: ${why}`);
}

export function componentOf(stream: string): Component {
  if (stream === 'sync-certs') return 'ca';
  if (stream === 'nc-dump') return 'classifier';
  return stream.startsWith('db-dump') ? 'databases' : stream === 'sync-files' ? 'files' : 'masters';
}

export function compareBuilds(sides: Sides, findings: Findings): void {
  const found = bothFound(sides, ({ builds }) => builds, 'versions', findings);
  if (found === undefined) return;
  const { a, b } = sides;
  const names: string[] = [...new Set([...found.a.keys(), ...found.b.keys()])];
  const differing = names.filter((name) => found.a.get(name) !== found.b.get(name));
  const spoken = (name: string): string =>
    `${name} (${found.a.get(name) ?? 'none'} on ${a.certname}, ${found.b.get(name) ?? 'none'} on ${b.certname})`;
  const grave: string[] = differing.filter((name) => name === 'pe_build' || name === 'platform');
  for (const name of grave)
    findings.critical(
      `another build: ${spoken(name)}; no dump of a database goes live`,
      'Bring both masters to one build',
    );
  const rest = differing.filter((name) => !grave.includes(name));
  if (rest.length > 0)
    findings.warning(
      `${many(rest.length, 'version')} ${rest.length === 1 ? 'differs' : 'differ'}: ${some(rest.map(spoken), 5)}`,
      'Install the same versions on both masters',
    );
  if (differing.length < names.length) findings.equal(many(names.length - differing.length, 'version'));
}

export function compareGems(sides: Sides, findings: Findings): void {
  const found = bothFound(sides, ({ gems }) => gems, 'gems of Puppet Server', findings);
  if (found === undefined) return;
  for (const [has, lacks, mine, theirs] of [
    [sides.a, sides.b, found.a, new Set(found.b)],
    [sides.b, sides.a, found.b, new Set(found.a)],
  ] as const) {
    const missing = mine.filter((gem) => !theirs.has(gem));
    if (missing.length === 0) continue;
    const [, name = '', version = ''] = /^(.+?)-(\d[^-]*)/.exec(missing[0] ?? '') ?? [];
    findings.warning(
      `${many(missing.length, 'gem')} of Puppet Server (${some(missing)}) ${missing.length === 1 ? 'is' : 'are'} on ${has.certname} alone`,
      `On ${lacks.certname}, type: puppetserver gem install ${name} --version ${version}${missing.length === 1 ? '' : ', and so on'}`,
    );
  }
  const theirs = new Set(found.b);
  const same = found.a.filter((gem) => theirs.has(gem)).length;
  if (same > 0) findings.equal(`${many(same, 'gem')} of Puppet Server`);
}

/** Both masters' own certificates. */
export function compareCertificates(sides: Sides, findings: Findings): void {
  for (const { certname, certificate } of [sides.a, sides.b])
    if ('found' in certificate)
      lookAtEnd(
        `the own certificate of ${certname}`,
        certificate.found.notAfter,
        { now: sides.now, warnDays: 30 },
        findings,
      );
  const found = bothFound(sides, ({ certificate }) => certificate, 'own certificates', findings);
  if (found === undefined) return;
  const { a, b } = sides;
  if (found.a.ppCliAuth === true && found.b.ppCliAuth !== true)
    findings.warning(
      `the certificate of ${b.certname} lacks pp_cli_auth: "puppetserver ca" cannot be used there`,
      anew(b, '; in csr_attributes.yaml: pp_cli_auth: true'),
    );
  const theirs = new Set(found.b.names);
  const shared = (found.a.names ?? []).filter((name) => theirs.has(name) && name !== a.certname && name !== b.certname);
  if (shared.length > 0) return findings.equal(`names that agents may use for either master (${some(shared)})`);
  const says = `no name stands in the certificates of both: agents that know one name cannot be moved from ${a.certname} to ${b.certname} by DNS`;
  findings[listsBoth(sides) ? 'note' : 'warning'](says, anew(b, ', with dns_alt_names'));
}

const anew = ({ certname }: Audit, how: string): string =>
  `Let ${certname} have a new certificate${how}. On it, type: puppet ssl clean --localca; puppet agent -t`;

const listsBoth = ({ a, b }: Sides): boolean =>
  'found' in a.settings &&
  [a, b].every(
    ({ certname }) => 'found' in a.settings && (a.settings.found.get('server_list') ?? '').includes(certname),
  );

/** Whom each master asks, and what its CA goes by. */
export function compareSettings(sides: Sides, compared: Compared): void {
  const findings = compared.of('settings');
  const found = bothFound(sides, ({ settings }) => settings, 'settings of Puppet', findings);
  if (found === undefined) return;
  const { a, b } = sides;
  for (const [master, other, settings] of [
    [a, b, found.a],
    [b, a, found.b],
  ] as const)
    for (const name of ['server', 'ca_server'])
      if (settings.get(name)?.toLowerCase() === other.certname)
        findings.warning(
          `${name} on ${master.certname} is ${other.certname}: without that one its own agent finds none`,
          `On ${master.certname}, type: puppet config set ${name} ${sharedName(sides) ?? master.certname} --section main`,
        );
  const differing = [...alikeSettings].filter(([name]) => found.a.get(name) !== found.b.get(name));
  for (const [name, component] of differing)
    compared
      .of(component)
      .warning(
        `${name} is ${shown(found.a.get(name))} on ${a.certname} and ${shown(found.b.get(name))} on ${b.certname}`,
        `On ${b.certname}, type: puppet config set ${name} ${found.a.get(name) ?? ''} --section server`,
      );
  findings.equal(many(alikeSettings.size - differing.length, 'setting of Puppet', 'settings of Puppet'));
}

const shown = (value: string | undefined): string =>
  value === undefined || value === '' ? 'not set' : value.slice(0, 100);

const sharedName = ({ a, b }: Sides): string | undefined => {
  if (!('found' in a.certificate && 'found' in b.certificate)) return undefined;
  const theirs = new Set(b.certificate.found.names);
  return a.certificate.found.names?.find((name) => theirs.has(name) && name !== a.certname && name !== b.certname);
};

const alikeSettings: ReadonlyMap<string, Component> = new Map([
  ['autosign', 'autosign'],
  ['ca_ttl', 'settings'],
  ['environmentpath', 'code'],
  ['hiera_config', 'code'],
  ['environment_timeout', 'settings'],
]);

export interface ClockDifference {
  /** The other clock's lead, in ms. */
  readonly aheadMs: number;
  /** It may be so much more or less. */
  readonly uncertainMs: number;
}

const aLot = { warning: 10_000, critical: 600_000 };

export function compareClocks(
  own: string,
  other: string,
  { aheadMs, uncertainMs }: ClockDifference,
  findings: Findings,
): void {
  const sure = Math.max(0, Math.abs(aheadMs) - uncertainMs);
  if (sure < aLot.warning)
    return findings.equal(
      `the clocks (within ${spokenDuration(Math.ceil((Math.abs(aheadMs) + uncertainMs) / 1000) * 1000)})`,
    );
  const says = `the clock of ${other} is ${spokenDuration(sure)} ${aheadMs > 0 ? 'ahead of' : 'behind'} that of ${own}`;
  const fix = 'On both, type: timedatectl; chronyc tracking';
  if (sure >= aLot.critical) findings.critical(says, fix);
  else findings.warning(says, fix);
}
