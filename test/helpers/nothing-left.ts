import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { temporaryPattern } from '../../src/system/files.ts';
import { lockHolder } from '../../src/system/lock.ts';
import type { AgentMaster, AgentPair } from './agents.ts';
import { processesOf, type Process } from './hunted.ts';
import { pathsBelow } from './pair.ts';

function names(directory: string, recursive = false): string[] {
  try {
    return readdirSync(directory, { encoding: 'utf8', recursive });
  } catch {
    return []; // not there, or removed meanwhile
  }
}

/** Files that only last as long as work does, and sockets that nobody listens on. */
function filesLeft({ root }: AgentMaster): string[] {
  const { inbox, outbox, taken, journal, work, run } = pathsBelow(root);
  const streams = names(inbox).filter((name) => existsSync(join(inbox, name, 'ready')));
  const all = names(root, true);
  return [
    ...all.filter((path) => temporaryPattern.test(basename(path))),
    ...streams.flatMap((stream) => [
      ...names(join(inbox, stream)).filter((name) => name.startsWith('staging')),
      ...names(join(inbox, stream, 'ready')).filter((name) => name !== 'confirm'),
      ...names(join(taken, stream)),
    ]),
    ...names(outbox).flatMap((stream) => names(join(outbox, stream)).filter((name) => name.startsWith('.'))),
    ...names(journal),
    ...names(work).flatMap((job) => names(join(work, job))),
    ...names(run).filter((name) => !['control.sock', 'ssh-hot', 'ssh-bulk', 'web'].includes(name)),
    ...names(join(run, 'web')).filter((name) => name === 'switch.json'),
  ].map((what) => `${root}: ${what}`);
}

async function locksLeft({ root }: AgentMaster): Promise<string[]> {
  const { locks, inbox } = pathsBelow(root);
  const paths = [
    ...names(locks).map((name) => join(locks, name)),
    ...names(inbox).map((name) => join(inbox, name, 'lock')),
  ].filter((path) => existsSync(path));
  const held = await Promise.all(paths.map(async (path) => ((await lockHolder(path)) === undefined ? [] : [path])));
  return held.flat();
}

export interface Further {
  /** Directories of other parts of the pair. */
  readonly places?: readonly string[];
  readonly isExpected?: (process: Process) => boolean;
}

/** Processes of the pair besides its agents, its sshds, and the connections of the agent that runs. */
function processesLeft(pair: AgentPair, { places = [], isExpected = () => false }: Further): string[] {
  const agents = [pair.a.pid(), pair.b.pid()];
  return processesOf(pair, places)
    .filter((one) => !isExpected(one))
    .filter(({ pid }) => !agents.includes(pid))
    .filter(({ command }) => !/sshd -D /.test(command))
    .filter(({ parent, command }) => !(agents.includes(parent) && command.includes(' -M ')))
    .map(({ pid, command }) => `process ${pid}: ${command}`);
}

/** Until nothing is left of any work: no process, no lock, no file. Throws with what is. */
export async function untilNothingIsLeft(pair: AgentPair, further: Further = {}, ms = 15_000): Promise<void> {
  const end = performance.now() + ms;
  for (;;) {
    const left = [...processesLeft(pair, further), ...filesLeft(pair.a), ...filesLeft(pair.b)];
    if (left.length === 0) left.push(...(await locksLeft(pair.a)), ...(await locksLeft(pair.b)));
    if (left.length === 0) return;
    if (performance.now() > end) throw new Error(`left over:\n${left.join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
