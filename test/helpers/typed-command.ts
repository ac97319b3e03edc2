import { spawn } from 'node:child_process';
import type { AgentMaster } from './agents.ts';
import { program } from './pair.ts';
import { until } from './trees.ts';

export interface TypedCommand {
  /** Waits for words in its output. */
  says(words: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<{ readonly code: number | null; readonly output: string }>;
}

/** A command of the program that runs while this process goes on. */
export function typedCommand({ root }: AgentMaster, ...args: readonly string[]): TypedCommand {
  const child = spawn(program, [...args, '--root', root], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  const ended = new Promise<{ code: number | null; output: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, output }));
  });
  return {
    // The plan names each step, too: a step that begins stands behind its number.
    says: (words) => until(`"${words}"`, () => new RegExp(`\\[\\d+/\\d+\\] [^\\n]*${words}`).test(output)),
    kill: (signal) => void child.kill(signal),
    ended,
  };
}
