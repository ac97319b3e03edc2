import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { acquireLock, endHolders, lockHolder } from '../../src/system/lock.ts';
import { passDescriptors, startChild } from '../../src/system/exec.ts';

const directory = mkdtempSync(join(tmpdir(), 'lock-test-'));
afterAll(() => rmSync(directory, { recursive: true }));
let path = '';
let count = 0;
beforeEach(() => {
  path = join(directory, `lock-${(count += 1)}`);
});

const holderProgram = `
  const [lock, exec, path, child] = process.argv.slice(1);
  const { acquireLock } = await import(lock);
  const { startChild, passDescriptors } = await import(exec);
  const held = await acquireLock(path, 'a pass');
  const sleeper = child === 'child' ? passDescriptors.run([held.descriptor], () => startChild({ file: 'sleep', args: ['60'] })) : undefined;
  console.log(JSON.stringify({ pid: process.pid, child: sleeper?.pid }));
  setInterval(() => {}, 1000);
`;

/** Another process that holds the lock, with or without a child that inherited it. */
async function otherHolder(
  child: 'child' | 'alone',
): Promise<{ pid: number; child: number; kill: () => Promise<void> }> {
  const modules = ['lock.ts', 'exec.ts'].map((name) => join(import.meta.dirname, '../../src/system', name));
  const args = ['--input-type=module', '-e', holderProgram, ...modules, path, child];
  const other = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(other.stdout, 'data')) as [Buffer];
  const ended = once(other, 'close');
  const kill = async (): Promise<void> => {
    other.stdout.destroy();
    other.kill('SIGKILL');
    await ended;
  };
  return { ...(JSON.parse(line.toString()) as { pid: number; child: number }), kill };
}

const runs = (pid: number): boolean => {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

it('is held by one, and the other is told by whom, for what and since when', async () => {
  await using _ = await acquireLock(path, 'sync-files');
  await expect(acquireLock(path, 'again')).rejects.toMatchObject({
    class: 'refused',
    message: expect.stringMatching(
      new RegExp(`busy .*held by process ${process.pid} \\(sync-files\\) since 2`),
    ) as string,
  });
});

it('is free after its release, and names nobody then', async () => {
  const lock = await acquireLock(path, 'sync-files');
  await lock.note('sync-files, applying');
  await expect(lockHolder(path)).resolves.toMatchObject({ pid: process.pid, what: 'sync-files, applying' });
  await lock.note('short');
  await expect(lockHolder(path)).resolves.toMatchObject({ what: 'short' });
  await lock.release();
  await lock.release();
  await expect(lockHolder(path)).resolves.toBeUndefined();
  expect(readFileSync(path, 'utf8')).toBe('');
});

it('a second pass of the same process is busy, and ends no child of the first', async () => {
  await using lock = await acquireLock(path, 'first');
  const child = passDescriptors.run([lock.descriptor], () => startChild({ file: 'sleep', args: ['60'] }));
  await expect(acquireLock(path, 'second')).rejects.toThrow('(first)');
  expect(runs(child.pid ?? 0)).toBe(true);
  await child.stop();
});

it('the orphan of a killed holder is ended, and the lock is taken', async () => {
  const other = await otherHolder('child');
  await expect(acquireLock(path, 'me')).rejects.toThrow(`held by process ${other.pid}`);
  expect(runs(other.child)).toBe(true);
  await other.kill();
  expect(runs(other.child)).toBe(true);
  await using _ = await acquireLock(path, 'me');
  expect(runs(other.child)).toBe(false);
});

it('who only waits for the lock of a killed holder is not taken for its orphan', async () => {
  const other = await otherHolder('child');
  const waiting = spawn('sleep', ['60'], {
    stdio: ['ignore', 'ignore', 'ignore', (await import('node:fs')).openSync(path, 'r+')],
  });
  await other.kill();
  await using _ = await acquireLock(path, 'me');
  expect(runs(waiting.pid ?? 0)).toBe(true);
  waiting.kill();
  await once(waiting, 'close');
});

it('whoever has just taken it, its name not written yet, is not ended for what the file says', async () => {
  const other = await otherHolder('alone');
  writeFileSync(path, `${JSON.stringify({ pid: 4_000_000, what: 'long gone', since: '' })}\n`);
  const refused = acquireLock(path, 'me').catch((error: unknown) => error);
  setTimeout(() => writeFileSync(path, `${JSON.stringify({ pid: other.pid, what: 'now', since: '' })}\n`), 20);
  await expect(refused).resolves.toMatchObject({ class: 'refused' });
  expect(runs(other.pid)).toBe(true);
  await other.kill();
});

it('a torn name is said to be unknown, and nobody is ended', async () => {
  const other = await otherHolder('alone');
  writeFileSync(path, '{"pid": 1');
  await expect(acquireLock(path, 'me')).rejects.toThrow('its holder is not known');
  await other.kill();
});

it('endHolders ends even a stopped one, and the lock is free when it returns', async () => {
  const other = await otherHolder('child');
  process.kill(other.pid, 'SIGSTOP');
  process.kill(other.child, 'SIGSTOP');
  await endHolders(path);
  await using _ = await acquireLock(path, 'me');
  expect(runs(other.child)).toBe(false);
  await other.kill();
});
