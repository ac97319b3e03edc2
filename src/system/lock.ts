import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { open, readdir, readFile, readlink, realpath, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure, isErrno } from '../errors.ts';

/** Who holds a lock: written into it, so that a waiting pass can name the holder. */
export interface Holder {
  readonly pid: number;
  readonly what: string;
  readonly since: string;
}

/**
 * flock(1) on a descriptor that we keep open. INVARIANT: children of the pass get `descriptor` too, so that the lock is
 * free only when the last of them has ended; a killed pass with a living pg_restore still holds it.
 */
export interface Lock extends AsyncDisposable {
  readonly descriptor: number;
  /** Says in the lock file what the holder is at. */
  note(what: string): Promise<void>;
  release(): Promise<void>;
}

/** Takes a lock at once, or throws `refused` naming the holder. Orphans of a dead holder are ended first. */
export async function acquireLock(path: string, what: string): Promise<Lock> {
  const handle = await openLock(path);
  try {
    if (!(await tryLock(handle.fd)) && !((await endOrphans(path, handle)) && (await tryLock(handle.fd)))) {
      const holder = await readHolder(handle);
      const why =
        holder === undefined
          ? 'its holder is not known'
          : `held by process ${holder.pid} (${holder.what}) since ${holder.since}`;
      throw new Failure('refused', busy, { where: path, why });
    }
    return await held(handle, what);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Somebody else holds it: for the time being there is nothing to do, and nothing to complain of. */
export const isBusy = (error: unknown): boolean =>
  error instanceof Failure && error.class === 'refused' && error.what === busy;

/** Who holds the lock now, or undefined when nobody does. */
export async function lockHolder(path: string): Promise<Holder | undefined> {
  const handle = await openLock(path);
  try {
    return (await tryLock(handle.fd)) ? undefined : await readHolder(handle);
  } finally {
    await handle.close();
  }
}

/** Ends everything that holds the lock, at once: for the gate, where a newer push ends an older one. */
export async function endHolders(path: string): Promise<void> {
  const holding = (await processesHolding(path)).filter((pid) => pid !== process.pid);
  for (const pid of holding) kill(pid);
  await untilReleased(path, holding);
}

const busy = 'busy';

async function openLock(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
}

async function held(handle: FileHandle, what: string): Promise<Lock> {
  const since = new Date().toISOString();
  let open = true;
  const note = async (now: string): Promise<void> => {
    const text = `${JSON.stringify({ pid: process.pid, what: now, since } satisfies Holder)}\n`;
    await handle.write(text, 0, 'utf8');
    await handle.truncate(Buffer.byteLength(text));
  };
  const release = async (): Promise<void> => {
    if (!open) return;
    open = false;
    await handle.truncate(0); // while we hold it: a name in a free lock would send the next one after the wrong process
    await handle.close();
  };
  await note(what);
  return { descriptor: handle.fd, note, release, [Symbol.asyncDispose]: release };
}

// The lock belongs to the open file, not to the flock process: it stays when that ends.
function tryLock(descriptor: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const flock = spawn('flock', ['-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', descriptor] });
    flock.once('error', (cause) => {
      reject(
        new Failure('config', 'flock could not be started', {
          why: cause.message,
          hint: 'Type: apt-get install util-linux',
          cause,
        }),
      );
    });
    flock.once('close', (code) => resolve(code === 0));
  });
}

async function readHolder(handle: FileHandle): Promise<Holder | undefined> {
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(4096), 0, 4096, 0);
  try {
    return JSON.parse(buffer.toString('utf8', 0, bytesRead).split('\n')[0] ?? '') as Holder;
  } catch {
    return undefined; // just taken, or torn by a crash: the holder is not known
  }
}

/** Ends the children that outlived a dead holder. False when the holder itself lives, or is not known. */
async function endOrphans(path: string, handle: FileHandle): Promise<boolean> {
  const holder = await readHolder(handle);
  if (holder === undefined || (await processesHolding(path)).includes(holder.pid)) return false;
  await sleep(noteMs);
  const now = await readHolder(handle);
  const holding = await processesHolding(path);
  if (now?.pid !== holder.pid || now.since !== holder.since || holding.includes(holder.pid)) return false;
  for (const pid of holding) kill(pid);
  await untilReleased(path, holding);
  return true;
}

/** Who has just taken a lock has not written its name yet: what the file says counts when it still says so then. */
const noteMs = 100;

/** Whose descriptors carry the lock itself: a process that only waits for it has the file open, too. */
async function processesHolding(path: string): Promise<number[]> {
  const target = await realpath(path);
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const holding = await Promise.all(pids.map(async (pid) => ((await holds(pid, target)) ? pid : undefined)));
  return holding.filter((pid) => pid !== undefined);
}

// A process that ends meanwhile, or belongs to somebody else, holds nothing of ours.
async function holds(pid: number, target: string): Promise<boolean> {
  const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const found = await Promise.all(
    descriptors.map(async (fd) => {
      if ((await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')) !== target) return false;
      return /^lock:.*\bFLOCK\b/m.test(await readFile(`/proc/${pid}/fdinfo/${fd}`, 'utf8').catch(() => ''));
    }),
  );
  return found.includes(true);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}

async function untilReleased(path: string, pids: readonly number[]): Promise<void> {
  const target = await realpath(path);
  const deadline = performance.now() + 5_000;
  for (const pid of pids) while ((await holds(pid, target)) && performance.now() < deadline) await sleep(2);
}
