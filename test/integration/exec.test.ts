import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { toFailure } from '../../src/errors.ts';
import { CommandError, exec, passDescriptors, startChild } from '../../src/system/exec.ts';

const directory = mkdtempSync(join(tmpdir(), 'exec-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

const sh = (script: string, ...args: string[]) => ({ file: 'sh', args: ['-c', script, 'sh', ...args] });
const isAlive = (pid: number): boolean =>
  existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
const pidIn = (path: string): number => Number(readFileSync(path, 'utf8'));

describe('a command', () => {
  it('gives its exit code, output and errors, and each whole line of error as it comes', async () => {
    const lines: string[] = [];
    const command = {
      ...sh('read x; echo "got $x"; echo one >&2; printf two >&2; exit 3'),
      input: 'words\n',
      accept: [3],
    };
    const result = await exec({ ...command, onErrorLine: (line) => lines.push(line) });
    expect(result).toEqual({ exitCode: 3, stdout: 'got words\n', stderr: 'one\ntwo' });
    expect(lines).toEqual(['one']);
  });

  it('fails with its code, its last words and its name', async () => {
    const error: unknown = await exec(sh('echo alas >&2; exit 4')).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CommandError);
    expect(error).toMatchObject({ exitCode: 4, message: 'sh failed with exit code 4: alas' });
  });

  it('that is not installed fails as a matter for the admin, with what to type', async () => {
    const error: unknown = await exec({ file: 'no-such-program', args: [] }).catch((e: unknown) => e);
    expect((error as CommandError).toFailure('it failed')).toMatchObject({
      class: 'config',
      hint: expect.stringContaining('apt-get install no-such-program') as string,
    });
  });

  it('sees no environment of ours but PATH, LC_ALL and HOME', async () => {
    process.env['PE_FAILOVER_TEST_SECRET'] = 'x';
    const { stdout } = await exec({ file: 'env', args: [] });
    delete process.env['PE_FAILOVER_TEST_SECRET'];
    expect(
      stdout
        .split('\n')
        .map((line) => line.split('=')[0])
        .sort(),
    ).toEqual(['', 'HOME', 'LC_ALL', 'PATH']);
  });
});

describe('the end of a command', () => {
  it('out of time takes the whole group along', async () => {
    const pid = join(directory, 'grandchild');
    const command = { ...sh('sleep 60 & echo $! > "$1"; wait', pid), timeoutMs: 300 };
    await expect(exec(command)).rejects.toMatchObject({
      timedOut: true,
      message: expect.stringContaining('0.3 s') as string,
    });
    expect(isAlive(pidIn(pid))).toBe(false);
  });

  it('comes although its leader is gone and a descendant of the group keeps our pipe open', async () => {
    const pid = join(directory, 'heir');
    const command = { ...sh('sleep 60 & echo $! > "$1"', pid), timeoutMs: 300 };
    await expect(exec(command)).rejects.toMatchObject({ timedOut: true });
    expect(isAlive(pidIn(pid))).toBe(false);
  });

  it('comes although a descendant left the group and keeps our pipe open', { timeout: 15_000 }, async () => {
    const pid = join(directory, 'runaway');
    const command = { ...sh('setsid sh -c \'echo $$ > "$1"; exec sleep 60\' sh "$1"', pid), timeoutMs: 300 };
    await expect(exec(command)).rejects.toMatchObject({ timedOut: true });
    process.kill(pidIn(pid));
  });

  it('on abort is an abort, and the child is gone', async () => {
    const controller = new AbortController();
    const pid = join(directory, 'aborted');
    const lines: string[] = [];
    const running = exec({
      ...sh('echo $$ > "$1"; echo up >&2; exec sleep 60', pid),
      signal: controller.signal,
      onErrorLine: (line) => {
        lines.push(line);
        controller.abort();
      },
    });
    await expect(running.catch((error: unknown) => Promise.reject(toFailure(error)))).rejects.toMatchObject({
      class: 'interrupted',
    });
    expect(isAlive(pidIn(pid))).toBe(false);
    await expect(exec({ ...sh('true'), signal: controller.signal })).rejects.toThrow('abort');
  });

  it('comes for a command that says more than we keep, and says so', async () => {
    await expect(exec({ file: 'yes', args: ['x'.repeat(1000)], timeoutMs: 20_000 })).rejects.toThrow(
      'yes said more than 64 MB and was ended',
    );
  });

  it('keeps the tail alone of endless errors', async () => {
    const { stderr } = await exec(sh('yes error | head -c 1000000 >&2; echo last >&2'));
    expect(stderr.length).toBeLessThanOrEqual(16 * 1024);
    expect(stderr.endsWith('last\n')).toBe(true);
  });
});

describe('a long child', () => {
  it('is asked, and tells how it ended', async () => {
    const child = startChild(sh('trap "exit 7" TERM; echo up; while :; do sleep 0.01; done'));
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    await child.stop();
    await expect(child.ended).resolves.toBe('ended with exit code 7');
    await child.stop(); // again is nothing
  });

  it('gets the descriptors of its pass, unless it outlives it', async () => {
    const open = { file: 'sh', args: ['-c', 'ls /proc/self/fd | wc -l'] };
    const none = await exec(open);
    const [inside, outliving] = await passDescriptors.run([2], () =>
      Promise.all([exec(open), exec({ ...open, outlivesPass: true })]),
    );
    expect(Number(inside.stdout)).toBe(Number(none.stdout) + 1);
    expect(outliving.stdout).toBe(none.stdout);
  });
});
