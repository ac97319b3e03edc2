import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabasePair } from './database-pair.ts';
import { isAlive, toolsOn, type Process } from './hunted.ts';
import { pathsBelow } from './pair.ts';
import { until } from './trees.ts';

/** Held in the middle of its work by SIGSTOP, so that what comes then comes in the middle. Leaders first. */
export async function held(pair: DatabasePair, tool: 'pg_dump' | 'pg_restore'): Promise<Process[]> {
  for (;;) {
    let found: Process[] = [];
    await until(`${tool} at work`, () => {
      found = tool === 'pg_dump' ? dumping(pair) : toolsOn(pair.passive.socket, tool);
      return found.length >= (tool === 'pg_dump' ? 1 : 3); // two workers
    });
    for (const { pid } of found.filter(({ pid }) => isAlive(pid))) process.kill(pid, 'SIGSTOP');
    if (tool === 'pg_restore' || !existsSync(join(workOf(pair), 'toc.dat'))) return found;
    goOn(found); // too late: it writes that at its end
    await pair.change();
  }
}

const workOf = ({ a }: DatabasePair): string => join(pathsBelow(a.root).work, 'db-dump/pe-rbac');

/** While it writes the rows of a table. */
function dumping(pair: DatabasePair): Process[] {
  const work = workOf(pair);
  const written = existsSync(work) ? readdirSync(work).filter((name) => name.endsWith('.dat')) : [];
  return written.length > 0 ? toolsOn(pair.active.socket, 'pg_dump') : [];
}

export function goOn(processes: readonly Process[]): void {
  for (const { pid } of processes) if (isAlive(pid)) process.kill(pid, 'SIGCONT');
}
