import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { Listr } from 'listr2';

/** Where a person reads and answers; without one, plain lines. */
export interface Terminal {
  readonly isInteractive: boolean;
  say(line: string): void;
  /** False for anything but a yes. Throws `AbortError` when the signal fires. */
  confirm(question: string, signal: AbortSignal): Promise<boolean>;
  /** Does the work in order, each under its title. The first that throws ends it. */
  follow(tasks: readonly Task[]): Promise<void>;
}

export interface Task {
  readonly title: string;
  /** What it tells replaces what it told before, where somebody looks. */
  run(tell: (line: string) => void): Promise<void>;
}

export function openTerminal(): Terminal {
  const isInteractive = process.stdin.isTTY && process.stdout.isTTY && process.env['TERM'] !== 'dumb';
  const say = (line: string): void => console.log(line);
  return {
    isInteractive,
    say,
    confirm: async (question, signal) => {
      const asking = createInterface({ input: process.stdin, output: process.stdout });
      try {
        return /^y(es)?$/i.test((await asking.question(`${question} [y/N] `, { signal })).trim());
      } finally {
        asking.close();
      }
    },
    follow: isInteractive ? animated : (tasks) => plain(tasks, say),
  };
}

/** What is typed is not shown. Only where somebody is there. */
export async function askSecret(question: string, signal: AbortSignal): Promise<string> {
  process.stdout.write(question);
  const asking = createInterface({ input: process.stdin, output: new Writable({ write: nowhere }), terminal: true });
  try {
    return await asking.question('', { signal });
  } finally {
    asking.close();
    process.stdout.write('\n');
  }
}

const nowhere = (_chunk: unknown, _encoding: unknown, done: () => void): void => done();

async function plain(tasks: readonly Task[], say: (line: string) => void): Promise<void> {
  for (const [n, { title, run }] of tasks.entries()) {
    say(`[${n + 1}/${tasks.length}] ${title}`);
    let last = '';
    await run((line) => {
      if (line !== last) say(`      ${line}`);
      last = line;
    });
  }
}

async function animated(tasks: readonly Task[]): Promise<void> {
  const list = new Listr(
    tasks.map(({ title, run }) => ({
      title,
      task: (_context, task): Promise<void> => run((line) => (task.output = line)),
    })),
    // The error is told once, by whoever called. Signals are ours: a step ends at its next safe point.
    { registerSignalListeners: false, rendererOptions: { showErrorMessage: false, collapseErrors: false } },
  );
  await list.run();
}
