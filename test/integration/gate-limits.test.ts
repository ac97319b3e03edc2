import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { program } from '../helpers/pair.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'pe-failover-limits-'));
});
afterAll(() => rmSync(root, { recursive: true }));

/** The gate as sshd starts it, which runs this text first. */
function gate(first: string): Promise<{ failed: boolean; output: string }> {
  const preloaded = `--import=data:text/javascript,${encodeURIComponent(first)}`;
  const env = { PATH: process.env['PATH'], NODE_OPTIONS: preloaded, SSH_ORIGINAL_COMMAND: 'hello 0123456789abcdef' };
  const args = ['receive', '--peer', 'mastera.test', '--root', root];
  return new Promise((resolve) => {
    execFile(program, args, { env, maxBuffer: 1e7 }, (error, stdout, stderr) => {
      resolve({ failed: error !== null, output: stdout + stderr });
    });
  });
}

// Without any help of sshd, PAM or systemd: the launcher sets them.
describe('a gate', () => {
  it('has limits of its own by what the kernel says, and answers within them', async () => {
    const { failed, output } = await gate(
      `import fs from 'node:fs'; fs.writeSync(1, fs.readFileSync('/proc/self/limits'))`,
    );
    for (const [name, value] of [
      ['Max data size', 1024 ** 3],
      ['Max core file size', 0],
      ['Max open files', 256],
    ] as const)
      expect(output).toMatch(new RegExp(`^${name} +${value} +${value} `, 'm'));
    expect(failed, output).toBe(false);
    expect(output).toContain('"ok":true');
  });

  const took = (output: string): number =>
    Math.max(0, ...[...output.matchAll(/^(\d+) MB$/gm)].map(([, mb]) => Number(mb)));
  it.each([
    ['of its own heap', 'Array.from({ length: 1e6 }, (_, n) => n + 0.5)', 8, 150],
    ['outside of its heap', 'Buffer.alloc(16e6, 1)', 16, 800],
  ])('that takes memory %s without end is ended', async (_, piece, each, most) => {
    const eater = `const kept = []; while (kept.length < ${1_500 / each}) { kept.push(${piece}); process._rawDebug(kept.length * ${each} + ' MB'); }`;
    const { failed, output } = await gate(eater);
    expect(failed).toBe(true);
    expect(took(output)).toBeGreaterThan(each);
    expect(took(output)).toBeLessThan(most);
    expect(output).not.toContain('"ok":true');
  });
});
