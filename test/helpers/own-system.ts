import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'vitest';
import { program } from './pair.ts';
import { freePort } from './sshd.ts';

export interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** A machine on which this program is installed as a user does it: as root, with users, units and all. */
export interface OwnSystem extends AsyncDisposable {
  /** From outside, what is `path` there. */
  path(path: string): string;
  read(path: string): string;
  write(path: string, text: string, mode?: number): void;
  run(file: string, ...args: string[]): Ended;
  /** A line of shell that must succeed; gives what it printed. */
  sh(line: string): string;
  command(...args: string[]): Ended;
  /** One of the programs of test/fault/programs, with its one JSON argument. */
  program(name: string, order: unknown): Ended;
  /** What systemctl was told that changes something, since this was asked last. */
  systemctl(): string[];
  /** Every path that was written to since the machine began (but for what is only remembered), with type, mode, owner and content. */
  written(): Map<string, string>;
}

interface OwnSystemOptions {
  readonly systemd?: boolean;
}

/** Skips a test whose tester may not have one. */
export async function machine(context: TestContext, options: OwnSystemOptions = {}): Promise<OwnSystem> {
  const own = await startOwnSystem(options);
  if (own === undefined) context.skip('only root may have a machine of its own');
  return own;
}

/** Undefined where private mounts are not allowed. */
async function startOwnSystem({ systemd = true }: OwnSystemOptions): Promise<OwnSystem | undefined> {
  if (userInfo().uid !== 0) return undefined;
  const base = mkdtempSync(join(tmpdir(), 'pe-failover-own-'));
  const script = join(import.meta.dirname, 'own-system.sh');
  const checkout = dirname(dirname(program));
  const unshare = ['--mount', '--pid', '--fork', '--kill-child', 'sh', script, base, checkout];
  const holder = spawn('unshare', unshare, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(holder, 'exit');
  const ready = await Promise.race([once(holder.stdout, 'data'), ended.then(() => undefined)]);
  const dispose = async (): Promise<void> => {
    holder.stdin.end();
    await ended;
    rmSync(base, { recursive: true });
  };
  if (ready === undefined) {
    await dispose();
    return undefined;
  }
  const init = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8').trim();
  const own = { ...insideOf(init), [Symbol.asyncDispose]: dispose };
  if (systemd) own.sh('mkdir -p /run/systemd/system');
  own.write('/etc/puppetlabs/pe_failover/pe_failover.yaml', `ssh: {port: ${await freePort()}}\n`, 0o600);
  return own;
}

function insideOf(init: string): Omit<OwnSystem, typeof Symbol.asyncDispose> {
  const path = (inside: string): string => join('/proc', init, 'root', inside);
  const run = (file: string, ...args: string[]): Ended => {
    const enter = ['--target', init, '--mount', '--pid', '--root', '--wd', '--', file, ...args];
    const { status, stdout, stderr } = spawnSync('nsenter', enter, { encoding: 'utf8', timeout: 120_000 });
    return { code: status, output: stdout + stderr };
  };
  const read = (inside: string): string => readFileSync(path(inside), 'utf8');
  const sh = (line: string): string => {
    const { code, output } = run('sh', '-ec', line);
    if (code !== 0) throw new Error(`${line}: ${code}: ${output}`);
    return output;
  };
  let heard = 0;
  return {
    path,
    read,
    run,
    sh,
    write: (inside, text, mode = 0o644) => {
      mkdirSync(dirname(path(inside)), { recursive: true });
      writeFileSync(path(inside), text, { mode });
    },
    command: (...args) => run('/usr/local/sbin/pe-failover', ...args),
    program: (name, order) => {
      const home = '/opt/pe_failover';
      const file = `${home}/test/fault/programs/${name}.ts`;
      const quiet = '--disable-warning=ExperimentalWarning';
      return run(`${home}/node_modules/.bin/node`, quiet, file, JSON.stringify(order));
    },
    systemctl: () => {
      const calls = sh('cat /run/stand-in-systemd/calls 2>/dev/null || true').split('\n').filter(Boolean);
      const fresh = calls.slice(heard);
      heard = calls.length;
      return fresh.filter((call) => !/^(show|is-active|is-enabled|reset-failed) /.test(call));
    },
    written: () => writtenBelow(path('/run/written'), sh('cd /run/written && find . -mindepth 1')),
  };
}

function writtenBelow(root: string, listing: string): Map<string, string> {
  // What puppet has answered is kept by whoever asks it first: no change of an installation.
  const names = listing.split('\n').filter((name) => name !== '' && !name.endsWith('/puppet-settings.json'));
  return new Map(names.map((name) => [name.slice(1), describe(join(root, name))] as const));
}

function describe(path: string): string {
  const found = lstatSync(path);
  const { mode, uid, gid } = found;
  const type = found.isDirectory() ? 'd' : found.isFile() ? '-' : found.isSymbolicLink() ? 'l' : '?';
  const content = found.isFile() ? ` ${readFileSync(path, 'utf8')}` : '';
  return `${type} ${(mode & 0o7777).toString(8)} ${uid}:${gid}${content}`;
}

/** What `install --active` prints on another master. */
export async function pairingLineOf(certname: string): Promise<string> {
  using active = await activeOf(certname);
  return active.line;
}

/** Another master as `install --active` makes it, below a directory of its own. */
export async function activeOf(certname: string): Promise<{ root: string; line: string } & Disposable> {
  const root = mkdtempSync(join(tmpdir(), 'pe-failover-active-'));
  const config = join(root, 'etc/puppetlabs/pe_failover/pe_failover.yaml');
  mkdirSync(dirname(config), { recursive: true });
  mkdirSync(join(root, 'etc/ssh'), { recursive: true });
  writeFileSync(config, `platform: puppet\ncertname: ${certname}\nssh: {port: ${await freePort()}}\n`);
  spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(root, 'etc/ssh/ssh_host_ed25519_key')]);
  const args = ['install', '--root', root, '--active', '--passive-master', '127.0.0.1'];
  const { stdout } = spawnSync(program, args, { encoding: 'utf8' });
  const line = stdout.trim().split('\n').at(-1) ?? '';
  return { root, line, [Symbol.dispose]: () => rmSync(root, { recursive: true }) };
}
