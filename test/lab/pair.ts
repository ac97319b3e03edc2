import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setFacts } from '../../src/rules/fact-text.ts';
import type { StatusReport } from '../../src/agent/status.ts';
import { eventually } from './eventually.ts';
import type { Host } from './host.ts';
import type { Lab } from './lab.ts';
import { copyProgram, packageDirectory } from './program.ts';
import {
  configurePuppet,
  consoleUnit,
  installFirstServer,
  installServer,
  provideAlerts,
  provideConsole,
  provideDatabase,
  rbac,
  write,
} from './provision.ts';
import { readSyslog, type Syslog } from './syslog.ts';

/** A host on which the program is installed, as its admin sees it. */
export interface LabMaster extends Host {
  readonly syslog: Syslog;
  readonly cadir: string;
  /** `pe-failover ...`; gives what it printed, whatever its exit code. */
  command(line: string, timeoutMs?: number): Promise<{ code: number; output: string }>;
  status(): Promise<StatusReport>;
  editFact(facts: Readonly<Record<string, string>>): Promise<void>;
}

export interface LabPair {
  readonly lab: Lab;
  readonly a: LabMaster;
  readonly b: LabMaster;
}

export const cadir = '/etc/puppet/puppetserver/ca';
export const factPath = '/opt/puppetlabs/facter/facts.d/pe_failover.yaml';
export const secrets = '/etc/puppetlabs/secrets';
export const keyFile = '/etc/puppetlabs/console-services/conf.d/secrets/keys.json';

export function asMaster(host: Host): LabMaster {
  const command = async (line: string, timeoutMs = 120_000): Promise<{ code: number; output: string }> => {
    const { exitCode, stdout, stderr } = await host.try(`pe-failover ${line}`, { timeoutMs });
    return { code: exitCode, output: (stdout + stderr).trim() };
  };
  return {
    ...host,
    syslog: readSyslog(host),
    cadir: host.path(cadir),
    command,
    status: async () => JSON.parse((await host.try('pe-failover status --json')).stdout) as StatusReport,
    editFact: async (facts) => {
      const path = host.path(factPath);
      await writeFile(path, setFacts(readFileSync(path, 'utf8'), facts));
    },
  };
}

/** What an admin with little time writes: what takes minutes by default takes seconds. */
export const everything = `---
jobs:
  nc_dump: {enabled: true, poll: 2s}
  db_dump: {poll: 2s}
  restore_nc: {enabled: true}
  restore_dbs: {cron: "*/4 * * * * *", agent_run_wait: 1m, health_wait: 1m}
databases:
  - {name: ${rbac}, services: [${consoleUnit}], health: [rbac-service], needs: [${keyFile}]}
files: [${secrets}]
retention: {free_space: 10MB}
`;

export async function configure(master: LabMaster, yaml: string): Promise<void> {
  await write(master, '/etc/puppetlabs/pe_failover/pe_failover.yaml', yaml, 0o600);
}

/** A master that has served for long, before its spare is there. */
export async function prepareActive(a: LabMaster): Promise<void> {
  await configurePuppet(a, a.fqdn);
  await provideAlerts(a);
  await installFirstServer(a);
  await provideDatabase(a, {});
  await provideConsole(a);
  await write(a, keyFile, '{"key": "of mastera"}\n', 0o600);
  await write(a, `${secrets}/eyaml`, 'first secret\n', 0o600);
}

/** A machine with Puppet's agent and PostgreSQL; it has no CA and no certificate. */
export async function prepareSpare(b: LabMaster): Promise<void> {
  await configurePuppet(b, b.fqdn);
  await provideAlerts(b);
  await provideDatabase(b, { subjects: 20, tokens: 3 });
  await write(b, '/etc/ssh/sshd_config.d/site.conf', 'UsePAM no\n');
  await b.sh('systemctl restart ssh');
}

export interface InstallOptions {
  /** Configuration of both. */
  readonly yaml?: string;
  /** The spare is another machine than the one that is known. */
  readonly renewHostKey?: boolean;
}

/** As README says it: install, which starts the agents, the pairing line, adopt. Until the CA is on the spare. */
export async function installPair(
  { a, b }: Pick<LabPair, 'a' | 'b'>,
  say: (line: string) => void,
  { yaml = everything, renewHostKey = false }: InstallOptions = {},
): Promise<void> {
  const directory = await packageDirectory(say);
  for (const master of [a, b]) {
    await copyProgram(master, directory);
    await configure(master, yaml);
  }
  const renew = renewHostKey ? ' --renew-host-key' : '';
  const line = (await a.sh(`pe-failover install --active --passive-master ${b.fqdn}${renew}`)).split('\n').at(-1) ?? '';
  await b.sh(`pe-failover install --passive --auth-key '${line}'`);
  const { output } = await a.command('status');
  const fingerprint = /fingerprint (\S+)/.exec(output)?.[1] ?? 'none';
  await b.sh(`pe-failover adopt ${fingerprint}`);
  await b.sh('pe-failover status --wait ca-ready --timeout 120', { timeoutMs: 150_000 });
  for (const master of [a, b]) await master.sh('sync'); // power may be lost soon: it was installed long ago
}

/** The whole pair, with a puppetserver on both: nothing on the spare is prepared by other means than README's. */
export async function bootstrapPair(lab: Lab, say: (line: string) => void): Promise<LabPair> {
  const [hostA, hostB] = [lab.host('mastera'), lab.host('masterb')];
  await Promise.all([hostA.boot(), hostB.boot()]);
  const pair = { lab, a: asMaster(hostA), b: asMaster(hostB) };
  say('mastera becomes a Puppet master; masterb gets the agent package alone');
  await Promise.all([prepareActive(pair.a), prepareSpare(pair.b)]);
  say('pe-failover is installed on both, and masterb adopts the CA');
  await installPair(pair, say);
  say('masterb gets its puppetserver');
  await installServer(pair.b);
  await eventually('puppetserver of masterb serves', () => isServing(pair.b), { withinMs: 240_000, everyMs: 500 });
  await provideConsole(pair.b);
  await pair.b.sh(`pe-failover adopt ${await caFingerprint(pair.a)}`);
  await untilAgreed(pair);
  return pair;
}

export async function caFingerprint(master: LabMaster): Promise<string> {
  const printed = await master.sh(`openssl x509 -in ${cadir}/ca_crt.pem -noout -fingerprint -sha256`);
  return printed.split('=').at(-1) ?? '';
}

/** Whether puppetserver of that host answers. */
export async function isServing(host: Host): Promise<boolean> {
  const url = `https://${host.fqdn}:8140/status/v1/simple`;
  return (await host.try(`curl -sk -m 5 ${url}`)).stdout.trim() === 'running';
}

/** Until every stream was applied, and status on both says so. */
export async function untilAgreed({ a, b }: Pick<LabPair, 'a' | 'b'>, withinMs = 120_000): Promise<void> {
  for (const master of [b, a]) {
    await eventually(
      `${master.name} says OK`,
      async () => {
        const { verdict, components } = await master.status();
        if (verdict.code !== 0) throw new Error(verdict.text);
        return components.every(({ state }) => ['applied', 'unchanged'].includes(state));
      },
      { withinMs, everyMs: 300 },
    );
  }
}
