// A spare that is installed below the places of a switch, as another process sees it: by its configuration alone.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { serviceCommands } from './database-service.ts';
import type { SparePlaces } from './database-spare.ts';
import { pairingLineOf } from './own-system.ts';
import { pathsBelow, program } from './pair.ts';

/** What belongs to the database: a key file of the same pair. */
export const keyFile = '/etc/keys.json';
let installed = '';

const write = (root: string, path: string, text: string): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text, { mode: 0o600 });
};
const configure = (root: string, config: object): void =>
  write(root, 'etc/puppetlabs/pe_failover/pe_failover.yaml', JSON.stringify({ platform: 'puppet', ...config }));

/** Once for a test file: what each `spareBelow` copies. */
export async function installSpare(): Promise<void> {
  installed = mkdtempSync(join(tmpdir(), 'pe-failover-installed-'));
  const line = await pairingLineOf('mastera.test');
  configure(installed, { certname: 'masterb.test' });
  write(installed, 'etc/ssh/ssh_host_ed25519_key.pub', `${line.split(' ').slice(0, 2).join(' ')}\n`);
  const { code, output } = command(installed, 'install', '--passive', '--auth-key', line);
  expect(code, output).toBe(0);
}

/** A spare below the places of the switch, with the same key files. Its configuration lists no database any more. */
export function spareBelow({ home, services, socket, database, bin, runAs }: SparePlaces): {
  root: string;
  journal: string;
} {
  const root = join(home, 'root');
  cpSync(installed, root, { recursive: true });
  const commands = Object.entries(services).map(([unit, at]) => [unit, serviceCommands(at, socket, database)]);
  configure(root, {
    certname: 'masterb.test',
    paths: { cadir: join(root, 'ca') },
    postgres: { host: socket, bin, run_as: runAs },
    services: { manager: 'commands', commands: Object.fromEntries(commands) as object },
    jobs: { restore_dbs: { health_wait: '200ms' } },
  });
  const paths = pathsBelow(root);
  const kept = join(paths.archive, 'key-files');
  mkdirSync(kept);
  symlinkSync(paths.keyFiles, join(home, 'waiting'));
  symlinkSync(kept, join(home, 'kept'));
  write(root, keyFile, 'key of old');
  write(paths.keyFiles, keyFile, 'key of new');
  return { root, journal: join(paths.journal, 'restore-dbs.pe-rbac.jsonl') };
}

export function command(root: string, verb: string, ...args: string[]): { code: number | null; output: string } {
  const options = { encoding: 'utf8', timeout: 60_000 } as const;
  const { status, stdout, stderr } = spawnSync(program, [verb, '--root', root, ...args], options);
  return { code: status, output: stdout + stderr };
}

/** Its sockets lie outside of its root. */
export function forgetSpare({ home }: SparePlaces): void {
  rmSync(pathsBelow(join(home, 'root')).run, { recursive: true, force: true });
}

export function removeInstalled(): void {
  rmSync(pathsBelow(installed).run, { recursive: true, force: true });
  rmSync(installed, { recursive: true });
}
