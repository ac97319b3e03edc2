import { chmod, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { createAgentRuns, type AgentRuns } from '../../src/puppet/agent-runs.ts';
import { systemClock } from '../../src/system/clock.ts';
import { exec } from '../../src/system/exec.ts';
import { createServiceCommands } from '../../src/system/service-manager.ts';

let home: string;
let runs: AgentRuns;
beforeEach(async ({ onTestFinished }) => {
  home = await mkdtemp(join(tmpdir(), 'pe-failover-agent-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  await copyFile(join(import.meta.dirname, '../stand-in/puppet-agent.sh'), join(home, 'puppet'));
  await chmod(join(home, 'puppet'), 0o755);
  runs = createAgentRuns({ puppet: join(home, 'puppet'), stateDirectory: home }, exec, systemClock);
});
const { signal } = new AbortController();
const lock = (): Promise<string> => readFile(join(home, 'agent_disabled.lock'), 'utf8');

test("somebody else's disable is left alone, before and after", async () => {
  await writeFile(join(home, 'agent_disabled.lock'), '{"disabled_message":"maintenance until Friday"}');
  await runs.disable('ours');
  await runs.enable('ours');
  expect(await lock()).toContain('until Friday');
});

test('our own disable is lifted, by its message', async () => {
  await runs.disable('ours');
  expect(await lock()).toContain('ours');
  await runs.enable('another of ours');
  expect(await lock()).toContain('ours');
  await runs.enable('ours');
  await expect(lock()).rejects.toThrow('ENOENT');
});

test('waits for a run to end, says so when it does not, and does not wait for a lock that a killed run left', async () => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  await writeFile(join(home, 'agent_catalog_run.lock'), String(child.pid));
  expect(await runs.untilIdle(300, signal)).toBe(false);
  const waiting = runs.untilIdle(10_000, signal);
  const ended = once(child, 'exit');
  child.kill();
  await ended;
  expect(await waiting).toBe(true);
});

test('a wait ends when the role is left', async () => {
  await writeFile(join(home, 'agent_catalog_run.lock'), String(process.pid));
  const leaving = new AbortController();
  const waiting = runs.untilIdle(600_000, leaving.signal);
  leaving.abort();
  await expect(waiting).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
});

test('a service without commands is refused, naming the place to add it', async () => {
  const manager = createServiceCommands(exec, {});
  await expect(manager.start('pe-nginx')).rejects.toThrow(/pe-nginx.*services\.commands/);
});

test('a command that fails is told without its arguments, which may be secret', async () => {
  const fails = ['sh', '-c', 'echo no such service >&2; exit 7', 'sh', '--password=marker'];
  const manager = createServiceCommands(exec, { x: { status: fails, start: fails, stop: fails } });
  const thrown = await manager.start('x').catch((error: unknown) => String(error));
  expect(thrown).toMatch(/cannot start service \(x\): sh failed with exit code 7: no such service\. Type by hand/);
  expect(thrown).not.toContain('marker');
});

test('a command that hangs is ended at its deadline', async () => {
  const hang = ['sleep', '60'];
  const manager = createServiceCommands(
    exec,
    { x: { status: hang, start: hang, stop: hang } },
    { askMs: 100, changeMs: 100 },
  );
  await expect(manager.stop('x')).rejects.toThrow('did not end within 0.1 s');
  await expect(manager.isActive('x')).rejects.toThrow('did not end within 0.1 s');
});
