import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabasePair } from './database-pair.ts';
import { isAlive, isStopped, toolsOn, type Process } from './hunted.ts';
import { pathsBelow } from './pair.ts';
import { until } from './trees.ts';

type Tool = 'pg_dump' | 'pg_restore';

/**
 * Changes a row, and holds the tool that carries it in the middle of its work by SIGSTOP, so that what comes then comes in
 * the middle. A tool that was quicker is awaited again, with another change. Leaders first.
 */
export async function held(pair: DatabasePair, tool: Tool): Promise<Process[]> {
  for (;;) {
    const log = tool === 'pg_dump' ? pair.a.log : pair.b.log;
    const mark = log.length;
    await pair.change();
    let found: Process[] = [];
    await until(`${tool} at work`, () => {
      found = tool === 'pg_dump' ? dumping(pair) : toolsOn(pair.passive.socket, tool);
      return found.length >= (tool === 'pg_dump' ? 1 : 3) || log.slice(mark).some((line) => ended[tool].test(line));
    });
    if (found.length > 0 && (await stop(found))) return found;
    goOn(found);
  }
}

const ended: Readonly<Record<Tool, RegExp>> = {
  pg_dump: /\[SUCCESS\] Completed sync of database/,
  pg_restore: /\[SUCCESS\] Completed restore of database/,
};

/** While it writes the rows of a table. */
function dumping({ a, active }: DatabasePair): Process[] {
  const work = join(pathsBelow(a.root).work, 'db-dump/pe-rbac');
  const written = existsSync(work) ? readdirSync(work).filter((name) => name.endsWith('.dat')) : [];
  return written.length > 0 ? toolsOn(active.socket, 'pg_dump') : [];
}

/** Whether all of them stand now: one that has ended meanwhile does not. */
async function stop(tools: readonly Process[]): Promise<boolean> {
  signal(tools, 'SIGSTOP');
  await until('the tools stand', () => tools.every(({ pid }) => isStopped(pid) || !isAlive(pid)));
  return tools.every(({ pid }) => isStopped(pid));
}

export function goOn(processes: readonly Process[]): void {
  signal(processes, 'SIGCONT');
}

function signal(processes: readonly Process[], name: NodeJS.Signals): void {
  for (const { pid } of processes) if (isAlive(pid)) process.kill(pid, name);
}
