import { readdir, readFile } from 'node:fs/promises';
import { Failure, isErrno } from '../errors.ts';
import { surplusOf, type LoginSession } from '../rules/login-sessions.ts';

/** Connections of one user to sshd, told by the processes that sshd has for them. */
export interface LoginSessions {
  /**
   * One look at those that logged in before: ends those in which nothing runs for some looks; where `whatever`, all of them with
   * what runs in them. How many it saw: they are over when a later look sees none.
   */
  endOld(before: Date, whatever: boolean): Promise<number>;
  /** One look: ends idle ones where there are more than `most`. How many it saw. */
  thinOut(most: number): Promise<number>;
}

/** Of a connection that is in use, the moment between two requests is no reason. */
const idleForMs = 8_000;

export function createLoginSessions(uid: number): LoginSessions {
  if (uid === 0) throw new Failure('bug', 'the sessions of root are not ended');
  let idleSince = new Map<number, number>();
  const look = async (): Promise<{ all: Process[]; sessions: LoginSession[] }> => {
    const all = await readProcesses();
    const found = all.filter((one) => one.uid === uid && sshd.test(one.name));
    const parents = new Set(all.map(({ parent }) => parent));
    const [now, bootedAt] = [performance.now(), await bootTime()];
    const idle = found.filter(({ pid }) => !parents.has(pid));
    idleSince = new Map(idle.map(({ pid }) => [pid, idleSince.get(pid) ?? now]));
    const sessions = await Promise.all(
      found.map(async ({ pid }) => {
        const [startedAt, since] = [await startOf(pid, bootedAt), idleSince.get(pid)];
        return startedAt === undefined
          ? undefined
          : { pid, startedAt, idleMs: since === undefined ? undefined : now - since };
      }),
    );
    return { all, sessions: sessions.filter((one) => one !== undefined) };
  };
  return {
    endOld: async (before, whatever) => {
      const { all, sessions } = await look();
      const old = sessions.filter(({ startedAt }) => startedAt < before.getTime());
      if (whatever) for (const pid of withDescendants(old, all)) send(pid, 'SIGKILL');
      else for (const { pid, idleMs = 0 } of old) if (idleMs >= idleForMs) send(pid, 'SIGTERM');
      return old.length;
    },
    thinOut: async (most) => {
      const { sessions } = await look();
      for (const { pid } of surplusOf(sessions, most)) send(pid, 'SIGTERM');
      return sessions.length;
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
}

/** Parents first: a connection is over before what runs in it can say so to the other side. */
function withDescendants(some: readonly { pid: number }[], all: readonly Process[]): Set<number> {
  const found = new Set(some.map(({ pid }) => pid));
  for (const above of found) for (const { pid, parent } of all) if (parent === above) found.add(pid);
  return found;
}

async function readProcesses(): Promise<Process[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map((pid) => readProcess(pid).catch(() => undefined)));
  return found.filter((one) => one !== undefined); // one that ends meanwhile is none
}

async function readProcess(pid: number): Promise<Process | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): string => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(status)?.[1] ?? '';
  if (/[ZX]/.test(field('State'))) return undefined; // it has ended, and its parent has not heard of it
  return { pid, name: field('Name'), uid: Number(field('Uid')), parent: Number(field('PPid')) };
}

const bootTime = async (): Promise<number> =>
  Number(/^btime (\d+)$/m.exec(await readFile('/proc/stat', 'utf8'))?.[1]) * 1000;

/** The kernel tells times in hundredths of a second, whatever its own clock. */
const tickMs = 10;

/** ms since the epoch; undefined: it ended meanwhile. */
async function startOf(pid: number, bootedAt: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  const fields = /^\d+ \(.*\) (.*)$/s.exec(stat ?? '')?.[1]?.split(' '); // behind the name, from the third field of proc(5) on
  return fields === undefined ? undefined : bootedAt + Number(fields[19]) * tickMs;
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error; // it ended by itself
  }
}
