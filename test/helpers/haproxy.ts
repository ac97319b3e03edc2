import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './sshd.ts';

export interface BehindBalancer {
  readonly puppetserver: string;
  /** Port of `/health`. */
  readonly health: number;
}

/** The configuration of docs/operate.md, with other addresses. */
export function balancerText(bind: string, masters: Readonly<Record<'mastera' | 'masterb', BehindBalancer>>): string {
  const page = readFileSync(join(import.meta.dirname, '../../docs/operate.md'), 'utf8');
  const [, example = ''] = /```\n(global\n[\s\S]*?)```/.exec(page) ?? [];
  return Object.entries(masters)
    .reduce(
      (text, [name, { puppetserver, health }]) =>
        text
          .replaceAll(`${name}.example.com:8140 check port 8187`, `${puppetserver} check port ${health}`)
          .replaceAll(`${name}.example.com:8140`, puppetserver),
      example,
    )
    .replace('bind :8140', `bind ${bind}`);
}

export interface Balancer extends AsyncDisposable {
  readonly port: number;
}

/** A real HAProxy on loopback, in the foreground, with nothing of this machine's own configuration. */
export async function startBalancer(masters: Parameters<typeof balancerText>[1]): Promise<Balancer> {
  const directory = mkdtempSync(join(tmpdir(), 'pe-failover-haproxy-'));
  const port = await freePort();
  const file = join(directory, 'haproxy.cfg');
  writeFileSync(file, balancerText(`127.0.0.1:${port}`, masters));
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` };
  const checked = spawnSync('haproxy', ['-c', '-f', file], { env, encoding: 'utf8' });
  if (checked.status !== 0) throw new Error(checked.stderr);
  const child = spawn('haproxy', ['-db', '-f', file], { env, stdio: ['ignore', 'ignore', 'ignore'] });
  while (!(await answers(port))) await sleep(20);
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
      rmSync(directory, { recursive: true });
    },
  };
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
