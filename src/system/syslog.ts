import { setTimeout as sleep } from 'node:timers/promises';
import { startChild, type LongChild } from './exec.ts';

/** Survives loss and return of the socket; --size is what `logLine` cuts at. */
export const loggerCommand: readonly string[] = [
  'logger',
  '--prio-prefix',
  '--socket-errors=off',
  '--size',
  '8192',
  '-t',
  'pe-failover',
];

/** Below a root of its own the lines still go to syslog's program, but a test or demo may have no syslog. */
export const loggerOf = (root: string): readonly string[] =>
  root === '/' ? loggerCommand : ['logger', '--no-act', '--prio-prefix', '-t', 'pe-failover'];

export interface SyslogOptions {
  readonly command: readonly string[];
  /** Lines kept while no child takes them; the oldest go first. */
  readonly maxQueue: number;
  /** The line that tells how many were dropped. */
  readonly lostLine: (count: number) => string;
}

const firstPauseMs = 100;
const longestPauseMs = 30_000;
const healthyMs = 10_000;

/** ONE logger(1) child for all lines, as Node.js has no unix datagram sockets. Starts with the first line, and again when it ends. */
export class Syslog {
  readonly #options: SyslogOptions;
  readonly #queue: string[] = [];
  readonly #closing = new AbortController();
  #dropped = 0;
  #child: LongChild | undefined;
  #running: Promise<void> | undefined;
  #wake: () => void = () => undefined;

  constructor(options: SyslogOptions) {
    this.#options = options;
  }

  /** One line, priority in front, without newline. Never throws and never waits. */
  write(line: string): void {
    this.#queue.push(line);
    if (this.#queue.length > this.#options.maxQueue) {
      this.#queue.shift();
      this.#dropped += 1;
    }
    this.#running ??= this.#keep();
    this.#wake();
  }

  /** Hands on what is queued, for at most `limitMs`, and ends the child. */
  async close(limitMs = 2000): Promise<void> {
    this.#closing.abort();
    this.#wake();
    const inTime = new AbortController();
    const late = sleep(limitMs, 'late', { signal: inTime.signal }).catch(() => undefined);
    if ((await Promise.race([this.#running, late])) === 'late') await this.#child?.stop();
    inTime.abort();
  }

  async #keep(): Promise<void> {
    const [file = 'logger', ...args] = this.#options.command;
    for (let pause = firstPauseMs; ; pause = Math.min(pause * 2, longestPauseMs)) {
      const startedAt = performance.now();
      this.#child = startChild({ file, args }, ['pipe', 'ignore', 'ignore']);
      await this.#feed(this.#child);
      this.#child.stdin?.end();
      await this.#child.ended;
      if (this.#closing.signal.aborted) return;
      if (performance.now() - startedAt > healthyMs) pause = firstPauseMs;
      await sleep(pause, undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
  }

  // Ends when the child has ended, or when all is said and we are closing.
  async #feed(child: LongChild): Promise<void> {
    let over = false;
    void child.ended.then(() => {
      over = true;
      this.#wake();
    });
    while (!over) {
      const line = this.#next();
      if (line === undefined && this.#closing.signal.aborted) return;
      if (line !== undefined && (await handOver(child, line))) continue;
      if (line !== undefined) this.#queue.unshift(line); // first of all for the next child
      if (!over) await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #next(): string | undefined {
    if (this.#dropped === 0) return this.#queue.shift();
    const line = this.#options.lostLine(this.#dropped);
    this.#dropped = 0;
    return line;
  }
}

// False: the child is gone.
function handOver(child: LongChild, line: string): Promise<boolean> {
  const { stdin } = child;
  if (stdin === null || !stdin.writable) return Promise.resolve(false);
  return new Promise((resolve) => {
    stdin.write(`${line}\n`, (error) => resolve(error === null || error === undefined));
  });
}
