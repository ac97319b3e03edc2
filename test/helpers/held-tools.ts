import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabasePair } from './database-pair.ts';
import { toolsOn, type Process } from './hunted.ts';
import { pathsBelow } from './pair.ts';
import { until } from './trees.ts';

/** Held in the middle of its work by SIGSTOP, so that what comes then comes in the middle. Leaders first. */
export async function held(pair: DatabasePair, tool: 'pg_dump' | 'pg_restore'): Promise<Process[]> {
  let found: Process[] = [];
  await until(`${tool} at work`, () => {
    found = tool === 'pg_dump' ? dumping(pair) : toolsOn(pair.passive.socket, tool);
    return found.length >= (tool === 'pg_dump' ? 1 : 3); // two workers
  });
  for (const { pid } of found) process.kill(pid, 'SIGSTOP');
  return found;
}

/** While it writes the rows of a table. */
function dumping({ a, active }: DatabasePair): Process[] {
  const work = join(pathsBelow(a.root).work, 'db-dump/pe-rbac');
  const written = existsSync(work) ? readdirSync(work).filter((name) => name.endsWith('.dat')) : [];
  return written.length > 0 ? toolsOn(active.socket, 'pg_dump') : [];
}

export function goOn(processes: readonly Process[]): void {
  for (const { pid } of processes) process.kill(pid, 'SIGCONT');
}
