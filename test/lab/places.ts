import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { exec } from '../../src/system/exec.ts';

/** Outside the repository: images are built once for all checkouts of a user. */
export const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'pe-failover-lab');

export const hash12 = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);

/** Of network namespaces and cgroups, which all users of this machine share: each cache has labs of its own. */
export const nameOf = (lab: string, part: string): string => `pf-${hash12(cache).slice(0, 4)}-${lab}-${part}`;

/** Runs a tool of this machine to its end, in this machine's environment (how it reaches packages); gives what it printed. */
export async function run(file: string, args: readonly string[], timeoutMs = 60_000, input = ''): Promise<string> {
  const env = Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return (await exec({ file, args, timeoutMs, input, env: Object.fromEntries(env) })).stdout;
}
