import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstat, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Failure } from '../../src/errors.ts';
import { askControl, serveControl, type ControlHandler, type ControlServer } from '../../src/system/control.ts';

let top: string;
let path: string;
const servers: ControlServer[] = [];
const { signal } = new AbortController();

beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), 'ctl-'));
  path = join(top, 'control.sock');
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
  await rm(top, { recursive: true });
});

async function serve(handler: ControlHandler): Promise<void> {
  servers.push(await serveControl(path, handler));
}

async function raw(text: string): Promise<string> {
  const socket = createConnection(path);
  let said = '';
  socket.on('data', (chunk: Buffer) => (said += chunk.toString())).on('error', () => undefined);
  const closed = once(socket, 'close');
  socket.end(text);
  await closed;
  return said;
}

describe('the control socket', () => {
  it('answers with lines and a result, and lets root only ask', async () => {
    await serve(async (request, line) => {
      line({ step: 1 });
      line('two');
      return { asked: request };
    });
    const lines: unknown[] = [];
    const result = await askControl(path, 'run', { job: 'sync-certs' }, { signal, onLine: (line) => lines.push(line) });
    expect(lines).toEqual([{ step: 1 }, 'two']);
    expect(result).toEqual({ asked: { v: 1, verb: 'run', args: { job: 'sync-certs' } } });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(top)).toEqual(['control.sock']);
  });

  it('hands on a failure with its class, cause and hint', async () => {
    await serve(async () => {
      throw new Failure('latched', 'refused', { where: 'masterb', why: 'epoch 8 is higher than 7', hint: 'Type: x' });
    });
    await expect(askControl(path, 'run', {}, { signal })).rejects.toMatchObject({
      class: 'latched',
      exitCode: 77,
      message: 'refused (masterb): epoch 8 is higher than 7. Type: x',
    });
  });

  it('is refused while another agent lives, and that one goes on', async () => {
    await serve(async () => 'first');
    await expect(serveControl(path, async () => 'second')).rejects.toMatchObject({ class: 'refused' });
    expect(await askControl(path, 'status', {}, { signal })).toBe('first');
  });

  it('takes the place of one that a killed agent left', async () => {
    const program = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('on'))`;
    const agent = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(agent.stdout, 'data');
    const gone = once(agent, 'close');
    agent.kill('SIGKILL');
    await gone;
    expect((await lstat(path)).isSocket()).toBe(true);
    await expect(askControl(path, 'status', {}, { signal })).rejects.toMatchObject({ class: 'unreachable' });
    await serve(async () => 'new');
    expect(await askControl(path, 'status', {}, { signal })).toBe('new');
  });

  it('that nobody serves says so, and what to type', async () => {
    await expect(askControl(path, 'status', {}, { signal })).rejects.toMatchObject({
      class: 'unreachable',
      hint: 'Type: systemctl start pe-failover',
    });
  });

  it('tells the handler when the caller is gone', async () => {
    let left = (): void => undefined;
    const told = new Promise<void>((resolve) => (left = resolve));
    let began = (): void => undefined;
    const asked = new Promise<void>((resolve) => (began = resolve));
    await serve(async (_request, _line, gone) => {
      began();
      await once(gone, 'abort');
      left();
    });
    const caller = new AbortController();
    const answer = askControl(path, 'subscribe', {}, { signal: caller.signal });
    await asked;
    caller.abort();
    await expect(answer).rejects.toMatchObject({ class: 'interrupted' });
    await told;
  });

  it('tells a caller whose agent dies meanwhile', async () => {
    let began = (): void => undefined;
    const asked = new Promise<void>((resolve) => (began = resolve));
    await serve((_request, _line, gone) => {
      began();
      return once(gone, 'abort');
    });
    const answer = expect(askControl(path, 'run', {}, { signal })).rejects.toMatchObject({ class: 'dependency' });
    await asked;
    await servers.pop()?.close();
    await answer;
    expect(await readdir(top)).toEqual([]);
  });

  it.each([
    ['garbage\n', 'not JSON'],
    ['null\n', 'version'],
    ['{"v":2,"verb":"status"}\n', 'version'],
    ['{"v":1}\n', 'no verb'],
    ['', 'empty'],
    [`"${'x'.repeat(70_000)}`, 'over 65536 bytes'],
  ])('refuses %j', async (text, why) => {
    await serve(async () => 'x');
    expect(await raw(text)).toContain(why);
  });

  it('refuses a path that the kernel would cut', async () => {
    await expect(serveControl(join(top, 'x'.repeat(100)), async () => 1)).rejects.toMatchObject({ class: 'config' });
  });
});
