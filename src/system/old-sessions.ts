import { readdir, readFile } from 'node:fs/promises';
import { Failure } from '../errors.ts';

/** Connections of one user to sshd that logged in before some time: each look ends those in which nothing has run for some looks. */
export interface OldSessions {
  /** How many are left, because something runs in them or did a moment ago. */
  end(before: Date): Promise<number>;
}

/** Of a connection that is in use, the moment between two requests is no reason. */
const idleLooks = 5;

export function createOldSessions(uid: number): OldSessions {
  if (uid === 0) throw new Failure('bug', 'the sessions of root are not ended');
  let idle = new Map<number, number>();
  return {
    end: async (before) => {
      const all = await readProcesses();
      const old = all.filter((one) => one.uid === uid && sshd.test(one.name) && one.startedAt < before.getTime());
      const parents = new Set(all.map(({ parent }) => parent));
      const isOver = ({ pid }: Process): boolean => (idle.get(pid) ?? 0) >= idleLooks;
      idle = new Map(old.filter(({ pid }) => !parents.has(pid)).map(({ pid }) => [pid, (idle.get(pid) ?? 0) + 1]));
      const over = old.filter(isOver);
      for (const { pid } of over) endProcess(pid);
      return old.length - over.length;
    },
  };
}

const sshd = /^sshd(-session)?$/;

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly uid: number;
  readonly name: string;
  /** ms since the epoch. */
  readonly startedAt: number;
}

async function readProcesses(): Promise<Process[]> {
  const bootedAt = Number(/^btime (\d+)$/m.exec(await readFile('/proc/stat', 'utf8'))?.[1]) * 1000;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map((pid) => readProcess(pid, bootedAt).catch(() => undefined)));
  return found.filter((one) => one !== undefined); // one that ends meanwhile is none
}

/** The kernel tells times in hundredths of a second, whatever its own clock. */
const tickMs = 10;

async function readProcess(pid: number, bootedAt: number): Promise<Process | undefined> {
  const [stat, status] = [await readFile(`/proc/${pid}/stat`, 'utf8'), await readFile(`/proc/${pid}/status`, 'utf8')];
  const [, name, rest] = /^\d+ \((.*)\) (.*)$/s.exec(stat) ?? [];
  const uid = /^Uid:\s+(\d+)/m.exec(status)?.[1];
  if (name === undefined || rest === undefined || uid === undefined) return undefined;
  const fields = rest.split(' '); // behind the name, from the third field of proc(5) on
  return {
    ...{ pid, name, uid: Number(uid), parent: Number(fields[1]) },
    startedAt: bootedAt + Number(fields[19]) * tickMs,
  };
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch {
    // It ended by itself.
  }
}
