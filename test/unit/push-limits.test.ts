import { expect, it } from 'vitest';
import type { Command } from '../../src/system/exec.ts';
import { createRsyncPush } from '../../src/system/rsync.ts';

it('a push may take as long as its pass; a silent connection ends it by itself', async () => {
  const commands: Command[] = [];
  const push = createRsyncPush((command) => {
    commands.push(command);
    return Promise.resolve({ exitCode: 0, stdout: '', stderr: '' });
  });
  const { signal } = new AbortController();
  const words = { directory: '/d', request: 'push', remoteShell: 'ssh', host: 'masterb', bandwidthLimit: 0 };
  await push({ ...words, bulk: true, signal, onErrorLine: () => undefined });
  expect(commands).toMatchObject([{ signal }]);
  expect(commands[0]?.timeoutMs).toBeUndefined();
  expect(commands[0]?.args).toContain('--timeout=30');
});
