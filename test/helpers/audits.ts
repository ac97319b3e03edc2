import type { Audit, CaAudit, ClassifierAudit, DatabaseAudit } from '../../src/rules/audit.ts';
import { rootId, type Group } from '../../src/rules/groups.ts';

// What the roots of two masters see that are alike: each test changes what it is about.

export const now = new Date('2026-11-26T12:00:00Z');
const hex = (digit: string, digits: number): string => digit.repeat(digits);
export const digest = (digit: string): string => `sha256:${hex(digit, 64)}`;
export const mac = (digit: string): string => hex(digit, 32);
const seconds = (text: string): number => Date.parse(text) / 1000;
const [begin, end] = [seconds('2026-01-01T00:00:00Z'), seconds('2031-01-01T00:00:00Z')];

export const caOf = (further: Partial<CaAudit> = {}): CaAudit => ({
  authorities: [
    { name: 'Puppet CA: lab', fingerprint: hex('a', 64), subject: '30aa', notAfter: '2036-01-01T00:00:00.000Z' },
  ],
  hasKey: true,
  serial: '6',
  certificates: {
    count: 3,
    digest: digest('1'),
    each: [
      ['web1.test', '3', hex('1', 12)],
      ['web2.test', '4', hex('2', 12)],
      ['web3.test', '5', hex('3', 12)],
    ],
  },
  inventory: {
    count: 3,
    digest: digest('2'),
    each: [
      ['3', 'web1.test', begin, end],
      ['4', 'web2.test', begin, end],
      ['5', 'web3.test', begin, end],
    ],
  },
  lists: [{ issuer: '30aa', revoked: ['4'], number: '1', nextUpdate: '2031-01-01T00:00:00.000Z' }],
  strange: [],
  recent: [],
  justChanged: false,
  excluded: [],
  ...further,
});

const root: Group = {
  ...{ id: rootId, name: 'All Nodes', parent: rootId, environment: 'production', environment_trumps: false },
  ...{ classes: {}, variables: {}, rule: ['and', ['~', 'name', '.*']] },
};

export const groupOf = (name: string, digit: string, further: Partial<Group> = {}): Group => ({
  ...{ id: `${hex(digit, 8)}-0000-4000-8000-000000000000`, name, parent: rootId, environment: 'production' },
  ...{ environment_trumps: false, classes: { ntp: { servers: mac('5') } }, variables: {}, ...further },
});

export const classifierOf = (
  groups: readonly Group[] = [groupOf('Web', '1')],
  further: Partial<ClassifierAudit> = {},
): ClassifierAudit => ({
  groups: [root, ...groups],
  hostMap: [],
  infrastructure: [],
  ...further,
});

export const databaseOf = (further: Partial<DatabaseAudit> = {}): DatabaseAudit => ({
  major: 16,
  digest: digest('3'),
  wholeDigest: digest('4'),
  tables: [
    ['public.roles', 20, mac('1')],
    ['public.subjects', 200, mac('2')],
  ],
  definitions: mac('3'),
  sequences: mac('4'),
  ...further,
});

export function auditOf(certname: string, further: Partial<Audit> = {}): Audit {
  return {
    certname,
    role: certname === 'mastera.test' ? 'active' : 'passive',
    platform: 'pe',
    epoch: '1.0123456789abcdef',
    ca: { found: caOf(certname === 'mastera.test' ? {} : { serial: '186a6' }) },
    certificate: {
      found: {
        ...{ name: certname, fingerprint: hex('b', 64), subject: '30bb', notAfter: '2031-01-01T00:00:00.000Z' },
        ...{ names: [certname, 'puppet.test'], ppCliAuth: true },
      },
    },
    classifier: { found: classifierOf() },
    databases: new Map([['pe-rbac', { found: databaseOf() }]]),
    files: {
      found: [
        { path: '/etc/puppetlabs/puppet/eyaml/private_key.pem', kind: 'secrets', mac: mac('6'), mode: 0o400 },
        { path: '/etc/puppetlabs/secrets/key', kind: 'listed', mac: mac('7'), mode: 0o600 },
        { path: '/etc/puppetlabs/puppet/hiera.yaml', kind: 'code', mac: mac('8'), mode: 0o644 },
        { path: '/etc/puppetlabs/puppet/autosign.conf', kind: 'autosign', mac: mac('9'), mode: 0o644 },
        { path: '/etc/puppetlabs/r10k/r10k.yaml', kind: 'deployment', mac: mac('a'), mode: 0o644 },
      ],
    },
    environments: { found: [{ name: 'production', commit: hex('c', 40), ok: true, modules: mac('b') }] },
    gems: { found: ['toml-rb-2.2.0'] },
    builds: {
      found: new Map([
        ['pe_build', '2025.1.0'],
        ['puppet-agent', '8.10.0'],
      ]),
    },
    settings: {
      found: new Map([
        ['server', 'puppet.test'],
        ['ca_server', 'puppet.test'],
        ['autosign', 'false'],
        ['ca_ttl', '157680000'],
      ]),
    },
    between: { found: { streams: [], holds: [], running: [], madeHere: { certificates: [], revocations: [] } } },
    ...further,
  };
}
