import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Readable, Writable } from 'node:stream';
import { Failure, isErrno } from '../errors.ts';

/** One process to run: an argument array, never a shell string. Nothing secret belongs into `args` (ps shows them). */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  /** What messages call it, where the file only starts it. */
  readonly name?: string;
  /** Added to the small fixed environment (PATH, LC_ALL=C, HOME). */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string | Uint8Array;
  /** What the child gets as 3, 4, ...; the pass's lock comes behind them. */
  readonly descriptors?: readonly number[];
  /** True for a helper that serves more than one pass (ssh master, logger): it does not hold the pass's lock. */
  readonly outlivesPass?: boolean;
  /** True: what it leaves running in its process group ends with it. */
  readonly endsGroup?: boolean;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Exit codes that are an answer, not an error. */
  readonly accept?: readonly number[];
  /** Of standard output, in MB; a child that says more is ended. */
  readonly outputLimitMb?: number;
  /** What of standard error may be said, where some of it may be secret: `stderr` has that alone. */
  readonly sayable?: (stderr: string) => string;
  /** Each whole line of standard error, as it comes. */
  readonly onErrorLine?: (line: string) => void;
  readonly onStart?: (pid: number) => void;
}

export interface Result {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command ended badly. Doors turn it into a Failure by a table of their own tool's exit codes. */
export class CommandError extends Error {
  readonly file: string;
  readonly exitCode: number | undefined;
  readonly killedBy: NodeJS.Signals | undefined;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;

  constructor(
    file: string,
    how: string,
    end: Partial<Pick<CommandError, 'exitCode' | 'killedBy' | 'timedOut' | 'stdout' | 'stderr' | 'cause'>>,
  ) {
    const said = (end.stderr ?? '').trim().split('\n').slice(-3).join(' | ');
    super(`${file} ${how}${said === '' ? '' : `: ${said}`}`, end.cause === undefined ? {} : { cause: end.cause });
    this.name = 'CommandError';
    this.file = file;
    this.exitCode = end.exitCode;
    this.killedBy = end.killedBy;
    this.timedOut = end.timedOut ?? false;
    this.stdout = end.stdout ?? '';
    this.stderr = end.stderr ?? '';
  }

  /** The usual classification: a missing program is the admin's to mend, everything else is tried again. */
  toFailure(what: string, hint?: string): Failure {
    const missing = isErrno(this.cause, 'ENOENT');
    const help = missing ? `Type: apt-get install ${this.file} (or your distribution's word for it)` : hint;
    return new Failure(missing ? 'config' : 'dependency', what, {
      why: this.message,
      cause: this,
      ...(help === undefined ? {} : { hint: help }),
    });
  }
}

export type Exec = (command: Command) => Promise<Result>;

/** Descriptors (locks) that every child started inside gets as 3, 4, ...: what outlives us still holds the lock. */
export const passDescriptors = new AsyncLocalStorage<readonly number[]>();

const outputLimitMb = 64;
const errorTail = 16 * 1024;
const graceMs = 5_000;
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Runs a command to its end. Throws CommandError when it fails, is killed, or runs out of time; AbortError on abort. */
export const exec: Exec = async (command) => {
  command.signal?.throwIfAborted();
  const child = start(command, ['pipe', 'pipe', 'pipe']);
  if (child.pid !== undefined) command.onStart?.(child.pid);
  const name = command.name ?? command.file;
  const limitMb = command.outputLimitMb ?? outputLimitMb;
  const stdout = collect(child.stdout as Readable, limitMb * 1024 * 1024, child);
  const stderr = tail(child.stderr as Readable, command.onErrorLine);
  feed(child.stdin as Writable, command.input);
  const end = await untilEnd(child, command);
  const result = { stdout: stdout.text(), stderr: (command.sayable ?? String)(stderr()) };
  if (end.failed !== undefined)
    throw new CommandError(command.file, 'could not be started', { ...result, cause: end.failed });
  command.signal?.throwIfAborted();
  if (stdout.overflowed()) {
    const how = `said more than ${limitMb} MB and was ended`;
    throw new CommandError(name, how, { stderr: result.stderr });
  }
  if (end.timedOut) {
    const how = `did not end within ${(command.timeoutMs ?? 0) / 1000} s and was ended`;
    throw new CommandError(name, how, { ...result, timedOut: true });
  }
  if (end.killedBy !== null)
    throw new CommandError(name, `was ended by ${end.killedBy}`, { ...result, killedBy: end.killedBy });
  const exitCode = end.exitCode ?? 0;
  if (exitCode !== 0 && !(command.accept ?? []).includes(exitCode)) {
    throw new CommandError(name, `failed with exit code ${exitCode}`, { ...result, exitCode });
  }
  return { exitCode, ...result };
};

/** A child that goes on beside us (ssh master, relay, logger). `ended` resolves with how; `stop` asks, then insists. */
export interface LongChild {
  readonly pid: number | undefined;
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

export function startChild(
  command: Command,
  stdio: readonly ('pipe' | 'inherit' | 'ignore')[] = ['pipe', 'pipe', 'pipe'],
): LongChild {
  const child = start(command, stdio);
  const ended = untilEnd(child, command).then((end) => {
    if (end.failed !== undefined) return `could not be started: ${end.failed.message}`;
    return end.killedBy === null ? `ended with exit code ${end.exitCode ?? 0}` : `was ended by ${end.killedBy}`;
  });
  child.stdin?.on('error', () => undefined); // the end of the child is told by `ended`
  const stop = async (): Promise<void> => {
    terminate(child);
    await ended;
  };
  return { pid: child.pid, stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, ended, stop };
}

interface End {
  readonly exitCode: number | null;
  readonly killedBy: NodeJS.Signals | null;
  readonly timedOut: boolean;
  readonly failed?: Error;
}

function start(command: Command, stdio: readonly string[]): ChildProcess {
  const home = process.env['HOME'] ?? '/';
  const held = command.outlivesPass === true ? [] : (passDescriptors.getStore() ?? []);
  // A group of its own: ending it ends what it started, and a Ctrl-C at our terminal is ours to pass on.
  return spawn(command.file, [...command.args], {
    cwd: command.cwd ?? '/',
    env: { PATH: path, LC_ALL: 'C', HOME: home, ...command.env },
    stdio: [...stdio, ...(command.descriptors ?? []), ...held] as StdioOptions,
    detached: true,
  });
}

function untilEnd(child: ChildProcess, command: Command): Promise<End> {
  return new Promise((resolve) => {
    let timedOut = false;
    const abort = (): void => terminate(child);
    const timer =
      command.timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true;
            terminate(child);
          }, command.timeoutMs);
    const finish = (end: End): void => {
      ending.add(child);
      clearTimeout(timer);
      command.signal?.removeEventListener('abort', abort);
      resolve(end);
    };
    command.signal?.addEventListener('abort', abort, { once: true });
    if (command.endsGroup === true)
      child.once('exit', () => {
        if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
      });
    child.once('error', (failed) => finish({ exitCode: null, killedBy: null, timedOut, failed }));
    child.once('close', (exitCode, killedBy) => finish({ exitCode, killedBy, timedOut }));
  });
}

// Asked to end, or ended: a child is asked once.
const ending = new WeakSet<ChildProcess>();

/** Ends the whole group, also when its leader is gone already: what that left may keep our pipes open. */
function terminate(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined || ending.has(child)) return;
  ending.add(child);
  signalGroup(pid, 'SIGTERM');
  signalGroup(pid, 'SIGCONT'); // a stopped one takes the other signal when it goes on
  const insist = setTimeout(() => {
    signalGroup(pid, 'SIGKILL');
    // What left the group (a session of its own) is not waited for: only its end of our pipes is let go.
    for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe?.destroy();
  }, graceMs);
  child.once('close', () => clearTimeout(insist));
}

export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return isErrno(error, 'EPERM');
  }
}

/** Sends a signal to a whole process group; a group that is gone already is fine. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!isErrno(error, 'ESRCH', 'EPERM')) throw error;
  }
}

function feed(stdin: Writable, input: string | Uint8Array | undefined): void {
  stdin.on('error', () => undefined); // EPIPE: the exit code tells more
  stdin.end(input);
}

function collect(
  stream: Readable,
  limit: number,
  child: ChildProcess,
): { text: () => string; overflowed: () => boolean } {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= limit) chunks.push(chunk);
    else terminate(child);
  });
  return { text: () => Buffer.concat(chunks).toString('utf8'), overflowed: () => size > limit };
}

function tail(stream: Readable, onLine: ((line: string) => void) | undefined): () => string {
  let kept = '';
  let partial = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    kept = (kept + chunk).slice(-errorTail);
    if (onLine === undefined) return;
    const lines = (partial + chunk).split('\n');
    partial = (lines.pop() ?? '').slice(-errorTail);
    for (const line of lines) onLine(line);
  });
  return () => kept;
}
