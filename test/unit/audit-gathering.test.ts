import { expect, it } from 'vitest';
import { gatherAudit, type AuditSources } from '../../src/agent/audit.ts';
import { Failure } from '../../src/errors.ts';
import { readDeployment } from '../../src/rules/deployment.ts';
import type { Group } from '../../src/rules/groups.ts';
import { eyamlKeysIn } from '../../src/rules/known-files.ts';
import { mapHosts } from '../../src/rules/host-map.ts';
import { maskGroups } from '../../src/rules/mask-groups.ts';
import { mergeGroups } from '../../src/rules/merge-groups.ts';
import { crlMoment } from '../../src/rules/crl.ts';
import { macOf } from '../../src/system/keyed-digest.ts';
import { caOf, classifierOf, databaseOf, groupOf } from '../helpers/audits.ts';

const never = (): Promise<never> => new Promise<never>(() => undefined);
const sources: AuditSources = {
  ca: () => Promise.resolve(caOf()),
  certificate: { off: 'not asked for' },
  classifier: () => Promise.reject(new Failure('dependency', 'the classifier is down', { why: 'refused' })),
  databases: new Map([
    ['pe-rbac', () => Promise.resolve(databaseOf())],
    ['pe-activity', never],
  ]),
  files: never,
  ...{
    environments: { off: 'x' },
    gems: { off: 'x' },
    builds: { off: 'x' },
    settings: { off: 'x' },
    between: { off: 'x' },
  },
};
const who = { certname: 'mastera.test', role: 'active', platform: 'pe' } as const;

it('an audit has every part that answers, and says of each other one why it has none', async () => {
  const { signal } = new AbortController();
  const audit = await gatherAudit({ who, sources, signal, limitFor: (part) => (part === 'files' ? 30 : 60) });
  expect(audit.ca).toEqual({ found: caOf() });
  expect(audit.certificate).toEqual({ off: 'not asked for' });
  expect(audit.classifier).toEqual({ failed: 'the classifier is down: refused' });
  expect(audit.files).toEqual({ failed: 'no answer within 0.03 s' });
  expect(audit.databases.get('pe-rbac')).toEqual({ found: databaseOf() });
  expect(audit.databases.get('pe-activity')).toEqual({ failed: 'no answer within 0.06 s' });
});

it('an audit that is called off ends at once', async () => {
  const over = new AbortController();
  const gathering = gatherAudit({ who, sources, signal: over.signal, limitFor: () => 60_000 });
  over.abort();
  await expect(gathering).rejects.toThrow();
});

const secret = groupOf('Web', '1', {
  classes: { ntp: { password: 'swordfish', port: 8080 }, 'profile::web': { url: 'https://mastera.test/' } },
  variables: { token: 'swordfish' },
  description: 'swordfish',
});

it('a masked tree shows no value that somebody gave, and another nonce makes all of it another one', () => {
  const [one, two] = ['a', 'b'].map((nonce) => JSON.stringify(maskGroups(classifierOf([secret]).groups, macOf(nonce))));
  expect(one).not.toMatch(/swordfish|8080|https/);
  for (const name of ['Web', 'ntp', 'password']) expect(one).toContain(JSON.stringify(name));
  const macs = (text = ''): string[] => text.match(/"[0-9a-f]{32}"/g) ?? [];
  expect(macs(one).length).toBeGreaterThan(4);
  expect(macs(one).filter((mac) => macs(two).includes(mac))).toEqual([]);
});

it('masked trees are merged as the trees themselves are', () => {
  const mac = macOf('nonce');
  const pairs = [{ active: 'mastera.test', passive: 'masterb.test' }];
  const active = mapHosts(classifierOf([secret]).groups, pairs).groups;
  const spare = mergeGroups(active, classifierOf([]).groups).groups;
  const other = spare.map((group): Group =>
    group.name === 'Web' ? { ...group, variables: { token: 'other' } } : group,
  );
  const masked = (groups: readonly Group[]): readonly Group[] => maskGroups(groups, mac);
  expect(mergeGroups(masked(active), masked(spare)).groups).toEqual(masked(spare));
  expect(mergeGroups(masked(active), masked(other)).groups).not.toEqual(masked(other));
});

it('what r10k wrote down is read: commit, end, and modules in any order', () => {
  const modules = [
    { name: 'stdlib', version: '9.0.0', sha: 'aa' },
    { name: 'apt', version: '9.1.0', sha: 'bb' },
  ];
  const text = (further: object): string =>
    JSON.stringify({
      name: 'production',
      signature: 'abcdef0123',
      deploy_success: true,
      module_deploys: modules,
      ...further,
    });
  const found = readDeployment(text({}));
  expect(found).toMatchObject({ commit: 'abcdef0123', ok: true });
  expect(readDeployment(text({ module_deploys: modules.toReversed() }))).toEqual(found);
  expect(readDeployment(text({ module_deploys: modules.slice(1) }))?.modules).not.toBe(found?.modules);
  for (const torn of ['', '{', 'null', '[]', '{"signature": 5}', '{"signature": "../../x"}'])
    expect(readDeployment(torn)).toBeUndefined();
});

it.each([
  ['261121000000Z', '2026-11-21T00:00:00.000Z'],
  ['500101000000Z', '1950-01-01T00:00:00.000Z'],
  ['20501121000000Z', '2050-11-21T00:00:00.000Z'],
  ['261399000000Z', undefined],
  ['soon', undefined],
])('%s in a CRL is %s', (text, moment) => expect(crlMoment(text)).toBe(moment));

it('keys of eyaml are found wherever a hiera.yaml says that they lie', () => {
  const hiera = `hierarchy:\n  - name: x\n    options:\n      pkcs7_private_key: /etc/keys/private.pem\n      pkcs7_public_key: "/etc/keys/public.pem"\n      pkcs7_private_key: relative\n`;
  expect(eyamlKeysIn(hiera)).toEqual(['/etc/keys/private.pem', '/etc/keys/public.pem']);
});
