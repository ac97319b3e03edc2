import { X509Certificate } from 'node:crypto';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { startCluster } from '../helpers/postgres-cluster.ts';
import { freePort, startSshd } from '../helpers/sshd.ts';
import { pathsBelow } from '../helpers/pair.ts';
import { createTestCa, type TestCa } from '../stand-in/ca.ts';
import { newGroup } from '../stand-in/classifier-model.ts';
import {
  command,
  prepareMaster,
  roleInFact,
  startAgent,
  writeConfig,
  type DemoMaster,
  type MasterPlan,
  type RunningAgent,
} from './master.ts';
import { consoleCommands } from './console-service.ts';
import { startReaper, sweep } from './processes.ts';

const run = promisify(execFile);

export interface WorldOptions {
  /** Tells what is being set up. */
  readonly say: (line: string) => void;
  /** Each line of an agent. */
  readonly onLine: (letter: 'A' | 'B', line: string) => void;
  readonly signal: AbortSignal;
}

/** Two masters on this machine: A is the active and has the CA, B is its spare and has yet to adopt it. */
export interface World {
  readonly base: string;
  readonly a: DemoMaster;
  readonly b: DemoMaster;
  readonly ca: TestCa;
  readonly agents: { readonly a: RunningAgent; readonly b: RunningAgent };
  /** Ends everything in turn; returns what did not end by itself. In a hurry, running work is not waited for. */
  close(options: { hurry: boolean }): Promise<readonly string[]>;
}

export async function startWorld(options: WorldOptions): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const base = await mkdtemp(join(await realpath(tmpdir()), 'pe-failover-demo-'));
  await chmod(base, 0o711); // PostgreSQL's user passes through
  const [rootA, rootB] = [join(base, 'a'), join(base, 'b')];
  for (const root of [rootA, rootB]) await mkdir(root);
  const runDirectories = [pathsBelow(rootA).run, pathsBelow(rootB).run];
  const reaper = startReaper(base, runDirectories);
  stack.defer(() => reaper.done());
  const parts = stack.use(new AsyncDisposableStack());
  const pair = await startParts(parts, options, { base, rootA, rootB });
  const agents = await startPair(parts, options, pair);
  const whole = stack.move();
  return {
    base,
    ...pair,
    agents,
    close: async ({ hurry }) => {
      const insisted = await stopAgents(pair, agents, hurry ? hurryMs : patienceMs);
      await parts.disposeAsync();
      const left = await sweep(base, runDirectories, [reaper.pid]);
      await whole.disposeAsync();
      return [...insisted, ...left.map(({ command }) => command)];
    },
  };
}

/** An agent lets running work come to a safe point for 30 s. */
const patienceMs = 40_000;
const hurryMs = 3_000;

/** Whoever is active first: it may wait for a receipt of the other. */
async function stopAgents({ b }: Pair, agents: World['agents'], limitMs: number): Promise<string[]> {
  const order = roleInFact(b) === 'active' ? (['b', 'a'] as const) : (['a', 'b'] as const);
  const insisted: string[] = [];
  for (const one of order) {
    if (!(await agents[one].stop(limitMs))) insisted.push(`the agent of ${one.toUpperCase()} had to be killed`);
  }
  return insisted;
}

interface Places {
  readonly base: string;
  readonly rootA: string;
  readonly rootB: string;
}

type Pair = Pick<World, 'a' | 'b' | 'ca'>;

async function startParts(
  stack: AsyncDisposableStack,
  { say, signal }: WorldOptions,
  { base, rootA, rootB }: Places,
): Promise<Pair> {
  say('Starting a PostgreSQL for each master');
  const clusters = [stack.use(await startCluster(base)), stack.use(await startCluster(base))] as const;
  await Promise.all([
    buildRbac(clusters[0], 'pe-rbac', { subjects: 200, tokens: 300 }),
    buildRbac(clusters[1], 'pe-rbac', { subjects: 20, tokens: 30 }),
  ]);
  signal.throwIfAborted();
  say('Making a CA on A, and certificates of both masters');
  await mkdir(join(rootA, 'etc/puppetlabs/puppetserver'), { recursive: true });
  const ca = await createTestCa(join(rootA, 'etc/puppetlabs/puppetserver/ca'), { name: 'mastera.test' });
  const plan = async (letter: 'A' | 'B', root: string): Promise<MasterPlan> => {
    const certname = `master${letter.toLowerCase()}.test`;
    const [sshPort, consolePort] = [await freePort(), await freePort()];
    const identity = await ca.hostCertificate(certname);
    return { letter, certname, root, sshPort, consolePort, identity, cluster: clusters[letter === 'A' ? 0 : 1] };
  };
  const [planA, planB] = [await plan('A', rootA), await plan('B', rootB)];
  await ca.signMany(['agent-1.demo', 'agent-2.demo', 'agent-3.demo']);
  const [a, b] = [await prepareMaster(planA), await prepareMaster(planB)];
  await writeConfig(a, b, planA.consolePort);
  await writeConfig(b, a, planB.consolePort);
  say('Starting sshd and console services on both');
  for (const master of [a, b]) {
    stack.use(await startSshd(master.root, pathsBelow(master.root).authorizedKeys, master.sshPort));
    await startConsole(stack, master);
  }
  await a.console.put(newGroup({ name: 'Databases', variables: { primary: a.certname } }));
  return { a, b, ca };
}

async function startConsole(stack: AsyncDisposableStack, { consoleDirectory }: DemoMaster): Promise<void> {
  const { start, stop } = consoleCommands(consoleDirectory);
  const call = ([file = '', ...args]: readonly string[]): Promise<unknown> => run(file, args, { timeout: 30_000 });
  await call(start);
  stack.defer(async () => void (await call(stop)));
}

/** As the README says it: install the active, take its line to the spare, start both agents. */
async function startPair(stack: AsyncDisposableStack, { say, onLine }: WorldOptions, { a, b, ca }: Pair) {
  say('pe-failover install on A and on B');
  const printed = await command(a, 'install', '--active', '--passive-master', b.certname);
  const line = printed.split('\n').at(-1) ?? '';
  const authority = new X509Certificate(await readFile(join(a.cadir, 'ca_crt.pem')));
  await command(b, 'install', '--passive', '--auth-key', line, '--adopt', authority.fingerprint256);
  say('pe-failover agent on A and on B');
  const agents = {
    b: await startAgent(b, (text) => onLine('B', text)),
    a: await startAgent(a, (text) => onLine('A', text)),
  };
  stack.defer(async () => void (await stopAgents({ a, b, ca }, agents, hurryMs)));
  return agents;
}
