import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openHost, openMaster } from '../../src/app.ts';
import { openOther } from '../../src/order-work.ts';
import {
  compareOn,
  comparisonOn,
  createComparePair,
  differencesOn,
  put,
  type ComparePair,
} from '../helpers/compare-pair.ts';
import { pathsBelow } from '../helpers/pair.ts';

let pair: ComparePair;
const isGrave = (difference: string): boolean => !difference.includes(' note: ');
const graveOn = async (master: ComparePair['a']): Promise<string[]> => (await differencesOn(master)).filter(isGrave);
/** The agents have not met yet, or the first drops are on the way. */
async function untilAlike(): Promise<void> {
  const until = performance.now() + 90_000;
  let found = ['nothing'];
  while (found.length > 0 && performance.now() < until) {
    await pair.b.says(/\[SUCCESS\]/, 5_000).catch(() => undefined);
    found = await graveOn(pair.a).catch((error: unknown) => [String(error)]);
  }
  expect(found).toEqual([]);
}

beforeAll(async () => {
  pair = await createComparePair();
  await untilAlike();
}, 180_000);
afterAll(() => pair[Symbol.asyncDispose]());

it(
  'says on either of two masters that are alike what it has looked at, and exits with 0',
  { timeout: 90_000 },
  async () => {
    for (const master of [pair.a, pair.b]) {
      const { code, output } = await compareOn(master);
      expect(code, output).toBe(0);
      expect(output).toMatch(/^OK: mastera\.test and masterb\.test are alike/);
      expect(output.replaceAll(/\s+/g, ' ')).toMatch(
        /qual: their roles; the CA and its key; 3 certificates; 3 lines of the inventory; .*2 CRLs with 0 revocations; \d+ node groups; pe-rbac \(\d+ tables, \d+ rows\)/,
      );
      expect(output).toMatch(/code environment/);
      expect(output.split('\n').filter((line) => line.length > 80 && !line.includes('/'))).toEqual([]);
    }
  },
);

it('names what somebody changed on the spare behind our back, in each part', { timeout: 120_000 }, async () => {
  const { a, b, classifier, cluster } = pair;
  put(b, 'etc/puppetlabs/puppet/eyaml/private_key.pkcs7.pem', 'another');
  put(b, 'etc/puppetlabs/puppet/hiera.yaml', 'version: 3');
  put(b, 'etc/puppetlabs/code/environments/production/.r10k-deploy.json', '{"signature": "0000000000"}');
  rmSync(join(b.root, 'opt/puppetlabs/server/data/puppetserver/jruby-gems'), { recursive: true });
  rmSync(pair.ca.b.certificatePath('web2.test'));
  await cluster.b.sql('pe-rbac', `INSERT INTO roles (display_name) VALUES ('of the spare')`);
  const [group] = classifier.b.tree.list().filter(({ name }) => name === 'PE Patch Management');
  classifier.b.tree.update(group?.id ?? '', { variables: { secret: 'swordfish' } });
  const all = await differencesOn(a);
  const found = all.filter(isGrave);
  expect(found).toEqual(
    expect.arrayContaining([
      'secrets critical: /etc/puppetlabs/puppet/eyaml/private_key.pkcs7.pem differs',
      'code critical: /etc/puppetlabs/puppet/hiera.yaml differs',
      'code critical: environment production: commit abcdef0123 on mastera.test, commit 0000000000 on masterb.test',
      'gems warning: 1 gem of Puppet Server (toml-rb-2.2.0) is on mastera.test alone',
      'databases warning: pe-rbac differs in 1 table (public.roles: 20 rows on mastera.test, 21 on masterb.test) and sequences',
      'classifier warning: group PE Patch Management differs: variable secret',
    ]),
  );
  expect(all.some((said) => /^ca \w+: 1 certificate \(web2\.test\) is on mastera\.test alone/.test(said))).toBe(true);
  expect((await compareOn(a)).code).toBe(2);
  expect(await graveOn(b), 'whichever of the two is asked').toEqual(found);
  expect(await differencesOn(a, '--component', 'gems')).toHaveLength(1);
});

it('leaves neither a secret nor what one could be guessed from in the reply that the gate can read', async () => {
  const master = await openMaster(await openHost(pair.a.root), { stderr: false, besideAgent: true });
  const other = await openOther(master, 'alice');
  const options = { signal: AbortSignal.timeout(60_000), timeoutMs: 50_000 };
  const asked = async (nonce: string): Promise<string> => JSON.stringify(await other.give('audit', { nonce }, options));
  const [one, two] = [await asked('a'.repeat(64)), await asked('b'.repeat(64))];
  await other[Symbol.asyncDispose]();
  await master.log.close();
  expect(one).not.toContain('swordfish');
  expect(one).not.toBe(two);
  const macs = (text: string): Set<string> => new Set(text.match(/"[0-9a-f]{32}"/g));
  expect([...macs(one)].filter((mac) => macs(two).has(mac))).toEqual([]);
  const { replies } = pathsBelow(pair.b.root);
  for (const name of readdirSync(replies)) expect(readFileSync(join(replies, name), 'utf8')).not.toContain(one);
});

it('goes on with the rest where a part cannot be asked', { timeout: 120_000 }, async () => {
  const again = await pair.classifier.b.refuse();
  const found = await differencesOn(pair.a, '--component', 'classifier');
  expect(found).toEqual([
    expect.stringMatching(/^classifier warning: classifier: not compared, because on masterb\.test: /),
  ]);
  await again();
});

it('says of a database that is staged when it goes live, and not that it is lost', { timeout: 120_000 }, async () => {
  const { a, b, cluster } = pair;
  await cluster.a.sql('pe-rbac', `INSERT INTO roles (display_name) VALUES ('of the active')`);
  const databases = (): Promise<string[]> => differencesOn(a, '--component', 'databases');
  const staged =
    /^databases note: pe-rbac differs in 1 table \(public\.roles\); the newer one is staged, and goes live at \d\d:\d\d UTC$/;
  await expect.poll(databases, { timeout: 60_000 }).toEqual([expect.stringMatching(staged)]);
  expect((await compareOn(b, '--component', 'databases')).code).toBe(0);
});

it('refuses a component that there is not, with those that there are', async () => {
  const { code, output } = await compareOn(pair.a, '--component', 'moon');
  expect([code, output]).toEqual([64, expect.stringContaining('Components: masters, ca, classifier')]);
});

it(
  'says in time that the other agent is silent, looks at this master alone, and exits with 3',
  { timeout: 120_000 },
  async () => {
    await pair.b.stop();
    const began = performance.now();
    const silent = await comparisonOn(pair.a, '--timeout', '5');
    expect(silent).toMatchObject({ code: 3, own: { certname: 'mastera.test', role: 'active' } });
    expect(silent.other).toBeUndefined();
    expect(silent.text).toMatch(/^UNKNOWN: only mastera\.test was looked at.*masterb\.test was not: /);
    expect(performance.now() - began).toBeLessThan(45_000);
    await pair.cutOff();
    expect(await comparisonOn(pair.a, '--timeout', '5')).toMatchObject({ code: 3 });
  },
);
