import { readdir, readFile } from 'node:fs/promises';
import { Failure, isErrno } from '../errors.ts';

/** Connections of one user to sshd that logged in before some time. */
export interface OldSessions {
  /**
   * One look: ends those in which nothing ran for some looks; where `whatever`, all of them with what runs in them. How many it saw:
   * they are over when a later look sees none.
   */
  end(before: Date, whatever: boolean): Promise<number>;
}

/** Of a connection that is in use, the moment between two requests is no reason. */
const idleLooks = 5;

export function createOldSessions(uid: number): OldSessions {
  if (uid === 0) throw new Failure('bug', 'the sessions of root are not ended');
  let idle = new Map<number, number>();
  return {
    end: async (before, whatever) => {
      const all = (await readProcesses()).filter(({ isOver }) => !isOver);
      const old = all.filter((one) => one.uid === uid && sshd.test(one.name) && one.startedAt < before.getTime());
      const parents = new Set(all.map(({ parent }) => parent));
      idle = new Map(old.filter(({ pid }) => !parents.has(pid)).map(({ pid }) => [pid, (idle.get(pid) ?? 0) + 1]));
      if (whatever) for (const { pid } of withDescendants(old, all)) send(pid, 'SIGKILL');
      else for (const [pid, looks] of idle) if (looks >= idleLooks) send(pid, 'SIGTERM');
      return old.length;
    },
  };
}

/** The process of a login that runs as its user: of OpenSSH from 9.8 on a program of its own. */
const sshd = /^sshd(-session)?$/;

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly uid: number;
  readonly name: string;
  /** Ended, and its parent has not heard of it. */
  readonly isOver: boolean;
  /** ms since the epoch. */
  readonly startedAt: number;
}

/** Parents first: a connection is over before what runs in it can say so to the other side. */
function withDescendants(some: readonly Process[], all: readonly Process[]): Process[] {
  const found = new Set(some);
  for (const { pid } of found) for (const one of all) if (one.parent === pid) found.add(one);
  return [...found];
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
    isOver: /^[ZX]$/.test(fields[0] ?? ''),
    startedAt: bootedAt + Number(fields[19]) * tickMs,
  };
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error; // it ended by itself
  }
}
