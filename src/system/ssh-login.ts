import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import ssh2, { Client, type AnyAuthMethod, type ConnectConfig } from 'ssh2';
import { Failure, toFailure } from '../errors.ts';
import type { Exec } from './exec.ts';

/** A host as `~/.ssh/config` has it. */
export interface LoginTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Paths of private keys, in their order. */
  readonly identities: readonly string[];
  readonly knownHosts: readonly string[];
  /** Under which its key is known. */
  readonly alias: string;
}

export interface LoginAsked {
  readonly host: string;
  /** In place of `~/.ssh/config`. */
  readonly config?: string;
}

/** As OpenSSH itself reads its configuration. Throws `config` for a host behind a bastion. */
export async function resolveTarget(exec: Exec, { host, config }: LoginAsked): Promise<LoginTarget> {
  const args = ['-G', ...(config === undefined ? [] : ['-F', config]), '--', host];
  const { stdout } = await exec({ file: 'ssh', args, timeoutMs: 15_000 });
  const lines = stdout
    .split('\n')
    .map((line) => [line.split(' ')[0] ?? '', line.slice(line.indexOf(' ') + 1)] as const);
  const all = (name: string): string[] => lines.flatMap(([key, value]) => (key === name ? [value] : []));
  const [name = host] = all('hostname');
  const way = [...all('proxyjump'), ...all('proxycommand')].find((one) => one !== 'none');
  if (way !== undefined)
    throw new Failure('config', 'a host behind a bastion is not reached from here', {
      where: `${host} by ${way}`,
      hint: 'Add --print: it prints what to type on both hosts',
    });
  const inHome = (path: string): string => path.replace(/^~(?=\/)/, process.env['HOME'] ?? '');
  const files = [...all('userknownhostsfile'), ...all('globalknownhostsfile')].flatMap((value) => value.split(' '));
  return {
    ...{ host: name, port: Number(all('port')[0] ?? 22), user: all('user')[0] ?? 'root' },
    ...{ identities: all('identityfile').map(inHome), knownHosts: files.map(inHome) },
    alias: all('hostkeyalias')[0] ?? name,
  };
}

/** How a person, or the agent of ssh, shows who he is. */
export interface LoginWays {
  /** Socket of an ssh agent. */
  readonly agent: string | undefined;
  /** Undefined: nobody is there to be asked. */
  readonly password?: (prompt: string) => Promise<string>;
  /** Whether a host key that is not known is trusted; `TYPE BASE64`. */
  readonly trusts: (key: string) => Promise<boolean>;
}

export interface RemoteResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string | Readable;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** A login on another host: one connection, commands of a shell one after the other. */
export interface SshLogin extends AsyncDisposable {
  readonly target: LoginTarget;
  run(command: string, options: RunOptions): Promise<RemoteResult>;
}

const loginMs = 120_000;
const outputLimit = 4 * 1024 * 1024;

/** Throws `unreachable`, or `config` where the host key is another one than the known one or nobody is let in. */
export async function logIn(exec: Exec, target: LoginTarget, ways: LoginWays): Promise<SshLogin> {
  const known = await knownKeys(exec, target);
  const client = new Client();
  const where = `${target.user}@${target.host}:${target.port}`;
  let refused: Failure | undefined;
  const verifier = (key: Buffer, verify: (isRight: boolean) => void): void => {
    const shown = `${typeOf(key)} ${key.toString('base64')}`;
    void judge(known, shown, ways).then((why) => {
      refused = why;
      verify(why === undefined);
    });
  };
  const methods = authMethods(target, ways);
  const settings: ConnectConfig = {
    ...{ host: target.host, port: target.port, username: target.user, readyTimeout: loginMs, keepaliveInterval: 5_000 },
    ...{ keepaliveCountMax: 3, hostVerifier: verifier },
    algorithms: { serverHostKey: { append: [], prepend: known.types as never[], remove: [] } },
    authHandler: (_left, _partial, next) => void methods().then((one) => next(one as AnyAuthMethod)),
  };
  await new Promise<void>((resolve, reject) => {
    client.once('ready', resolve);
    client.on('error', (error) => reject(refused ?? whyNot(error, where)));
    client.connect(settings);
  });
  return {
    target,
    run: (command, options) => run(client, where, command, options),
    [Symbol.asyncDispose]: () => {
      client.end();
      return Promise.resolve();
    },
  };
}

const typeOf = (blob: Buffer): string => blob.toString('latin1', 4, 4 + blob.readUInt32BE(0));

interface KnownKeys {
  readonly name: string;
  /** `TYPE BASE64`. */
  readonly keys: readonly string[];
  readonly types: readonly string[];
}

async function knownKeys(exec: Exec, { alias, port, knownHosts }: LoginTarget): Promise<KnownKeys> {
  const name = port === 22 ? alias : `[${alias}]:${port}`;
  const keys: string[] = [];
  for (const file of knownHosts) {
    const found = await exec({
      file: 'ssh-keygen',
      args: ['-F', name, '-f', file],
      accept: [1, 255],
      timeoutMs: 15_000,
    });
    for (const line of found.stdout.split('\n')) {
      const [, type, blob] = line.startsWith('#') || line.startsWith('@') ? [] : line.split(' ');
      if (type !== undefined && blob !== undefined) keys.push(`${type} ${blob}`);
    }
  }
  return { name, keys, types: [...new Set(keys.flatMap((key) => algorithms(key.split(' ')[0] ?? '')))] };
}

const algorithms = (type: string): string[] => (type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256'] : [type]);

async function judge({ name, keys }: KnownKeys, shown: string, { trusts }: LoginWays): Promise<Failure | undefined> {
  if (keys.includes(shown)) return undefined;
  if (keys.some((key) => key.split(' ')[0] === shown.split(' ')[0]))
    return new Failure('config', 'the host key is not the known one', {
      where: name,
      hint: `If the host was reinstalled, type: ssh-keygen -R '${name}'`,
    });
  if (await trusts(shown).catch(() => false)) return undefined;
  return new Failure('config', 'the host key is not known', {
    where: name,
    hint: `Log in once by hand and compare its fingerprint: ssh ${name.replace(/^\[(.*)\]:(\d+)$/, '-p $2 $1')}`,
  });
}

/** One after the other: the agent's keys, the files, then a person is asked. False: there is no other way. */
function authMethods(target: LoginTarget, { agent, password }: LoginWays): () => Promise<object | false> {
  const username = target.user;
  const files = target.identities.flatMap((path) => keyIn(path));
  const steps: (() => Promise<object>)[] = [
    ...(agent === undefined ? [] : [() => Promise.resolve({ type: 'agent', username, agent })]),
    ...files.map((key) => () => Promise.resolve({ type: 'publickey', username, key })),
    ...(password === undefined
      ? []
      : [1, 2, 3].map(() => async () => ({
          ...{ type: 'password', username, password: await password(`Password of ${username}@${target.host}: `) },
        }))),
  ];
  return async () =>
    (await steps
      .shift()?.()
      .catch(() => false)) ?? false;
}

/** A key that is locked by a passphrase is for an agent. */
function keyIn(path: string): Buffer[] {
  try {
    const text = readFileSync(path);
    return ssh2.utils.parseKey(text) instanceof Error ? [] : [text];
  } catch {
    return [];
  }
}

function whyNot(error: Error & { level?: string }, where: string): Failure {
  const why = error.message;
  if (error.level === 'client-authentication')
    return new Failure('config', 'the login is refused', {
      ...{ where, why },
      hint: 'Try: ssh with the same host. Keys with a passphrase are for an agent: ssh-add',
    });
  return new Failure('unreachable', 'the host cannot be reached', { where, why, hint: 'Does sshd run there?' });
}

function run(client: Client, where: string, command: string, options: RunOptions): Promise<RemoteResult> {
  const { input, timeoutMs, signal } = options;
  const { promise, resolve, reject } = Promise.withResolvers<RemoteResult>();
  const over = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const fail = (error: unknown): void => reject(toFailure(error));
  const gone = (): void => fail(new Failure('unreachable', 'the connection ended', { where }));
  client.once('close', gone);
  client.exec(command, (error, channel) => {
    if (error !== undefined) return fail(error);
    const abort = (): void => {
      channel.close();
      fail(over.reason);
    };
    over.addEventListener('abort', abort, { once: true });
    let [stdout, stderr] = ['', ''];
    channel.setEncoding('utf8').on('data', (text: string) => (stdout = (stdout + text).slice(-outputLimit)));
    channel.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-16_384)));
    channel.on('close', (code: number | null) => resolve({ exitCode: code ?? 255, stdout, stderr }));
    if (typeof input === 'object') input.pipe(channel);
    else channel.end(input ?? '');
  });
  return promise.finally(() => client.removeListener('close', gone));
}
