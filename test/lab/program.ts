import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { acquireLock } from '../../src/system/lock.ts';
import { checkout, type Host } from './host.ts';
import { cache, run } from './places.ts';

const parts = ['bin', 'src', 'facts', 'templates', 'scripts/package', 'package.json', 'package-lock.json'];

/** The program as a user gets it: one directory, built from this checkout. */
export async function packageDirectory(say: (line: string) => void): Promise<string> {
  const directory = join(cache, `package-${contentOf(parts)}`);
  if (existsSync(directory)) return directory;
  await mkdir(cache, { recursive: true });
  await using _lock = await acquireLock(join(cache, 'package.lock'), 'building the package');
  if (existsSync(directory)) return directory;
  say('building the package that the hosts install');
  for (const old of readdirSync(cache).filter((name) => name.startsWith('package-')))
    await rm(join(cache, old), { recursive: true });
  await rm(`${directory}.new`, { recursive: true, force: true });
  await run(join(checkout, 'scripts/package'), ['--dir', `${directory}.new`], 600_000);
  await rename(`${directory}.new`, directory);
  return directory;
}

function contentOf(paths: readonly string[]): string {
  const hash = createHash('sha256');
  const add = (path: string): void => {
    const whole = join(checkout, path);
    const entries = readdirSync(whole, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const below = join(path, entry.name);
      if (entry.isDirectory()) add(below);
      else hash.update(`${below}\0`).update(readFileSync(join(checkout, below)));
    }
  };
  for (const path of paths) {
    if (/\.|scripts\//.test(path)) hash.update(readFileSync(join(checkout, path)));
    else add(path);
  }
  return hash.digest('hex').slice(0, 12);
}

/** As README tells: the directory is copied, and a link made. */
export async function copyProgram(host: Host, directory: string): Promise<void> {
  await mkdir(host.path('/opt/pe_failover'), { recursive: true });
  await run('rsync', ['-a', '--chown=root:root', `${directory}/`, `${host.path('/opt/pe_failover')}/`], 300_000);
  await host.sh('ln -sf /opt/pe_failover/bin/pe-failover /usr/local/sbin/pe-failover');
}
