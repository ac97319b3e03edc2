import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { exec } from '../../src/system/exec.ts';

/** Outside the repository: images are built once for all checkouts of a user. */
export const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'pe-failover-lab');

export const hash12 = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);

/** Runs a tool of this machine to its end; gives what it printed. */
export async function run(file: string, args: readonly string[], timeoutMs = 60_000, input = ''): Promise<string> {
  return (await exec({ file, args, timeoutMs, input, env: proxies() })).stdout;
}

function proxies(): Record<string, string> {
  const names = ['http_proxy', 'https_proxy', 'no_proxy'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}
