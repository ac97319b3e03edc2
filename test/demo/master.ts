import { execFile, spawn } from 'node:child_process';
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { setFacts } from '../../src/rules/fact-text.ts';
import type { Cluster } from '../helpers/postgres-cluster.ts';
import { createConsoleApi, type ConsoleApi } from './console-api.ts';
import { consoleCommands } from './console-service.ts';
import { startTime, stopChild } from './processes.ts';

const run = promisify(execFile);
export const program = join(import.meta.dirname, '../../bin/pe-failover');
export const consoleUnit = 'pe-console-services';
export const keysJson = 'etc/puppetlabs/console-services/conf.d/secrets/keys.json';
export const restoreEveryMs = 3_000;
const secrets = '/etc/puppetlabs/console-services/conf.d/secrets';

/** One master below its own root directory: where its parts are, before the agent is there. */
export interface DemoMaster {
  readonly letter: 'A' | 'B';
  readonly certname: string;
  readonly root: string;
  readonly cadir: string;
  readonly fact: string;
  readonly sshPort: number;
  readonly cluster: Cluster;
  readonly console: ConsoleApi;
  /** Of the service pe-console-services: config.json, pid, log. */
  readonly consoleDirectory: string;
}

export interface MasterPlan {
  readonly letter: 'A' | 'B';
  readonly certname: string;
  readonly root: string;
  readonly sshPort: number;
  readonly consolePort: number;
  readonly cluster: Cluster;
  /** PEM: what a Puppet installation has in its ssldir. */
  readonly identity: { readonly key: string; readonly cert: string; readonly ca: string; readonly crl: string };
}

/** Lays down what Puppet Enterprise would have installed. */
export async function prepareMaster(plan: MasterPlan): Promise<DemoMaster> {
  const { letter, certname, root, sshPort, consolePort, cluster, identity } = plan;
  const at = (path: string): string => join(root, path);
  const ssl = at('etc/puppetlabs/puppet/ssl');
  const consoleDirectory = at('opt/console');
  for (const path of ['etc/puppetlabs/puppetserver', 'opt/puppetlabs/server', 'opt/console', secrets.slice(1)])
    await mkdir(at(path), { recursive: true });
  for (const path of ['certs', 'private_keys']) await mkdir(join(ssl, path), { recursive: true });
  const certificate = join(ssl, 'certs', `${certname}.pem`);
  const key = join(ssl, 'private_keys', `${certname}.pem`);
  const ca = join(ssl, 'certs/ca.pem');
  await writeFile(certificate, identity.cert);
  await writeFile(key, identity.key, { mode: 0o600 });
  await writeFile(ca, identity.ca);
  await writeFile(join(ssl, 'crl.pem'), identity.crl);
  await writeFile(at('opt/puppetlabs/server/pe_build'), '2025.6.0\n');
  await writeFile(at(keysJson), `{"key": "of ${certname}"}\n`, { mode: 0o600 });
  await writeFile(join(consoleDirectory, 'allowlist'), `${certname}\n`);
  const service = {
    host: certname,
    port: consolePort,
    cert: certificate,
    key,
    ca,
    allowlist: join(consoleDirectory, 'allowlist'),
    groups: join(consoleDirectory, 'groups.json'),
    tokens: ['token-of-a-person'],
    database: { database: 'pe-rbac', user: 'pe-rbac', host: cluster.socket, port: cluster.port },
  };
  await writeFile(join(consoleDirectory, 'config.json'), JSON.stringify(service));
  return {
    letter,
    certname,
    root,
    cadir: at('etc/puppetlabs/puppetserver/ca'),
    fact: at('opt/puppetlabs/facter/facts.d/pe_failover.yaml'),
    sshPort,
    cluster,
    consoleDirectory,
    console: createConsoleApi({ port: consolePort, certname, token: 'token-of-a-person', ca: identity.ca }),
  };
}

/** The configuration of an admin who has little time: switches and looks that take minutes elsewhere take seconds. */
export async function writeConfig(master: DemoMaster, peer: DemoMaster, consolePort: number): Promise<void> {
  const { root, certname, cadir, cluster, consoleDirectory } = master;
  const own = {
    platform: 'pe',
    certname,
    peer_address: '127.0.0.1',
    paths: { cadir, ssldir: join(root, 'etc/puppetlabs/puppet/ssl') },
    ssh: { port: peer.sshPort },
    jobs: {
      nc_dump: { poll: '1s' },
      db_dump: { poll: '1s' },
      restore_dbs: { cron: `*/${restoreEveryMs / 1000} * * * * *`, health_wait: '30s' },
      sync_puppetdb: { enabled: false },
    },
    classifier: { url: `https://127.0.0.1:${consolePort}/classifier-api` },
    postgres: { host: cluster.socket, port: cluster.port, run_as: 'postgres', bin: cluster.bin },
    services: { manager: 'commands', commands: { [consoleUnit]: consoleCommands(consoleDirectory) } },
    files: [secrets],
    retention: { free_space: '10MB' },
    web: { page_listen: 'off' },
  };
  const path = join(root, 'etc/puppetlabs/pe_failover');
  await mkdir(path, { recursive: true, mode: 0o700 });
  await writeFile(join(path, 'pe_failover.yaml'), JSON.stringify(own, undefined, 2)); // JSON is YAML
}

/** A command of the program on this master, as an admin types it. */
export async function command(master: DemoMaster, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run(program, [...args, '--root', master.root], { timeout: 60_000 });
  return stdout.trim();
}

/** The same, with the exit code instead of an error: status counts as Nagios does. */
export async function commandOutput(master: DemoMaster, ...args: readonly string[]): Promise<string> {
  return await command(master, ...args).catch((error: unknown) =>
    error instanceof Error && 'stdout' in error ? String(error.stdout) : '',
  );
}

/** Edits the fact as an admin does: other facts stay. */
export async function editFact(master: DemoMaster, facts: Readonly<Record<string, string>>): Promise<void> {
  await writeFile(master.fact, setFacts(await readFile(master.fact, 'utf8'), facts));
}

export function roleInFact(master: DemoMaster): string {
  const text = existsSync(master.fact) ? readFileSync(master.fact, 'utf8') : '';
  return /^pe_failover_mode:\s*"?(\w+)/m.exec(text)?.[1] ?? 'none';
}

export interface RunningAgent {
  readonly pid: number;
  /** Gives whether it ended by itself within that time. */
  stop(patienceMs: number): Promise<boolean>;
}

/** `pe-failover agent` in the foreground; its lines go to a file and to `onLine`. */
export async function startAgent(master: DemoMaster, onLine: (line: string) => void): Promise<RunningAgent> {
  const child = spawn(program, ['agent', '--root', master.root], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const kept = createWriteStream(join(master.root, 'agent.log'));
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      kept.write(`${line}\n`);
      onLine(line);
    });
  }
  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  const pid = child.pid ?? 0;
  if ((await startTime(pid)) === undefined) throw new Error(`the agent of ${master.certname} ended at once`);
  return {
    pid,
    stop: async (patienceMs) => {
      const ended = await stopChild(child, patienceMs);
      kept.end();
      return ended;
    },
  };
}
