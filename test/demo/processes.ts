import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Found {
  readonly pid: number;
  readonly command: string;
}

/**
 * Every process of ours: each has `base`, a directory of the demo's own, in its arguments. What has a terminal is
 * somebody's editor on one of our files, two servers aside that inherit the terminal.
 */
export async function processesBelow(base: string, except: readonly number[] = []): Promise<Found[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: Found[] = [];
  for (const pid of pids) {
    if (pid === process.pid || except.includes(pid)) continue;
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ').trim();
    if (!command.includes(base)) continue;
    const stat = await fieldsOfStat(pid);
    const isServer = /^\S*(sshd|postgres)(:? |$)/.test(command);
    if (stat !== undefined && stat[0] !== 'Z' && (isServer || stat[4] === '0')) found.push({ pid, command });
  }
  return found;
}

/** Ends what is left below `base`, asking first, and removes these directories. Returns what had to be ended. */
export async function sweep(
  base: string,
  directories: readonly string[],
  except: readonly number[] = [],
): Promise<Found[]> {
  const first = await processesBelow(base, except);
  let left = first;
  for (let round = 0; left.length > 0 && round < 100; round += 1) {
    for (const { pid } of left) signal(pid, round < 20 ? 'SIGTERM' : 'SIGKILL');
    await sleep(50);
    left = await processesBelow(base, except);
  }
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
  return first;
}

/** `pid` started at, in clock ticks since boot: a pid alone may be somebody else's by now. Undefined: it is gone. */
export async function startTime(pid: number): Promise<string | undefined> {
  const fields = await fieldsOfStat(pid);
  return fields === undefined || fields[0] === 'Z' ? undefined : fields[19];
}

/** Of /proc/PID/stat, from the state on: what stands before may hold spaces. */
async function fieldsOfStat(pid: number): Promise<readonly string[] | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return stat?.slice(stat.lastIndexOf(') ') + 2).split(' ');
}

/** Watches over the demo from outside: when our end of the pipe closes, however we die, it sweeps. */
export function startReaper(base: string, directories: readonly string[]): { pid: number; done(): Promise<void> } {
  const program = join(import.meta.dirname, 'reaper.ts');
  const child = spawn(process.execPath, [program, base, ...directories], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  child.stdin.on('error', () => undefined);
  return {
    pid: child.pid ?? 0,
    done: async () => {
      if (child.exitCode !== null) return;
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}

/** Asks a child to end, and insists when the time is over; true: it ended by itself. */
export async function stopChild(child: ChildProcess, patienceMs: number): Promise<boolean> {
  if (child.exitCode !== null || child.signalCode !== null) return true;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const insist = setTimeout(() => child.kill('SIGKILL'), patienceMs);
  await ended;
  clearTimeout(insist);
  return child.signalCode !== 'SIGKILL';
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // gone by itself
  }
}
