import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Failure } from '../errors.ts';
import { readJournalLine, type JournalLine } from '../rules/journal-line.ts';
import { appendLine, readIfThere, removeIfThere } from './files.ts';

/**
 * One journalled step. INVARIANTS: `do` may run twice; `isDone` looks at the world, never at the journal; `undo` may
 * run when `do` never ran or was killed half-way.
 */
export interface Step {
  readonly name: string;
  do(): Promise<void>;
  undo?(): Promise<void>;
  isDone(): Promise<boolean>;
}

/** An operation of several steps. `args` is JSON from which the steps can be made again after a crash. */
export interface Operation<Args> {
  readonly job: string;
  readonly run: string;
  readonly args: Args;
  readonly steps: readonly Step[];
  /** From this step on an interrupted operation is finished, before it undone. The first step's name: always finished. */
  readonly pointOfNoReturn: string;
}

/** The record of one job, on disk before each step begins. */
export interface Journal {
  /** The last line of an operation that did not end, or undefined. */
  open(): Promise<JournalLine | undefined>;
  record(line: JournalLine): Promise<void>;
  /** Ends the operation: everything of it is done, or undone. */
  close(): Promise<void>;
}

export function createJournal(path: string): Journal {
  return {
    open: async () => readJournalLine((await readIfThere(path)) ?? '', path),
    record: async (line) => {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await appendLine(path, JSON.stringify(line));
    },
    close: () => removeIfThere(path),
  };
}

/** Runs an operation from its first step. When a step throws, the operation is undone if it may be, else left open for `recover`. */
export async function runOperation<Args>(journal: Journal, operation: Operation<Args>): Promise<void> {
  try {
    await goForward(journal, operation, 0);
  } catch (error) {
    const open = await journal.open();
    if (open !== undefined && directionAfter(operation, open.n) === 'undo') await goBack(journal, operation, open.n);
    throw error;
  }
}

/** Ends an operation that a crash interrupted: finishes it from its point of no return on, undoes it before. */
export async function recover<Args>(
  journal: Journal,
  make: (args: Args) => Promise<Operation<Args>>,
): Promise<'nothing' | 'finished' | 'undone'> {
  const open = await journal.open();
  if (open === undefined) return 'nothing';
  const operation = await make(open.args as Args);
  if (directionAfter(operation, open.n) === 'undo') {
    await goBack(journal, operation, open.n);
    return 'undone';
  }
  await goForward(journal, operation, open.n);
  return 'finished';
}

export function directionAfter(
  operation: Pick<Operation<unknown>, 'steps' | 'pointOfNoReturn'>,
  n: number,
): 'finish' | 'undo' {
  const turn = operation.steps.findIndex((step) => step.name === operation.pointOfNoReturn);
  if (turn < 0) throw new Failure('bug', 'the point of no return is not a step', { where: operation.pointOfNoReturn });
  return n >= turn ? 'finish' : 'undo';
}

async function goForward<Args>(journal: Journal, operation: Operation<Args>, from: number): Promise<void> {
  const { run, job, args, steps } = operation;
  for (const [n, step] of steps.entries()) {
    if (n < from) continue;
    await journal.record({ run, job, step: step.name, n, of: steps.length, args, at: new Date().toISOString() });
    if (!(await step.isDone())) await step.do();
  }
  await journal.close();
}

async function goBack<Args>(journal: Journal, operation: Operation<Args>, from: number): Promise<void> {
  for (const step of operation.steps.slice(0, from + 1).reverse()) await step.undo?.();
  await journal.close();
}
