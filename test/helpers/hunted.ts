// Finds the processes of one pair, by what of the pair stands in them: never by their name alone.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathsBelow } from './pair.ts';

interface Rooted {
  readonly root: string;
}
export interface RootedPair {
  readonly a: Rooted;
  readonly b: Rooted;
}

export interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly state: string;
  readonly cwd: string;
  /** The arguments, each with a space behind it. */
  readonly command: string;
}

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // ended meanwhile
  }
};

function look(pid: number): Process | undefined {
  const [, rest] = read(`/proc/${pid}/stat`).split(/\) (?=[A-Z] )/);
  const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
  if (rest === undefined || command === '') return undefined;
  const [state = '', parent] = rest.split(' ');
  let cwd = '';
  try {
    cwd = readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    // a kernel thread, or ended
  }
  return { pid, parent: Number(parent), state, cwd, command };
}

/** All that run on this machine; what has ended and is not yet waited for is none. */
export const processes = (): Process[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => look(Number(name)) ?? [])
    .filter(({ state }) => state !== 'Z' && state !== 'X');

export const isAlive = (pid: number): boolean => ![undefined, 'Z', 'X'].includes(look(pid)?.state);
export const isStopped = (pid: number): boolean => look(pid)?.state === 'T';
const environmentOf = ({ pid }: Process): string => read(`/proc/${pid}/environ`);

/** Everything that names a directory of this pair, or works in one. */
export function processesOf({ a, b }: RootedPair, more: readonly string[] = []): Process[] {
  const places = [dirname(a.root), ...[a, b].map(({ root }) => pathsBelow(root).run), ...more];
  const isOurs = (text: string): boolean => places.some((place) => text.includes(place));
  return processes().filter(({ command, cwd }) => isOurs(command) || isOurs(cwd));
}

type Find = (pair: RootedPair, all: readonly Process[]) => Process | undefined;

const outbox = ({ root }: Rooted): string => pathsBelow(root).outbox;
const push: Find = ({ a }, all) => all.find(({ command }) => /^rsync /.test(command) && command.includes(outbox(a)));
const connection: Find = ({ a }, all) =>
  all.find(({ command }) => command.includes(' -M ') && command.includes(`-S ${join(pathsBelow(a.root).run, 'ssh-')}`));
const gate: Find = ({ b }, all) =>
  all.find(
    (one) =>
      / receive .*--root /.test(one.command) &&
      one.command.includes(`${b.root} `) &&
      environmentOf(one).includes('SSH_ORIGINAL_COMMAND=push '),
  );
const arriving: Find = (pair, all) => {
  const parent = gate(pair, all)?.pid;
  return all.find((one) => one.parent === parent && /^rsync --server /.test(one.command));
};
const session: Find = (pair, all) => {
  let one = gate(pair, all);
  while (one !== undefined && !one.command.startsWith('sshd:')) one = all.find(({ pid }) => pid === one?.parent);
  return one;
};

/** Who takes part in a push, from one end to the other. */
export const pushing = {
  "the active's rsync": push,
  "the active's ssh connection": connection,
  "the spare's sshd session": session,
  "the spare's forced command": gate,
  "the spare's rsync --server": arriving,
} as const;

/** A tool of PostgreSQL that works on the server of this socket directory, and the processes that it started. */
export function toolsOn(socket: string, tool: 'pg_dump' | 'pg_restore'): Process[] {
  const all = processes().filter(({ command }) => command.includes(`/${tool} -h ${socket} `));
  const pids = new Set(all.map(({ pid }) => pid));
  return all.sort((one, other) => Number(pids.has(one.parent)) - Number(pids.has(other.parent))); // leaders first
}

export function endProcesses(ended: readonly Process[]): void {
  for (const { pid } of ended) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
}
