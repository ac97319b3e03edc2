import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { exec, type Result } from '../../src/system/exec.ts';
import type { Disk } from './disk.ts';
import { nameOf, run } from './places.ts';
import { addresses, hostNames, type HostName, type Switch } from './switch.ts';

export const checkout = join(import.meta.dirname, '../..');

/** A machine of its own: systemd, network, disk. It outlives the process that started it. */
export interface Host {
  readonly name: HostName;
  readonly fqdn: string;
  /** Of its file system, as this machine sees it. */
  path(inside: string): string;
  /** As it sees it itself, with what is mounted in it; until it ends. */
  pathWithMounts(inside: string): string;
  isUp(): boolean;
  /** Starts it and waits until its systemd has started everything; `prepare` may change its disk before that. */
  boot(prepare?: (root: string) => Promise<void>): Promise<void>;
  /** The file that is its disk: to be copied while it is down. */
  readonly image: string;
  /** Runs a shell line as root. Throws when it fails, unless the exit code is accepted. */
  sh(line: string, options?: ShellOptions): Promise<string>;
  try(line: string, options?: ShellOptions): Promise<Result>;
  /** The command with which a shell line runs inside, for whoever spawns it. */
  inside(line: string): readonly [string, ...string[]];
  /** An orderly end, as `poweroff`. */
  shutDown(): Promise<void>;
  /** Stops every process of it where it is, at once. */
  freeze(): void;
  thaw(): void;
  /** Processes of a unit of its systemd, by the ids that they have on this machine. */
  pidsOf(unit: string): readonly number[];
  /** Nobody is told: the cable goes out first, then everything in it ends. With power lost, unsynced data is gone. */
  die(how?: { powerLoss: boolean }): Promise<void>;
  wipe(): Promise<void>;
}

export interface ShellOptions {
  readonly timeoutMs?: number;
  readonly input?: string;
}

const controllers = ['systemd', 'unified', 'memory', 'cpuacct', 'pids', 'freezer'];

export interface HostParts {
  readonly lab: string;
  readonly home: string;
  readonly disk: Disk;
  readonly network: Switch;
}

export function createHost(name: HostName, { lab, home, disk, network }: HostParts): Host {
  const machine = nameOf(lab, name);
  const pidFile = join(home, 'pids');
  const freezer = join('/sys/fs/cgroup/freezer', machine, 'freezer.state');
  const pids = (): readonly number[] =>
    existsSync(pidFile) ? readFileSync(pidFile, 'utf8').trim().split(' ').map(Number) : [];
  const init = (): number => {
    const pid = pids()[1];
    if (pid === undefined || !isAlive(pid)) throw new Error(`${name} is down`);
    return pid;
  };
  const inside = (line: string): readonly [string, ...string[]] => {
    const variables = ['HOME=/root', 'LANG=C.UTF-8', 'USER=root', 'TERM=dumb', `PATH=${searched}`];
    const namespaces = ['-m', '-u', '-i', '-n', '-p', '-C', '-r', '-w'];
    return ['nsenter', '-t', String(init()), ...namespaces, 'env', '-i', ...variables, 'sh', '-c', line];
  };
  const attempt = async (line: string, { timeoutMs = 60_000, input = '' }: ShellOptions = {}): Promise<Result> => {
    const [file, ...args] = inside(line);
    return await exec({ file, args, timeoutMs, input, accept: everyCode });
  };
  const clean = async (): Promise<void> => {
    await disk.unmount();
    await rm(pidFile, { force: true });
    for (const path of cgroups(machine)) {
      if (existsSync(path))
        await run('find', [path, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', '+']).catch(() => '');
    }
  };
  const host: Host = {
    name,
    fqdn: `${name}.lab`,
    path: (path) => join(disk.root, path),
    pathWithMounts: (path) => join(`/proc/${init()}/root`, path),
    image: disk.image,
    isUp: () => isAlive(pids()[1] ?? 0),
    boot: async (prepare) => {
      if (host.isUp()) return;
      await clean();
      await disk.mount();
      const isFirst = await identify(name, disk.root);
      await prepare?.(disk.root);
      const namespace = await network.plug(name);
      const supervisor = startContainer(machine, namespace, disk.root, join(home, 'console.log'));
      const pid = await initOf(supervisor, join(home, 'console.log'));
      await writeFile(pidFile, `${supervisor} ${pid}`);
      await untilStarted(host);
      // Power may be lost soon: that must not take the installation itself.
      if (isFirst) await run('sync', ['-f', disk.root]);
    },
    try: attempt,
    sh: async (line, options) => {
      const { exitCode, stdout, stderr } = await attempt(line, options);
      if (exitCode !== 0) throw new Error(`on ${name}: ${line}\nfailed with ${exitCode}: ${stdout}${stderr}`);
      return stdout.trim();
    },
    inside,
    shutDown: async () => {
      if (host.isUp()) await run('kill', ['-s', 'RTMIN+3', String(init())]);
      await ended(pids(), 30_000);
      await clean();
    },
    freeze: () => writeFileSync(freezer, 'FROZEN'),
    thaw: () => writeFileSync(freezer, 'THAWED'),
    pidsOf: (unit) => {
      const procs = join('/sys/fs/cgroup/systemd', machine, 'payload/system.slice', unit, 'cgroup.procs');
      return existsSync(procs) ? readFileSync(procs, 'utf8').split('\n').filter(Boolean).map(Number) : [];
    },
    die: async ({ powerLoss } = { powerLoss: false }) => {
      await network.apply({ kind: 'unplugged', host: name });
      if (powerLoss) disk.losePower();
      for (const pid of [...pids()].reverse()) kill(pid);
      // What is frozen ends when it is thawed.
      host.thaw();
      await ended(pids(), 0);
      await clean();
    },
    wipe: async () => {
      await host.shutDown();
      await disk.wipe();
    },
  };
  return host;
}

const searched = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const everyCode = Array.from({ length: 256 }, (_, code) => code);
const cgroups = (machine: string): readonly string[] => controllers.map((name) => `/sys/fs/cgroup/${name}/${machine}`);

function isAlive(pid: number): boolean {
  return pid > 0 && existsSync(`/proc/${pid}`);
}

/** What a disk is given once: name, machine id, host key, and the names of the others. False: it had them. */
async function identify(name: HostName, root: string): Promise<boolean> {
  const mark = join(root, 'etc/hostname');
  if (existsSync(mark)) return false;
  await writeFile(join(root, 'etc/machine-id'), `${randomUUID().replaceAll('-', '')}\n`);
  const known = hostNames.map((host) => `${addresses[host]} ${host}.lab ${host}`);
  await writeFile(join(root, 'etc/hosts'), ['127.0.0.1 localhost', ...known, ''].join('\n'));
  await run('ssh-keygen', [
    '-q',
    '-t',
    'ed25519',
    '-N',
    '',
    '-C',
    name,
    '-f',
    join(root, 'etc/ssh/ssh_host_ed25519_key'),
  ]);
  await writeFile(mark, `${name}\n`);
  return true;
}

/** In cgroups of its own: without, systemd-nspawn makes its own at the top of this machine's tree. */
function startContainer(machine: string, namespace: string, root: string, console: string): number {
  const groups = cgroups(machine);
  for (const path of groups) mkdirSync(path, { recursive: true });
  const nspawn = ['systemd-nspawn', '--quiet', '-D', root, '-M', machine, '--boot', '--register=no', '--keep-unit',
    '--console=read-only', '--capability=CAP_NET_ADMIN,CAP_NET_RAW', '--resolv-conf=off', '--timezone=off',
    '--link-journal=no', '--kill-signal=SIGRTMIN+3', `--bind-ro=${checkout}:/srv/checkout`]; // prettier-ignore
  const enter =
    'for group; do [ "$group" = -- ] && break; echo $$ >"$group/cgroup.procs"; shift; done; shift; exec "$@"';
  // Its mount namespace is a copy of ours: it would keep the disks of all other hosts, and they could never be unmounted.
  const release =
    'awk \'$2 ~ "/pe-failover-lab/lab-" && index($2, ENVIRON["OWN"] "/") != 1 {print $2}\' /proc/self/mounts | sort -r | xargs -r umount; exec "$@"';
  const own = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', release, 'sh'];
  const output = openSync(console, 'w');
  const child = spawn(
    'sh',
    ['-c', enter, 'sh', ...groups, '--', 'nsenter', `--net=/run/netns/${namespace}`, ...own, ...nspawn],
    {
      env: { ...process.env, OWN: dirname(root) },
      stdio: ['ignore', output, output],
      detached: true,
    },
  );
  closeSync(output);
  child.unref();
  if (child.pid === undefined) throw new Error('systemd-nspawn could not be started');
  return child.pid;
}

async function initOf(supervisor: number, console: string): Promise<number> {
  for (let waited = 0; waited < 30_000; waited += 20) {
    const children = await readFile(`/proc/${supervisor}/task/${supervisor}/children`, 'utf8').catch(() => undefined);
    if (children === undefined) break;
    for (const pid of children.trim().split(' ').filter(Boolean)) {
      const comm = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
      if (comm.trim() === 'systemd') return Number(pid);
    }
    await sleep(20);
  }
  throw new Error(`the host did not start: ${(await readFile(console, 'utf8')).slice(-500)}`);
}

async function untilStarted(host: Host): Promise<void> {
  let state = '';
  for (let waited = 0; waited < 120_000; waited += 50) {
    state = await host.try('systemctl is-system-running').then(
      ({ stdout }) => stdout.trim(),
      () => '',
    );
    if (state === 'running') return;
    if (state === 'degraded') break;
    await sleep(50);
  }
  const failed = await host.try('systemctl --failed --no-legend').then(({ stdout }) => stdout, String);
  throw new Error(`${host.name} is ${state}, not running: ${failed}`);
}

/** Waits for the ends of a host's two processes, and makes them end after `patienceMs`. */
async function ended(pids: readonly number[], patienceMs: number): Promise<void> {
  const alive = (): readonly number[] => pids.filter(isAlive);
  for (let waited = 0; alive().length > 0 && waited < patienceMs; waited += 50) await sleep(50);
  // The init first: it takes its whole namespace along, which killing systemd-nspawn alone would not.
  for (const pid of [...alive()].reverse()) kill(pid);
  for (let waited = 0; alive().length > 0; waited += 20) {
    if (waited > 20_000) throw new Error(`processes ${alive().join(', ')} do not end`);
    await sleep(20);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone by itself.
  }
}
