import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setFacts } from '../../src/rules/fact-text.ts';
import { endProcesses, processesOf } from './hunted.ts';
import { pathsBelow, program } from './pair.ts';
import { freePort, startSshd, type TestSshd } from './sshd.ts';

/** A master as an admin installs it: the shipped program, its commands, its agent as a process. */
export interface AgentMaster {
  readonly certname: string;
  readonly root: string;
  readonly cadir: string;
  readonly log: string[];
  /** Runs a command of the program to its end. */
  command(...args: string[]): { code: number | null; output: string };
  /** Starts the agent; `dying` names the point of a change of roles at which it is killed. */
  start(dying?: string): void;
  /** Resolves with the signal that ended the agent. */
  ended(): Promise<NodeJS.Signals | null>;
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Waits for a log line, of those that were not waited for yet. */
  says(pattern: RegExp, timeoutMs?: number): Promise<string>;
  setFacts(facts: Record<string, string>): void;
  /** Adds to the configuration. */
  configure(yaml: string): void;
  readonly fact: string;
  /** Of the running agent. */
  pid(): number;
}

export interface AgentPair extends AsyncDisposable {
  readonly a: AgentMaster;
  readonly b: AgentMaster;
  /** Ends sshd on b and every connection to it. Resolves with what starts it again. */
  cutOff(): Promise<() => Promise<void>>;
}

/** The one file that travels in these pairs, and what is said when it does. */
export const secretOf = ({ root }: AgentMaster): string => join(root, 'etc/puppetlabs/secrets/key');
export const completed = /sync_files\.sh ---> \[SUCCESS\] Completed sync of files/;
export const placed = /update_passive_files\.sh ---> \[SUCCESS\] Completed update of files/;

/** What a job has said as FAILURE since the line of that number. */
export const failuresOf = ({ log }: AgentMaster, job: string, since: number): string[] =>
  log.slice(since).filter((line) => line.includes(`${job}.sh ---> [FAILURE]`));

/** Starts both, and waits until the first file is on the spare and the active knows it. */
export async function startBoth({ a, b }: AgentPair): Promise<void> {
  writeFileSync(secretOf(a), 'first');
  b.start();
  a.start();
  await b.says(placed);
  await a.says(completed);
}

/** A pair that has no CA: files alone travel. */
export const filesOnly = (): string => 'jobs: {sync_certs: {enabled: false}, update_passive_ca: {enabled: false}}\n';

/** Two masters with a real sshd each; b is installed as the spare of a. No agent runs yet. */
export async function createAgentPair(config: (root: string) => string = () => ''): Promise<AgentPair> {
  const base = mkdtempSync(join(realpathSync(tmpdir()), 'pe-failover-agents-'));
  const ports = { a: await freePort(), b: await freePort() };
  const sshds = new Map<'a' | 'b', TestSshd>();
  const masters: Record<'a' | 'b', AgentMaster> = {
    a: await prepare(base, 'a', ports.b),
    b: await prepare(base, 'b', ports.a),
  };
  for (const name of ['a', 'b'] as const) {
    const { root } = masters[name];
    sshds.set(name, await startSshd(root, pathsBelow(root).authorizedKeys, ports[name]));
    masters[name].configure(config(root));
  }
  const { a, b } = masters;
  const active = a.command('install', '--active', '--passive-master', '127.0.0.1');
  if (active.code !== 0) throw new Error(active.output);
  const line = active.output.trim().split('\n').at(-1) ?? '';
  const passive = b.command('install', '--passive', '--auth-key', line);
  if (passive.code !== 0) throw new Error(passive.output);
  return {
    a,
    b,
    cutOff: async () => {
      await sshds.get('b')?.[Symbol.asyncDispose]();
      endConnections(a.root);
      return async () => void sshds.set('b', await startSshd(b.root, pathsBelow(b.root).authorizedKeys, ports.b));
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([a.stop('SIGKILL'), b.stop('SIGKILL')]);
      for (const { root } of [a, b]) {
        endConnections(root);
        rmSync(pathsBelow(root).run, { recursive: true, force: true });
      }
      for (const sshd of sshds.values()) await sshd[Symbol.asyncDispose]();
      endProcesses(processesOf({ a, b })); // what a failed test left stopped
      rmSync(base, { recursive: true, force: true });
    },
  };
}

function endConnections(root: string): void {
  const { run } = pathsBelow(root);
  for (const name of ['ssh-hot', 'ssh-bulk'])
    spawnSync('ssh', ['-F', '/dev/null', '-S', join(run, name), '-O', 'exit', 'x'], { stdio: 'ignore' });
}

/** A master that is configured, and not installed. */
export async function prepare(base: string, name: 'a' | 'b', peerPort: number): Promise<AgentMaster> {
  const root = join(base, name);
  const cadir = join(root, 'ca');
  mkdirSync(join(root, 'etc/puppetlabs/pe_failover'), { recursive: true });
  mkdirSync(join(root, 'etc/puppetlabs/secrets'), { recursive: true });
  const yaml = [
    'platform: puppet',
    `certname: master${name}.test`,
    `ssh: {port: ${peerPort}}`,
    `paths: {cadir: ${cadir}}`,
    'files: [/etc/puppetlabs/secrets]',
    'services: {manager: commands}',
    '',
  ].join('\n');
  writeFileSync(join(root, 'etc/puppetlabs/pe_failover/pe_failover.yaml'), yaml);
  return master(`master${name}.test`, root, cadir);
}

function master(certname: string, root: string, cadir: string): AgentMaster {
  const log: string[] = [];
  let read = 0;
  let agent: ChildProcess | undefined;
  let wake = (): void => undefined;
  const fact = join(root, 'opt/puppetlabs/facter/facts.d/pe_failover.yaml');
  const start = (dying?: string): void => {
    const dyingAgent = join(import.meta.dirname, '../fault/programs/agent.ts');
    const [file, ...args] =
      dying === undefined
        ? [program, 'agent', '--root', root]
        : [process.execPath, '--disable-warning=ExperimentalWarning', dyingAgent, root, dying];
    const child = spawn(file ?? '', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    agent = child;
    let partial = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (partial + chunk).split('\n');
      partial = lines.pop() ?? '';
      log.push(...lines);
      wake();
    });
  };
  return {
    certname,
    root,
    cadir,
    log,
    fact,
    pid: () => agent?.pid ?? 0,
    command: (verb, ...args) => {
      const { status, stdout, stderr } = spawnSync(program, [verb ?? '', '--root', root, ...args], {
        encoding: 'utf8',
        timeout: 60_000,
      });
      return { code: status, output: stdout + stderr };
    },
    start,
    ended: () => {
      const child = agent;
      if (child === undefined || child.signalCode !== null) return Promise.resolve(child?.signalCode ?? null);
      return new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
    },
    stop: async (signal = 'SIGTERM') => {
      const child = agent;
      agent = undefined;
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill(signal);
      await ended;
    },
    says: async (pattern, timeoutMs = 20_000) => {
      const end = performance.now() + timeoutMs;
      for (;;) {
        while (read < log.length) {
          const line = log[read++] ?? '';
          if (pattern.test(line)) return line;
        }
        const left = end - performance.now();
        if (left <= 0) throw new Error(`${certname} did not say ${String(pattern)}; it said:\n${log.join('\n')}`);
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, left);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    },
    configure: (yaml) => {
      const path = join(root, 'etc/puppetlabs/pe_failover/pe_failover.yaml');
      writeFileSync(path, readFileSync(path, 'utf8') + yaml);
    },
    setFacts: (facts) => {
      mkdirSync(dirname(fact), { recursive: true });
      writeFileSync(fact, setFacts(readFileSync(fact, 'utf8'), facts));
    },
  };
}
