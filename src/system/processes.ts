import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure, isErrno } from '../errors.ts';

/** Processes that have this user's id, as whoever they run or ran: one that ends meanwhile is none. */
export async function processesOf(uid: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const own = await Promise.all(pids.map(async (pid) => ((await belongsTo(pid, uid)) ? pid : undefined)));
  return own.filter((pid) => pid !== undefined);
}

/** Ends at once what runs with these arguments among its own, one behind the other. */
export async function killByArguments(...args: readonly string[]): Promise<void> {
  const wanted = `\0${args.join('\0')}\0`;
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const command = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(wanted)) send(Number(name), 'SIGKILL');
  }
}

const askedMs = 2_000;
const insistedMs = 10_000;
const lookMs = 20;

/** Ends them all, also those that they start meanwhile: asks, then insists. */
export async function endProcessesOf(uid: number): Promise<void> {
  if (uid === 0) throw new Failure('bug', 'the processes of root are not ended');
  const began = performance.now();
  for (;;) {
    const running = await processesOf(uid);
    if (running.length === 0) return;
    const waited = performance.now() - began;
    if (waited > insistedMs) {
      const hint = `Look with: ps -u ${uid}`;
      throw new Failure('dependency', 'processes do not end', { where: running.join(', '), hint });
    }
    for (const pid of running) send(pid, waited > askedMs ? 'SIGKILL' : 'SIGTERM');
    await sleep(lookMs);
  }
}

async function belongsTo(pid: number, uid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const ids = /^Uid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/).map(Number) ?? [];
  return ids.includes(uid) && !/^State:\s+[ZX]/m.test(status);
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}
