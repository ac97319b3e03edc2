import { spawn, type ChildProcess } from 'node:child_process';
import { userInfo } from 'node:os';
import { afterEach, expect, it } from 'vitest';
import { createOldSessions } from '../../src/system/old-sessions.ts';

const uid = 54_321;
const started: ChildProcess[] = [];
afterEach(() => {
  for (const { pid } of started.splice(0)) if (pid !== undefined) endGroup(pid);
});

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

/** A process of that user with sshd's name, as the kernel tells it; it says when it has it. */
async function session(name: string, more = '', owner = uid): Promise<ChildProcess> {
  const script = `printf %s ${name} > /proc/$$/comm; ${more} echo ready; read -r _`;
  const child = spawn('bash', ['-c', script], { uid: owner, detached: true, stdio: ['pipe', 'pipe', 'inherit'] });
  started.push(child);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return child;
}

const ended = (child: ChildProcess): Promise<unknown> => new Promise((resolve) => child.once('exit', resolve));

it.skipIf(userInfo().uid !== 0)(
  'ends idle connections of that user alone that are older, and those in which something ran once that is over',
  async () => {
    const [idle, newer] = [await session('sshd'), await session('sshd-session')];
    const [other, others] = [await session('bash'), await session('sshd', '', 54_322)];
    const busy = await session('sshd', 'sleep 100 >/dev/null 2>&1 &');
    const later = new Date(Date.now() + 60_000);
    const sessions = createOldSessions(uid);

    expect(await sessions.end(new Date(0))).toBe(0);
    const gone = [ended(idle), ended(newer)];
    expect(await sessions.end(later)).toBe(3);
    for (let look = 0; look < 5; look += 1) await sessions.end(later);
    await Promise.all(gone);
    expect([busy, other, others].map(({ signalCode }) => signalCode)).toEqual([null, null, null]);
    expect(await sessions.end(later)).toBe(1);
  },
);
