import { lstat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Failure } from '../errors.ts';
import { CommandError, isRunning, startChild, type Exec, type LongChild, type Result } from './exec.ts';
import { listDirectory, removeIfThere } from './files.ts';
import { killByArguments } from './processes.ts';

export interface SshTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Path of the private key. */
  readonly identity: string;
  /** Holds the pinned key of the host, under its alias. */
  readonly knownHosts: string;
  readonly hostKeyAlias: string;
  readonly connectTimeoutSeconds: number;
}

/** One multiplexed connection: opened at the first use, again after it broke, closed with the role session. */
export interface SshSession {
  /** What rsync takes for `-e`; valid after `open`. */
  readonly remoteShell: string;
  open(signal: AbortSignal): Promise<void>;
  /** Runs the peer's forced command with these words; any exit code is given back. */
  run(words: string, options: { input?: string; timeoutMs: number; signal: AbortSignal }): Promise<Result>;
  /** After a use that ended badly: before the next one the connection is asked whether it still answers. */
  doubt(): void;
  /** The connection that is open or being opened. */
  connection(): Connection | undefined;
  /** Closes the open one, or this one if it still is: another user may have closed it and opened the next. */
  close(which?: Connection): Promise<void>;
}

export type Connection = Promise<LongChild>;

/** The longest honest answer is some hundred receipts, each with a list of files. */
const answerLimitMb = 4;
const ready = 'pe-failover-ssh-is-open';
/** How long a connection may take to say that it is there. */
const muteMs = 3_000;
/** Behind the connect timeout: longer than what ssh allows itself for a login. */
const loginMs = 20_000;

export function createSshSession(exec: Exec, target: SshTarget, socket: string): SshSession {
  let master: Connection | undefined;
  let current: LongChild | undefined;
  let settled: Promise<void> = Promise.resolve();
  const doubt = (): void => {
    const doubted = current;
    settled = settled.then(() => endIfMute(exec, target, socket, doubted));
  };
  const muxed = muxedOver(socket);
  const open = async (signal: AbortSignal): Promise<void> => {
    await settled;
    const opening = (master ??= openMaster(exec, target, socket, signal));
    const forget = (): void => {
      if (master === opening) master = undefined;
    };
    current = await opening.catch((error: unknown) => {
      forget();
      throw error;
    });
    void current.ended.then(forget);
  };
  return {
    remoteShell: ['ssh', ...muxed].join(' '),
    open,
    doubt,
    run: async (words, options) => {
      await open(options.signal);
      return await runOver(exec, target, [...muxed, target.host, '--', words], options).catch((error: unknown) => {
        doubt();
        throw error;
      });
    },
    connection: () => master,
    close: async (which = master) => {
      if (which !== master) return;
      await (await which?.catch(() => undefined))?.stop();
      if (which === master) master = undefined;
    },
  };
}

// Without the socket a mux client would log in by itself: ProxyCommand=false ends it at once.
const muxedOver = (socket: string): string[] => [
  ...['-F', '/dev/null', '-o', 'BatchMode=yes', '-o', 'ProxyCommand=false'],
  ...['-S', socket],
];

async function runOver(
  exec: Exec,
  target: SshTarget,
  args: readonly string[],
  options: Parameters<SshSession['run']>[1],
): Promise<Result> {
  const accept = Array.from({ length: 254 }, (_, n) => n + 1);
  return await exec({ file: 'ssh', args, accept, outputLimitMb: answerLimitMb, ...options }).catch((error: unknown) => {
    throw error instanceof CommandError ? unreachable(target, error.message) : error;
  });
}

/** One that was stopped neither answers nor ends, and its own watch over the other side stands still with it. */
async function endIfMute(exec: Exec, { host }: SshTarget, socket: string, child: LongChild | undefined): Promise<void> {
  const args = ['-F', '/dev/null', '-S', socket, '-O', 'check', host];
  await exec({ file: 'ssh', args, timeoutMs: muteMs, outlivesPass: true }).catch(() => child?.stop());
}

async function openMaster(exec: Exec, target: SshTarget, socket: string, signal: AbortSignal): Promise<LongChild> {
  await endOrphan(exec, target, socket);
  await endStrays(exec, target, dirname(socket));
  signal.throwIfAborted();
  const child = startChild({ file: 'ssh', args: masterArguments(target, socket), outlivesPass: true });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (said = (said + chunk).slice(-4096)));
  const abort = (): void => void child.stop();
  // One that was stopped keeps none of its own limits.
  const late = setTimeout(abort, target.connectTimeoutSeconds * 1000 + loginMs);
  signal.addEventListener('abort', abort, { once: true });
  try {
    const opened = new Promise<'open'>((resolve) => {
      if (child.stdout !== null)
        createInterface({ input: child.stdout }).on('line', (line) => line === ready && resolve('open'));
    });
    const outcome = await Promise.race([opened, child.ended]);
    signal.throwIfAborted();
    if (outcome !== 'open') throw whyNot(target, said.trim() === '' ? `ssh ${outcome}` : said);
    return child;
  } finally {
    clearTimeout(late);
    signal.removeEventListener('abort', abort);
  }
}

/**
 * Ends the connections of processes that were killed. A command beside the agent has sockets of its own, by its pid
 * (`ssh-PID-hot`): a connection of the agent must not end with it.
 */
async function endStrays(exec: Exec, target: SshTarget, directory: string): Promise<void> {
  for (const name of await listDirectory(directory)) {
    const pid = /^ssh-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !isRunning(Number(pid))) await endOrphan(exec, target, join(directory, name));
  }
}

/** A killed agent leaves its connection behind, still logged in under the rules of that time. */
async function endOrphan(exec: Exec, { host }: SshTarget, socket: string): Promise<void> {
  if ((await lstat(socket).catch(() => undefined)) === undefined) return;
  const args = ['-F', '/dev/null', '-S', socket, '-O', 'exit', host];
  await exec({ file: 'ssh', args, timeoutMs: muteMs, accept: [255] }).catch(async (error: unknown) => {
    if (error instanceof CommandError && error.timedOut) await killByArguments(...masterWords, socket); // it was stopped
  });
  await removeIfThere(socket);
}

/** The socket comes behind them. */
const masterWords = ['-M', '-N', '-T', '-S'];

function masterArguments(target: SshTarget, socket: string): string[] {
  const options = [
    'BatchMode=yes',
    `ConnectTimeout=${target.connectTimeoutSeconds}`,
    'ConnectionAttempts=1',
    'ServerAliveInterval=2',
    'ServerAliveCountMax=3',
    'StrictHostKeyChecking=yes',
    `UserKnownHostsFile=${target.knownHosts}`,
    'GlobalKnownHostsFile=/dev/null',
    'UpdateHostKeys=no',
    `HostKeyAlias=${target.hostKeyAlias}`,
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    'PreferredAuthentications=publickey',
    'ControlPersist=no',
    'PermitLocalCommand=yes',
    `LocalCommand=echo ${ready}`, // runs when the socket is there to be used
  ];
  return [
    ...['-F', '/dev/null', ...masterWords, socket],
    ...['-p', String(target.port), '-l', target.user, '-i', target.identity],
    ...options.flatMap((option) => ['-o', option]),
    target.host,
  ];
}

/** What ssh said, as what to do about it. */
function whyNot(target: SshTarget, said: string): Failure {
  const where = `${target.user}@${target.host}:${target.port}`;
  const why = said
    .trim()
    .split(/[\r\n]+/)
    .filter((line) => !line.startsWith('@'))
    .slice(-3)
    .join(' | ');
  if (/Host key verification failed|HOST IDENTIFICATION HAS CHANGED/i.test(said)) {
    const hint = `If the host was reinstalled, pin its new key: pe-failover install --active --passive-master ${target.host} --renew-host-key`;
    return new Failure('config', "the spare's host key is not the pinned one", { where, why, hint });
  }
  if (/Permission denied|Too many authentication failures/i.test(said)) {
    const hint =
      'On the spare, type: pe-failover install --passive --auth-key "LINE", with the line that pe-failover install --active prints here';
    return new Failure('config', 'the spare does not accept our key', { where, why, hint });
  }
  return unreachable(target, why);
}

const unreachable = (target: SshTarget, why: string): Failure =>
  new Failure('unreachable', 'the spare cannot be reached', {
    where: `${target.host}:${target.port}`,
    why,
    hint: `It is tried again by itself. Does sshd run there, and is the port open? Try: ssh-keyscan -p ${target.port} ${target.host}`,
  });
