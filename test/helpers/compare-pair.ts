// A pair with all that is compared: a CA, a classifier and a PostgreSQL each, files and code; both agents run.
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import type { Comparison } from '../../src/rules/compare.ts';
import { startClassifier, type ClassifierStandIn } from '../stand-in/classifier.ts';
import { createTestCa, openTestCa, type TestCa } from '../stand-in/ca.ts';
import { createAgentPair, type AgentMaster, type AgentPair } from './agents.ts';
import { program } from './pair.ts';
import { buildRbac } from './pe-rbac.ts';
import { startCluster, type Cluster } from './postgres-cluster.ts';
import { createTlsAuthority, type TlsAuthority } from './tls-authority.ts';

export interface ComparePair extends AgentPair {
  readonly ca: { readonly a: TestCa; readonly b: TestCa };
  readonly classifier: { readonly a: ClassifierStandIn; readonly b: ClassifierStandIn };
  readonly cluster: { readonly a: Cluster; readonly b: Cluster };
}

export interface Told {
  readonly code: number;
  readonly output: string;
}

/** `pe-failover compare`, while the stand-ins of this process go on. */
export const compareOn = ({ root }: AgentMaster, ...args: string[]): Promise<Told> =>
  new Promise((resolve) => {
    execFile(program, ['compare', '--root', root, ...args], { timeout: 90_000 }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, output: stdout + stderr }),
    );
  });

export const comparisonOn = async (master: AgentMaster, ...args: string[]): Promise<Comparison> => {
  const { output } = await compareOn(master, '--json', ...args);
  return JSON.parse(output) as Comparison;
};

/** As "component severity: what it says". */
export const differencesOn = async (master: AgentMaster, ...args: string[]): Promise<string[]> =>
  (await comparisonOn(master, ...args)).differences.map(
    ({ component, severity, says }) => `${component} ${severity}: ${says}`,
  );

/** Writes a file below the root of a master. */
export function put({ root }: AgentMaster, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

const deployed = JSON.stringify({ signature: 'abcdef0123456789abcdef0123456789abcdef01', deploy_success: true });
const newYear = '0 0 1 1 *';

export async function createComparePair(): Promise<ComparePair> {
  const authority = await createTlsAuthority();
  const cluster = { a: await startCluster(), b: await startCluster() };
  for (const one of [cluster.a, cluster.b]) await buildRbac(one, 'pe-rbac', { subjects: 20, tokens: 20 });
  const classifier = {
    a: await classifierOf(authority, 'mastera.test'),
    b: await classifierOf(authority, 'masterb.test'),
  };
  const pair = await createAgentPair((root) => configOf(root.endsWith('a') ? 'a' : 'b', cluster, classifier));
  for (const master of [pair.a, pair.b]) await furnish(master, authority);
  const a = await createTestCa(pair.a.cadir, { name: 'agents.lab' });
  await a.signMany(['web1.test', 'web2.test', 'web3.test'], new Date('2026-10-01'));
  await cp(pair.a.cadir, pair.b.cadir, { recursive: true });
  const { fingerprint256 } = new X509Certificate(readFileSync(join(a.directory, 'ca_crt.pem')));
  pair.b.command('adopt', fingerprint256);
  pair.b.start();
  pair.a.start();
  return {
    ...pair,
    ...{ classifier, cluster, ca: { a, b: await openTestCa(pair.b.cadir) } },
    [Symbol.asyncDispose]: async () => {
      await pair[Symbol.asyncDispose]();
      await Promise.all([cluster.a.stop(), cluster.b.stop(), classifier.a.close(), classifier.b.close()]);
      await authority.close();
    },
  };
}

async function classifierOf(authority: TlsAuthority, certname: string): Promise<ClassifierStandIn> {
  const { cert, key } = await authority.issue(certname);
  return await startClassifier({ host: certname, tls: { cert, key, ca: authority.ca }, allowlist: () => [certname] });
}

function configOf(name: 'a' | 'b', cluster: ComparePair['cluster'], classifier: ComparePair['classifier']): string {
  const { socket, port, bin, runAs = userInfo().username } = cluster[name];
  return [
    `jobs: {nc_dump: {enabled: true, poll: 1s}, restore_nc: {enabled: true}, db_dump: {poll: 1s, cron: "${newYear}"}, restore_dbs: {cron: "${newYear}"}}`,
    `classifier: {url: "${classifier[name].origin}/classifier-api"}`,
    `postgres: {host: ${socket}, port: ${port}, bin: ${bin}, run_as: ${runAs}}`,
    `databases: [{name: pe-rbac, needs: [], switch: schedule}]`,
    'retention: {free_space: 10MB}',
    'peer_address: 127.0.0.1',
    '',
  ].join('\n');
}

async function furnish(master: AgentMaster, authority: TlsAuthority): Promise<void> {
  const { cert, key } = await authority.issue(master.certname, ['DNS:puppet.test'], 400);
  const ssl = 'etc/puppetlabs/puppet/ssl';
  put(master, `${ssl}/certs/${master.certname}.pem`, cert);
  put(master, `${ssl}/private_keys/${master.certname}.pem`, key);
  put(master, `${ssl}/certs/ca.pem`, authority.ca);
  put(master, 'etc/puppetlabs/secrets/key', 'first');
  put(master, 'etc/puppetlabs/puppet/eyaml/private_key.pkcs7.pem', 'eyaml');
  put(master, 'etc/puppetlabs/puppet/hiera.yaml', 'version: 5');
  put(master, 'etc/puppetlabs/code/environments/production/.r10k-deploy.json', deployed);
  put(master, 'opt/puppetlabs/server/data/puppetserver/jruby-gems/specifications/toml-rb-2.2.0.gemspec', '');
}
