import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRemoteHost } from '../../src/agent/remote-host.ts';
import { programVersion } from '../../src/rules/program.ts';
import { exec } from '../../src/system/exec.ts';
import { logIn, resolveTarget } from '../../src/system/ssh-login.ts';
import { prepare, secretOf, type AgentMaster } from '../helpers/agents.ts';
import { pathsBelow, program } from '../helpers/pair.ts';
import { freePort, startSshd, type TestSshd } from '../helpers/sshd.ts';

let base: string;
let a: AgentMaster;
let b: AgentMaster;
let sshds: TestSshd[];
let config: string;
const signal = new AbortController().signal;

/** Appends to `pe_failover.yaml`: files alone travel, by loopback. */
const more =
  'peer_address: 127.0.0.1\nretention: {free_space: 1MB}\njobs: {sync_certs: {enabled: false}, update_passive_ca: {enabled: false}, nc_dump: {enabled: false}, restore_nc: {enabled: false}}\n';

beforeAll(async () => {
  base = mkdtempSync(join(realpathSync(tmpdir()), 'pe-failover-provision-'));
  const ports = { a: await freePort(), b: await freePort() };
  [a, b] = [await prepare(base, 'a', ports.b), await prepare(base, 'b', ports.a)];
  for (const { root } of [a, b]) {
    const path = join(root, 'etc/puppetlabs/pe_failover/pe_failover.yaml');
    writeFileSync(path, readFileSync(path, 'utf8') + more);
  }
  mkdirSync(join(b.root, 'opt'), { recursive: true });
  symlinkSync(dirname(dirname(program)), join(b.root, 'opt/pe_failover'));
  const key = join(base, 'admin');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  const login = await startSshd(join(base, 'login'), `${key}.pub`);
  sshds = [
    login,
    await startSshd(a.root, pathsBelow(a.root).authorizedKeys, ports.a),
    await startSshd(b.root, pathsBelow(b.root).authorizedKeys, ports.b),
  ];
  const hostKey = readFileSync(join(base, 'login/etc/ssh/ssh_host_ed25519_key.pub'), 'utf8');
  const other = readFileSync(join(b.root, 'etc/ssh/ssh_host_ed25519_key.pub'), 'utf8');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(base, 'stranger')]);
  writeFileSync(join(base, 'known'), `[127.0.0.1]:${login.port} ${hostKey}`);
  writeFileSync(join(base, 'wrong'), `[127.0.0.1]:${login.port} ${other}`);
  writeFileSync(join(base, 'none'), '');
  const host = (name: string, known: string, identity = 'admin', rest = ''): string =>
    `Host ${name}\n HostName 127.0.0.1\n Port ${login.port}\n User ${userInfo().username}\n IdentityFile ${join(base, identity)}\n` +
    ` UserKnownHostsFile ${join(base, known)}\n GlobalKnownHostsFile /dev/null\n${rest}`;
  config = join(base, 'ssh_config');
  const hosts = [
    host('masterb', 'known'),
    host('changed', 'wrong'),
    host('unknown', 'none'),
    host('locked', 'known', 'stranger'),
  ];
  writeFileSync(config, `${hosts.join('')}${host('inside', 'known', 'admin', ' ProxyJump bastion\n')}`);
});
afterAll(async () => {
  await Promise.all([a.stop('SIGKILL'), b.stop('SIGKILL')]);
  for (const { root } of [a, b]) {
    for (const name of ['ssh-hot', 'ssh-bulk'])
      spawnSync('ssh', ['-F', '/dev/null', '-S', join(pathsBelow(root).run, name), '-O', 'exit', 'x'], {
        stdio: 'ignore',
      });
    rmSync(pathsBelow(root).run, { recursive: true, force: true });
  }
  for (const sshd of sshds) await sshd[Symbol.asyncDispose]();
  rmSync(base, { recursive: true, force: true });
});

const words = (host: string): string[] => [
  'provision',
  host,
  '--root',
  a.root,
  '--ssh-config',
  config,
  '--root-there',
  b.root,
];
const env = { ...process.env, SSH_AUTH_SOCK: undefined };
const type = (host: string, ...options: string[]) => {
  const { status, stdout, stderr } = spawnSync(program, [...words(host), '--yes', ...options], {
    encoding: 'utf8',
    env,
  });
  return { code: status, output: stdout + stderr };
};
/** Beside it the agent of the spare is started, as systemd would, when it is installed. */
async function provision(): Promise<{ code: number | null; output: string }> {
  const child = spawn(program, [...words('masterb'), '--yes', '--wait', '1'], { env });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  await expect.poll(() => existsSync(b.fact) || child.exitCode !== null, { timeout: 60_000 }).toBe(true);
  await expect.poll(() => output.includes('The active is') || child.exitCode !== null, { timeout: 60_000 }).toBe(true);
  b.start();
  return { code: await ended, output };
}

describe('provision', () => {
  it('is refused on a master that is not installed, with what to type', () => {
    expect(type('masterb')).toMatchObject({
      code: 75,
      output: expect.stringContaining('pe-failover install --active') as string,
    });
  });

  it('makes a clean host the spare: program, keys both ways, first copy verified there', async () => {
    expect(a.command('install', '--active', '--passive-master', '127.0.0.1').code).toBe(0);
    writeFileSync(secretOf(a), 'first');
    a.start();
    const { code, output } = await provision();
    expect([code, output]).toEqual([0, expect.stringContaining('masterb.test can become the spare')]);
    expect(output).toMatch(/The active is mastera\.test, signing key \S+/);
    expect(output).toContain('everything is there: masterb.test');
    expect(readFileSync(secretOf(b), 'utf8')).toBe('first');
  });

  it('typed again finds all of it done', () => {
    const { code, output } = type('masterb');
    expect([code, output]).toEqual([0, expect.stringMatching(/Done in \d/)]);
    expect(readFileSync(secretOf(b), 'utf8')).toBe('first');
  });

  it('with --dry-run tries everything and changes nothing, with --list-steps and --print logs in nowhere', () => {
    expect(type('masterb', '--dry-run')).toMatchObject({
      code: 0,
      output: expect.stringContaining('Nothing was changed') as string,
    });
    expect(type('no-such-host', '--list-steps').output).toContain(
      'wait until everything of this master is verified there',
    );
    expect(type('no-such-host', '--print').output).toContain(
      'pe-failover install --active --passive-master no-such-host',
    );
  });

  it.each([
    ['unknown', 'the host key is not known'],
    ['changed', 'the host key is not the known one'],
    ['locked', 'the login is refused'],
    ['inside', 'a host behind a bastion is not reached from here (inside by bastion). Add --print'],
  ])('to a host that is %s ends with a sentence: %s', (host, sentence) => {
    expect(type(host)).toMatchObject({ code: 78, output: expect.stringContaining(sentence) as string });
  });

  it('does not take the spare of another active', () => {
    const path = join(pathsBelow(b.root).state, 'peer.json');
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replaceAll('mastera.test', 'masterz.test'));
    expect(type('masterb')).toMatchObject({
      code: 75,
      output: expect.stringContaining('it is the spare of masterz.test') as string,
    });
    writeFileSync(path, text);
  });
});

describe('the program', () => {
  /** A program that says its version, and no more. */
  const makeProgram = (name: string, version: string): string => {
    const home = join(base, name);
    mkdirSync(join(home, 'bin'), { recursive: true });
    writeFileSync(join(home, 'bin/pe-failover'), `#!/bin/sh\necho ${version}\n`);
    chmodSync(join(home, 'bin/pe-failover'), 0o755);
    writeFileSync(join(home, 'LICENSE'), name);
    return home;
  };
  const root = (): string => join(base, "it's there");
  const copy = async (home: string): Promise<void> => {
    const target = await resolveTarget(exec, { host: 'masterb', config });
    await using login = await logIn(exec, target, { agent: undefined, trusts: () => Promise.resolve(false) });
    await createRemoteHost({ login, home, root: root(), sudo: false }).copyProgram(signal);
  };
  const there = (): string => readFileSync(join(root(), 'opt/pe_failover/LICENSE'), 'utf8');

  it('is copied whole, and takes the place of another one', async () => {
    await copy(makeProgram('first', programVersion));
    expect(there()).toBe('first');
    await copy(makeProgram('second', programVersion));
    expect(there()).toBe('second');
  });

  it('that does not start there replaces nothing', async () => {
    await expect(copy(makeProgram('broken', 'nothing'))).rejects.toThrow('the program could not be copied');
    expect(there()).toBe('second');
  });
});
