import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'vitest';
import { senderOptions } from '../../src/rules/push-options.ts';
import { requestText, withSignature } from '../../src/rules/signed-request.ts';
import { loadSigner } from '../../src/system/sign.ts';
import { activeOf, machine, type OwnSystem } from './own-system.ts';
import { pathsBelow } from './pair.ts';
import { freePort } from './sshd.ts';
import { nonce, pushWords } from './thief.ts';
import { until } from './trees.ts';

/** A program that ended, or goes on. */
export interface Going {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; output: string }>;
}

/** A spare with its real transfer user, behind an sshd that root runs, on a machine of its own; its agent runs. */
export interface OwnSpare extends AsyncDisposable {
  readonly own: OwnSystem;
  /** A login that stays: by the key of the active where no user is named, else by one of that user. */
  login(user?: string): Promise<Login>;
  /** Files that a push brings. */
  readonly drop: string;
}

/** A connection that is open, and what goes over it. */
export interface Login extends Going {
  hello(): Going;
  /** Signed by the active's root. */
  push(sequence: number, how?: HowToPush): Going;
}

interface HowToPush {
  /** kB a second. */
  readonly bandwidth?: number;
  readonly bulk?: boolean;
  /** The program of the active. */
  readonly rsync?: string;
}

interface Sshd {
  /** What the program of sshd is called. */
  readonly name: 'sshd' | 'sshd-session';
  readonly usePam: 'yes' | 'no';
}

const configuration = `platform: puppet
certname: masterb.test
files: [/etc/secrets]
jobs: {sync_certs: {enabled: false}, update_passive_ca: {enabled: false}}
services: {manager: commands}
`;

export async function startOwnSpare(context: TestContext, sshd: Sshd): Promise<OwnSpare> {
  const active = await activeOf('mastera.test');
  const own = await machine(context).catch((error: unknown) => {
    active[Symbol.dispose]();
    throw error;
  });
  const port = await freePort();
  own.write('/etc/puppetlabs/pe_failover/pe_failover.yaml', `${configuration}ssh: {port: ${port}}\n`, 0o600);
  const installed = own.command('install', '--passive', '--auth-key', active.line, '--no-start');
  if (installed.code !== 0) throw new Error(installed.output);
  own.sh('pe-failover agent >/run/agent.log 2>&1 &');
  startSshd(own, port, sshd);
  await until('the gate is open', () => gateText(own).includes('passive'));
  const { keys } = pathsBelow(active.root);
  const signer = await loadSigner(keys.signing);
  const drop = join(active.root, 'drop');
  let count = 0;
  const login = async (user?: string): Promise<Login> => {
    const socket = join(active.root, `login-${(count += 1)}`);
    const identity = user === undefined ? keys.transfer : addKey(own, user, active.root);
    const where = ['-p', String(port), '-l', user ?? 'pe-transfer', '127.0.0.1'];
    const open = start('ssh', [...alone, '-i', identity, '-M', '-N', '-S', socket, ...where]);
    await Promise.race([until('the login', () => existsSync(socket)), failed(open)]);
    const over = ['ssh', ...alone, '-o', 'ProxyCommand=false', '-S', socket];
    return {
      ...open,
      hello: () => start('ssh', [...over.slice(1), '127.0.0.1', `hello ${nonce}`]),
      push: (sequence, { bandwidth = 0, bulk = false, rsync = 'rsync' } = {}) => {
        const words = pushWords({ number: 1, id: 'a'.repeat(16) }, sequence);
        const signed = withSignature(words, signer.sign('request', requestText(words, 'masterb.test')));
        const options = [...senderOptions(bulk), `--bwlimit=${bandwidth}`, '-e', over.join(' ')];
        return start(rsync, [...options, `--rsync-path=${signed}`, `${drop}/`, '127.0.0.1:.']);
      },
    };
  };
  const dispose = async (): Promise<void> => {
    await own[Symbol.asyncDispose]();
    active[Symbol.dispose]();
  };
  return { own, login, drop, [Symbol.asyncDispose]: dispose };
}

const gateText = (own: OwnSystem): string => {
  const path = own.path('/var/lib/pe_failover/state/gate.json');
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
};

const alone = [
  ...['-F', '/dev/null', '-o', 'BatchMode=yes', '-o', 'IdentitiesOnly=yes', '-o', 'LogLevel=ERROR'],
  ...['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null'],
];

function startSshd(own: OwnSystem, port: number, { name, usePam }: Sshd): void {
  const settings = [`Port ${port}`, 'ListenAddress 127.0.0.1', `UsePAM ${usePam}`, 'PermitRootLogin yes'];
  own.write('/run/test-sshd/config', [...settings, 'PasswordAuthentication no', ''].join('\n'));
  own.sh(`cp "$(command -v sshd)" /run/test-sshd/${name} && /run/test-sshd/${name} -f /run/test-sshd/config`);
}

function addKey(own: OwnSystem, user: string, at: string): string {
  const key = join(at, `key-of-${user}`);
  own.sh(`[ -e /tmp/key ] || ssh-keygen -q -t ed25519 -N '' -f /tmp/key`);
  own.sh(`home=$(getent passwd ${user} | cut -d: -f6); install -d -o ${user} -m 700 "$home/.ssh"
    install -o ${user} -m 600 /tmp/key.pub "$home/.ssh/authorized_keys"`);
  writeFileSync(key, own.read('/tmp/key'), { mode: 0o600 });
  return key;
}

function start(file: string, args: readonly string[]): Going {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  const ended = new Promise<{ code: number | null; output: string }>((resolve) =>
    child.once('close', (code) => resolve({ code, output })),
  );
  return { child, ended };
}

async function failed({ ended }: Going): Promise<never> {
  throw new Error(`no login: ${(await ended).output}`);
}
