import { describe, expect, it } from 'vitest';
import type { Audit, CaAudit, DatabaseAudit, EnvironmentAudit, FileAudit } from '../../src/rules/audit.ts';
import { compareMastersWith, lookAtOne, type Comparison } from '../../src/rules/compare.ts';
import { comparisonLines } from '../../src/rules/compare-lines.ts';
import type { Group } from '../../src/rules/groups.ts';
import { whenLive } from '../../src/rules/waiting.ts';
import { auditOf, caOf, classifierOf, databaseOf, digest, groupOf, mac, now } from '../helpers/audits.ts';

interface Case {
  readonly a?: Partial<Audit>;
  readonly b?: Partial<Audit>;
  readonly aheadMs?: number;
}

function compare({ a = {}, b = {}, aheadMs = 0 }: Case): Comparison {
  const [own, audit] = [auditOf('mastera.test', a), auditOf('masterb.test', b)];
  return compareMastersWith({ own, now }, { audit, clock: { aheadMs, uncertainMs: 50 } });
}

/** As "component severity: what it says > what to type". */
const spoken = ({ differences }: Comparison): string[] =>
  differences.map(
    ({ component, severity, says, fix }) => `${component} ${severity}: ${says}${fix === undefined ? '' : ` > ${fix}`}`,
  );

const ca = (further: Partial<CaAudit>): Partial<Audit> => ({ ca: { found: caOf(further) } });
const spareCa = (further: Partial<CaAudit>): Partial<Audit> => ca({ serial: '186a6', ...further });
const database = (further: Partial<DatabaseAudit>): Partial<Audit> => ({
  databases: new Map([['pe-rbac', { found: databaseOf(further) }]]),
});
const groups = (...found: Group[]): Partial<Audit> => ({ classifier: { found: classifierOf(found) } });
const environment = (further: Partial<EnvironmentAudit>): Partial<Audit> => ({
  environments: { found: [{ name: 'production', commit: 'd'.repeat(40), ok: true, modules: mac('b'), ...further }] },
});
const filesBut = (path: string, further: Partial<FileAudit> | undefined): Partial<Audit> => {
  const { files } = auditOf('x');
  const found = 'found' in files ? files.found : [];
  return {
    files: {
      found: found.flatMap((file) =>
        file.path !== path ? [file] : further === undefined ? [] : [{ ...file, ...further }],
      ),
    },
  };
};
const settings = (...pairs: [string, string][]): Partial<Audit> => {
  const { settings: given } = auditOf('x');
  return { settings: { found: new Map([...('found' in given ? given.found : []), ...pairs]) } };
};
const between = (further: object): Partial<Audit> => ({
  between: {
    found: { streams: [], holds: [], running: [], madeHere: { certificates: [], revocations: [] }, ...further },
  },
});
const hold = (stream: string): Partial<Audit> =>
  between({ holds: [{ id: 'c0ffee', stream, sentence: 'so many go at once' }] });

const [one, two, three] = caOf().certificates.each ?? [];
const certificates = (...each: NonNullable<CaAudit['certificates']['each']>): Partial<CaAudit> => ({
  certificates: { count: each.length, digest: digest('9'), each },
});
const lines = caOf().inventory.each ?? [];
const inventory = (...each: NonNullable<CaAudit['inventory']['each']>): Partial<CaAudit> => ({
  inventory: { count: each.length, digest: digest('8'), each },
});
const revoked = (...serials: string[]): Partial<CaAudit> => ({
  lists: caOf().lists.map((list) => ({ ...list, revoked: serials })),
});
const own = { name: 'x', fingerprint: 'b'.repeat(64), subject: '30bb', notAfter: '2031-01-01T00:00:00.000Z' };
const [aa, bb] = ['mastera.test', 'masterb.test'];
const first = [one, two, three].flatMap((row) => (row === undefined ? [] : [row]));

const cases: readonly (readonly [string, Case, readonly RegExp[]])[] = [
  ['another CA', { b: spareCa({ authorities: [{ ...own, name: 'Other CA' }] }) }, [/^ca critical: the certificate of the CA differs: Puppet CA: lab .*Other CA .* > On masterb.test, type: pe-failover adopt a{64}$/]],
  ['a renewed CA', { b: spareCa({ authorities: [{ ...own, name: 'Puppet CA: lab', subject: '30aa' }] }) }, [/run sync-certs$/]],
  ['a CA without its key', { b: spareCa({ hasKey: false }) }, [/^ca critical: the key of the CA lies on mastera.test alone: masterb.test cannot sign/]],
  ['a certificate that the spare lacks', { b: spareCa(certificates(...first.slice(1))) }, [/^ca warning: 1 certificate \(web1.test\) is on mastera.test alone > On mastera.test, type: pe-failover run sync-certs$/]],
  ['one that was signed just now', { a: ca({ recent: ['web1.test'] }), b: spareCa(certificates(...first.slice(1))) }, [/^ca note: .* is on mastera.test alone: changed within minutes, and on the way$/]],
  ['one while a drop is under way', { a: between({ running: ['sync-certs'] }), b: spareCa(certificates(...first.slice(1))) }, [/^ca note: .*; a drop is under way$/]],
  ['groups, a database and a file while drops are under way', { a: { ...groups(groupOf('Web', '1'), groupOf('Db', '2')), ...between({ running: ['nc-dump', 'sync-files'] }) }, b: { ...database({ digest: digest('5'), definitions: mac('0') }), ...filesBut('/etc/puppetlabs/secrets/key', { mac: mac('0') }), ...between({ running: ['restore-dbs'] }) } }, [/^classifier note: group Db .*; a drop is under way$/, /^databases note: .*; a drop is under way$/, /^files note: .*; a drop is under way$/]],
  ['one that is held', { b: { ...spareCa(certificates(...first.slice(1))), ...hold('sync-certs') } }, [/^ca warning: .*web1.test.*; something is held there > On masterb.test, type: pe-failover holds$/, /^ca warning: held on masterb.test: so many go at once > .*release c0ffee/]],
  ['one that the spare signed itself', { b: { ...spareCa(certificates(...first, ['new.test', '186a7', 'f'.repeat(12)])), ...between({ madeHere: { certificates: ['new.test'], revocations: [] } }) } }, [/^ca note: .*new.test.* masterb.test signed it itself, .* > .*run fetch-made-here$/, /^ca note: 1 certificate on masterb.test \(new.test\) has no line/]],
  ['one that the active cleaned', { a: ca(certificates(...first.slice(1))) }, [/^ca warning: 1 certificate \(web1.test\) is on masterb.test alone/]],
  ['one that differs', { b: spareCa(certificates(['web1.test', '3', 'e'.repeat(12)], ...first.slice(1))) }, [/^ca warning: 1 certificate \(web1.test\) is on both masters and differ/]],
  ['lines of the inventory', { b: spareCa(inventory(...lines.slice(1))) }, [/^ca warning: 1 line of the inventory \(web1.test\) stands on mastera.test alone/, /^ca note: 1 certificate on masterb.test/]],
  ['a serial that was given out twice', { a: ca(inventory(...lines, ['186a5', 'new.test', 1, 2e9])), b: spareCa(inventory(...lines, ['186a5', 'other.test', 1, 2e9])) }, [/^ca critical: The active gave out serials a second time: 0x186A5 of other.test .* was given to new.test/, /^ca warning: .*new.test/, /^ca warning: .*other.test/]],
  ['next serials that meet', { b: ca({ serial: '6' }) }, [/^ca critical: both would give out the same serials: the next one is 0x0006 on mastera.test, 0x0006 on masterb.test/]],
  ['a next serial that was given out', { a: ca({ serial: '5' }) }, [/^ca critical: the next serial on mastera.test, 0x5, was given out already \(web3.test\)/]],
  ['a revocation that the spare lacks', { b: spareCa(revoked()) }, [/^ca critical: 1 certificate \(web2.test\) is revoked on mastera.test and still valid on masterb.test > /]],
  ['a revocation of this moment', { a: ca({ justChanged: true }), b: spareCa(revoked()) }, [/^ca warning: .*on the way$/]],
  ['a revocation that the active lacks', { b: spareCa(revoked('4', '5')) }, [/^ca critical: 1 certificate \(web3.test\) is revoked on masterb.test and still valid on mastera.test/]],
  ['one that the spare made', { b: { ...spareCa(revoked('4', '5')), ...between({ madeHere: { certificates: [], revocations: ['5'] } }) } }, [/^ca note: .*web3.test.*fetches what is made there/]],
  ['a CRL that is missing', { b: spareCa({ lists: [] }) }, [/^ca critical: the CRL of Puppet CA: lab is on mastera.test alone/]],
  ['a CRL that has ended', { b: spareCa({ lists: caOf().lists.map((list) => ({ ...list, nextUpdate: '2026-11-01T00:00:00Z' })) }) }, [/^ca critical: the CRL of Puppet CA: lab on masterb.test has ended on 2026-11-01$/]],
  ['a CA that ends soon', { a: ca({ authorities: caOf().authorities.map((one) => ({ ...one, notAfter: '2026-12-26T12:00:00Z' })) }) }, [/^ca warning: the CA certificate Puppet CA: lab on mastera.test ends on 2026-12-26, in 30 days$/]],
  ['a file that is no certificate', { a: ca({ strange: [{ name: 'web1.test', why: 'not a certificate' }] }) }, [/^ca warning: 1 file in signed\/ on mastera.test \(web1.test\) is no certificate of this CA: not a certificate/]],
  ['a CA that cannot be asked', { b: { ca: { failed: 'no answer within 25 s' } } }, [/^ca warning: CA: not compared, because on masterb.test: no answer within 25 s$/]],
  ['a group that the spare lacks', { a: groups(groupOf('Web', '1'), groupOf('Db', '2')) }, [/^classifier warning: group Db is on mastera.test alone > /]],
  ['a group of the spare alone', { b: groups(groupOf('Web', '1'), groupOf('Db', '2')) }, [/^classifier warning: group Db is on masterb.test alone/]],
  ['a parameter', { b: groups(groupOf('Web', '1', { classes: { ntp: { servers: mac('6') } } })) }, [/^classifier warning: group Web differs: ntp: servers > /]],
  ['a class, a variable, a rule', { b: groups(groupOf('Web', '1', { classes: {}, variables: { v: mac('1') }, rule: ['=', 'name', 'x'] })) }, [/^classifier warning: group Web differs: class ntp, variable v, rule/]],
  ['groups with other ids', { b: groups(groupOf('Web', '3')) }, [/^classifier warning: the groups are alike, and have other ids/]],
  ['held groups', { b: { ...groups(), ...hold('nc-dump') } }, [/^classifier warning: group Web is on mastera.test alone > It is held/, /^classifier warning: held on masterb.test/]],
  ['a classifier that is down', { a: { classifier: { failed: 'connection refused' } } }, [/^classifier warning: classifier: not compared, because on mastera.test: connection refused$/]],
  ['pairs of host names', { a: { classifier: { found: classifierOf(undefined, { hostMap: [{ active: 'x', passive: 'y' }] }) } } }, [/^classifier warning: classifier.host_map differs/]],
  ['a database', { a: database({ digest: digest('5'), tables: [['public.roles', 21, mac('f')], ['public.subjects', 200, mac('2')]] }) }, [/^databases warning: pe-rbac differs in 1 table \(public.roles: 21 rows on mastera.test, 20 on masterb.test\) > On mastera.test, type: pe-failover run db-dump$/]],
  ['a staged one', { a: database({ digest: digest('5'), definitions: mac('e') }), b: database({ staged: { digest: digest('5'), whole: digest('5'), when: 'goes live at 13:03 UTC' } }) }, [/^databases note: pe-rbac differs in definitions; the newer one is staged, and goes live at 13:03 UTC > /]],
  ['one that is staged and older', { a: database({ digest: digest('5') }), b: database({ staged: { digest: digest('6'), whole: digest('5'), when: 'x' } }) }, [/^databases warning: .*what is staged is older, too/]],
  ['one that did not go live', { a: database({ digest: digest('5') }), b: database({ quarantined: { digest: digest('5'), why: 'not healthy' } }) }, [/^databases critical: .*did not go live: not healthy > On masterb.test, type: pe-failover holds/]],
  ['a held one', { a: database({ digest: digest('5') }), b: hold('db-dump.pe-rbac') }, [/^databases critical: .*; it is held/, /^databases warning: held on/]],
  ['what changes by use', { a: database({ wholeDigest: digest('5') }) }, [/^databases note: pe-rbac differs in what changes by use alone/]],
  ['another PostgreSQL', { b: database({ major: 14 }) }, [/^databases critical: PostgreSQL is 16 on mastera.test and 14 on masterb.test/]],
  ['a database of one alone', { b: { databases: new Map() } }, [/^databases warning: pe-rbac is kept on mastera.test alone/]],
  ['a secret', { b: filesBut('/etc/puppetlabs/puppet/eyaml/private_key.pem', { mac: mac('0') }) }, [/^secrets critical: .*private_key.pem differs > /]],
  ['a secret that waits for its database', { b: { ...filesBut('/etc/puppetlabs/puppet/eyaml/private_key.pem', { mac: mac('0') }), ...database({ needs: ['/etc/puppetlabs/puppet/eyaml/private_key.pem'], staged: { digest: digest('3'), whole: digest('4'), when: 'x' } }) } }, [/^secrets note: .*private_key.pem differs; the newer one goes live with pe-rbac$/]],
  ['a secret that is missing', { b: filesBut('/etc/puppetlabs/puppet/eyaml/private_key.pem', undefined) }, [/^secrets critical: .*private_key.pem is on mastera.test alone/]],
  ['a listed file', { b: filesBut('/etc/puppetlabs/secrets/key', { mac: mac('0') }) }, [/^files warning: \/etc\/puppetlabs\/secrets\/key differs > .*run sync-files/]],
  ['a mode', { b: filesBut('/etc/puppetlabs/secrets/key', { mode: 0o644 }) }, [/^files note: 1 listed file \(.*\) has another mode/]],
  ['hiera.yaml', { b: filesBut('/etc/puppetlabs/puppet/hiera.yaml', { mac: mac('0') }) }, [/^code critical: .*hiera.yaml differs/]],
  ['autosign.conf', { b: filesBut('/etc/puppetlabs/puppet/autosign.conf', undefined) }, [/^autosign warning: /]],
  ['r10k.yaml', { b: filesBut('/etc/puppetlabs/r10k/r10k.yaml', { mac: mac('0') }) }, [/^deployment warning: /]],
  ['a commit', { b: environment({}) }, [/^code critical: environment production: commit cccccccccc on mastera.test, commit dddddddddd on masterb.test > On masterb.test, type: puppet code deploy/]],
  ['modules', { b: environment({ commit: 'c'.repeat(40), modules: mac('0') }) }, [/^code critical: .*the same commit cccccccccc, with other modules/]],
  ['a failed deployment', { b: environment({ commit: 'c'.repeat(40), ok: false }) }, [/^code warning: .*its last deployment on masterb.test has failed/]],
  ['an environment of one alone', { a: { environments: { found: [] } }, b: environment({}) }, [/^code warning: environment production is on masterb.test alone/]],
  ['a gem', { b: { gems: { found: [] } } }, [/^gems warning: 1 gem of Puppet Server \(toml-rb-2.2.0\) is on mastera.test alone > On masterb.test, type: puppetserver gem install toml-rb --version 2.2.0$/]],
  ['another build', { b: { builds: { found: new Map([['pe_build', '2023.8.0'], ['puppet-agent', '8.10.0']]) } } }, [/^builds critical: another build: pe_build \(2025.1.0 on mastera.test, 2023.8.0 on masterb.test\)/]],
  ['another package', { b: { builds: { found: new Map([['pe_build', '2025.1.0']]) } } }, [/^builds warning: 1 version differs: puppet-agent \(8.10.0 on mastera.test, none on masterb.test\)/]],
  ['no shared name', { b: { certificate: { found: { ...own, names: [bb], ppCliAuth: true } } } }, [/^certificates warning: no name stands in the certificates of both/]],
  ['no pp_cli_auth', { b: { certificate: { found: { ...own, names: ['puppet.test'] } } } }, [/^certificates warning: the certificate of masterb.test lacks pp_cli_auth/]],
  ['a certificate that ends', { a: { certificate: { found: { ...own, names: ['puppet.test'], ppCliAuth: true, notAfter: '2026-12-01T12:00:00Z' } } } }, [/^certificates warning: the own certificate of mastera.test ends on 2026-12-01, in 5 days$/]],
  ['a server that is the other master', { b: settings(['ca_server', aa]) }, [/^settings warning: ca_server on masterb.test is mastera.test: .* > On masterb.test, type: puppet config set ca_server puppet.test --section main$/]],
  ['how long certificates live', { b: settings(['ca_ttl', '5']) }, [/^settings warning: ca_ttl is 157680000 on mastera.test and 5 on masterb.test/]],
  ['who is signed by itself', { b: settings(['autosign', 'true']) }, [/^autosign warning: autosign is false on mastera.test and true on masterb.test/]],
  ['clocks', { aheadMs: -75_000 }, [/^clock warning: the clock of masterb.test is 1 min 15 s behind that of mastera.test/]],
  ['clocks that are far apart', { aheadMs: 7_200_000 }, [/^clock critical: the clock of masterb.test is 2 h ahead of that of mastera.test/]],
  ['roles', { b: { role: 'active' } }, [/^masters critical: mastera.test is active, masterb.test is active: one must be/]],
  ['epochs', { b: { epoch: '2.0123456789abcdef' } }, [/^masters warning: the epoch is 1.* on mastera.test and 2/]],
  ['a drop that failed', { b: between({ streams: [{ stream: 'nc-dump', state: 'failed', why: 'no rights' }] }) }, [/^classifier critical: the last drop of nc-dump was failed: no rights$/]],
]; // prettier-ignore

describe('compare', () => {
  it('finds nothing where both are alike, and says what it looked at', () => {
    const { differences, equal, code, text } = compare({});
    expect([differences, code, text]).toEqual([[], 0, 'OK: mastera.test and masterb.test are alike']);
    expect(equal).toEqual(
      expect.arrayContaining([
        '3 certificates',
        '1 CRL with 1 revocation',
        '2 node groups',
        'pe-rbac (2 tables, 220 rows)',
      ]),
    );
  });

  it.each(cases)('names %s', (_what, given, expected) => {
    const found = spoken(compare(given));
    expect(found, found.join('\n')).toHaveLength(expected.length);
    for (const pattern of expected)
      expect(
        found.filter((said) => pattern.test(said)),
        `${String(pattern)} in\n${found.join('\n')}`,
      ).not.toEqual([]);
  });

  it('says the same whichever of the two is asked', () => {
    const [a, b] = [
      auditOf(aa, ca({ recent: ['web1.test'] })),
      auditOf(bb, spareCa({ ...certificates(...first.slice(2)), ...revoked() })),
    ];
    const clock = { aheadMs: 0, uncertainMs: 50 };
    const [fromA, fromB] = [
      compareMastersWith({ own: a, now }, { audit: b, clock }),
      compareMastersWith({ own: b, now }, { audit: a, clock }),
    ];
    expect(fromB.differences).toEqual(fromA.differences);
    expect(fromA).toMatchObject({
      code: 2,
      text: 'CRITICAL: mastera.test and masterb.test differ: 1 critical, 1 warning, 1 note',
    });
  });

  it('leaves out what each master has of its own, and what the configuration leaves out', () => {
    const further = (name: string): Partial<CaAudit> =>
      certificates(...first, [name, '4', 'e'.repeat(12)], ['left.test', '4', 'd'.repeat(12)]);
    const a = ca({ ...further(aa), excluded: ['left.test'] });
    expect(spoken(compare({ a, b: spareCa(certificates(...first, [bb, '4', '0'.repeat(12)])) }))).toEqual([]);
  });

  it('compares what is too many to be listed as a whole', () => {
    const whole = (digit: string): Partial<CaAudit> => ({ certificates: { count: 200_000, digest: digest(digit) } });
    expect(spoken(compare({ a: ca(whole('1')), b: spareCa(whole('1')) }))).toEqual([]);
    expect(spoken(compare({ a: ca(whole('1')), b: spareCa(whole('2')) }))).toEqual([
      'ca note: the certificates differ, and are too many to be named: 200,000 and 200,000',
    ]);
  });

  it('looks at one master alone where the other one is silent, and exits with 3', () => {
    const alone = lookAtOne(
      { own: auditOf(aa, { ...ca({ hasKey: true, serial: '5' }), classifier: { failed: 'refused' } }), now },
      bb,
      'no route',
    );
    expect(alone).toMatchObject({
      code: 3,
      text: 'UNKNOWN: only mastera.test was looked at: 1 critical, 1 warning. masterb.test was not: no route',
    });
    expect(spoken(alone)).toHaveLength(2);
  });

  it('keeps to one component where one is asked for', () => {
    const given = { b: { ...spareCa(revoked()), ...environment({}) } };
    const [own_, audit] = [auditOf(aa), auditOf(bb, given.b)];
    const only = compareMastersWith({ own: own_, now, only: 'code' }, { audit, clock: { aheadMs: 0, uncertainMs: 1 } });
    expect(only.differences.map(({ component }) => component)).toEqual(['code']);
  });

  it('is read within 80 columns, with what to type below each', () => {
    const lines_ = comparisonLines(
      compare({ b: { ...spareCa(revoked()), ...filesBut('/etc/puppetlabs/secrets/key', { mac: mac('0') }) } }),
    );
    expect(lines_.filter((line) => line.length > 80)).toEqual([]);
    expect(lines_.join('\n')).toMatch(
      /\n\nca\n {2}CRITICAL .*\n.*\n {9}> On mastera.test, type: pe-failover run sync-certs\n\nfiles\n {2}WARNING {2}/,
    );
  });
});

it.each([
  [{ switch: 'promotion' }, 'goes live at a promotion'],
  [{ byUse: true }, 'differs in what changes by use, and goes live with the next change or at a promotion'],
  [{}, 'goes live at 13:03 UTC'],
  [{ next: undefined }, 'goes live at its minute'],
  [
    { waiting: { since: '', why: 'an agent run goes on' } },
    'goes live at 13:03 UTC; put off before: an agent run goes on',
  ],
] as const)('of a database that is loaded as %j it is said that it %s', (given, said) => {
  const usual = {
    switch: 'schedule',
    byUse: false,
    waiting: undefined,
    next: new Date('2026-11-26T13:03:00Z'),
  } as const;
  expect(whenLive({ ...usual, ...given })).toBe(said);
});
