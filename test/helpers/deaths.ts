import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Journal } from '../../src/system/journal.ts';

/** A place where a process is killed: in the journal before or after a step, or at a named point. */
export type DeathPoint =
  | { readonly kind: 'step'; readonly step: string; readonly when: 'before' | 'during' | 'after' }
  | { readonly kind: 'point'; readonly point: string };

export const describeDeath = (death: DeathPoint): string =>
  death.kind === 'point' ? `at "${death.point}"` : `${death.when} step "${death.step}"`;

/** The end that nobody can catch. Nothing behind it runs. */
export function die(): never {
  process.kill(process.pid, 'SIGKILL');
  for (;;);
}

/** Deaths of each step: recorded but not done, half done, done but not recorded. */
export const deathsAround = (
  steps: readonly string[],
  whens: readonly ('before' | 'during' | 'after')[] = ['before', 'after'],
): DeathPoint[] => steps.flatMap((step) => whens.map((when) => ({ kind: 'step' as const, step, when })));

export function dyingJournal(journal: Journal, death: DeathPoint | undefined): Journal {
  if (death?.kind !== 'step') return journal;
  let last: string | undefined;
  const dieAfterLast = (): void => {
    if (death.when === 'after' && last === death.step) die();
  };
  return {
    ...journal,
    record: async (line) => {
      dieAfterLast();
      await journal.record(line);
      last = line.step;
      if (death.when === 'before' && line.step === death.step) die();
      if (death.when === 'during' && line.step === death.step) setImmediate(() => setImmediate(die));
    },
    close: async () => {
      dieAfterLast();
      await journal.close();
    },
  };
}

export const dieAt =
  (death: DeathPoint | undefined) =>
  (point: string): void => {
    if (death?.kind === 'point' && death.point === point) die();
  };

export interface ProgramEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

const compileCache = join(import.meta.dirname, '../../node_modules/.cache/pe-failover-test');

/** Runs one of the programs of test/fault/programs in a process of its own; `order` is its one JSON argument. */
export function runProgram(name: string, order: unknown, timeoutMs = 60_000): Promise<ProgramEnd> {
  const file = join(import.meta.dirname, '../fault/programs', name);
  const args = ['--disable-warning=ExperimentalWarning', file, JSON.stringify(order)];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGABRT',
    env: { ...process.env, NODE_COMPILE_CACHE: compileCache },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, signal) => resolve({ exitCode, signal, output }));
  });
}
