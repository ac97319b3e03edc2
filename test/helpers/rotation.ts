import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { isGate, type Gate } from '../../src/rules/gate.ts';
import { requestText, withSignature } from '../../src/rules/signed-request.ts';
import { askControl } from '../../src/system/control.ts';
import { loadSigner, readSealed, type Signer } from '../../src/system/sign.ts';
import type { AgentMaster } from './agents.ts';
import { pathsBelow, program } from './pair.ts';
import { until } from './trees.ts';

export interface Said {
  readonly code: number;
  readonly output: string;
}

/** `rotate-keys` to its end, while this process goes on. */
export function rotateKeys({ root }: AgentMaster, wait = '2m'): Promise<Said> {
  return new Promise((resolve) => {
    execFile(program, ['rotate-keys', '--root', root, '--wait', wait], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr });
    });
  });
}

const nonce = '0123456789abcdef';

/** Whoever copied the keys of a master before it changed them. */
export interface OldKeys extends AsyncDisposable {
  readonly signer: Signer;
  /** A connection that logged in with the old key and has not asked anything yet. */
  connect(): Promise<void>;
  /** Asks over that connection. */
  ask(words: string): Said;
  /** Logs in anew with the old key. */
  login(words?: string): Said;
  /** Asks over a login with the keys in use, with words that the old key signed. */
  askSigned(words: string, target: AgentMaster): Said;
}

export async function copyKeys(master: AgentMaster): Promise<OldKeys> {
  const { keys, run } = pathsBelow(master.root);
  const copy = join(master.root, 'copied-keys');
  cpSync(keys.directory, copy, { recursive: true });
  const port = /port: (\d+)/.exec(readFileSync(pathsBelow(master.root).config, 'utf8'))?.[1] ?? '';
  const socket = join(run, 'thief');
  const options = (identity: string): string[] => [
    ...[
      '-F',
      '/dev/null',
      '-o',
      'BatchMode=yes',
      '-o',
      'StrictHostKeyChecking=no',
      '-o',
      'UserKnownHostsFile=/dev/null',
    ],
    ...['-o', 'IdentitiesOnly=yes', '-o', 'LogLevel=ERROR', '-i', identity, '-p', port],
    `${userInfo().username}@127.0.0.1`,
  ];
  const ssh = (...args: string[]): Said => {
    const { status, stdout, stderr } = spawnSync('ssh', args, { encoding: 'utf8', timeout: 30_000 });
    return { code: status ?? -1, output: stdout + stderr };
  };
  const signer = await loadSigner(join(copy, 'signing.pem'));
  let connection: ChildProcess | undefined;
  return {
    signer,
    connect: async () => {
      connection = spawn('ssh', ['-M', '-N', '-S', socket, ...options(join(copy, 'transfer'))], { stdio: 'ignore' });
      await until('the connection stands', () => existsSync(socket));
    },
    ask: (words) => ssh('-F', '/dev/null', '-o', 'ProxyCommand=false', '-S', socket, 'x', words),
    login: (words = `hello ${nonce}`) => ssh(...options(join(copy, 'transfer')), words),
    askSigned: (words, target) =>
      ssh(...options(keys.transfer), withSignature(words, signer.sign('request', requestText(words, target.certname)))),
    [Symbol.asyncDispose]: () => {
      connection?.kill('SIGKILL');
      return Promise.resolve();
    },
  };
}

export const gateOf = ({ root }: AgentMaster): Gate => {
  const gate = readSealed(readFileSync(pathsBelow(root).gate, 'utf8'), 'gate');
  if (!isGate(gate)) throw new Error('no gate');
  return gate;
};

export const logins = ({ root }: AgentMaster): string[] =>
  readFileSync(pathsBelow(root).authorizedKeys, 'utf8').trim().split('\n');

/** An active asks its spare twice a minute: here every second. */
export function askSpareOften({ root }: AgentMaster): Disposable {
  const { control } = pathsBelow(root);
  const ask = (): void =>
    void askControl(control, 'run', { job: 'greet-spare' }, { signal: AbortSignal.timeout(5_000) }).catch(
      () => undefined,
    );
  const timer = setInterval(ask, 1_000);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
