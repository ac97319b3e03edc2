import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { hash8 } from './agent/installation.ts';
import { loadConfig, type Config } from './config.ts';
import { createBinding } from './drops/binding.ts';
import { Failure } from './errors.ts';
import { printSetting } from './puppet/settings.ts';
import { detectPlatform } from './rules/defaults.ts';
import { machineIdOf, type Machine } from './rules/machine.ts';
import { pathsFor, runDirectory, type Paths } from './rules/paths.ts';
import { readAccounts } from './system/accounts.ts';
import { systemClock, type Clock } from './system/clock.ts';
import { exec, type Exec } from './system/exec.ts';
import { readIfThere } from './system/files.ts';
import { createState } from './system/state.ts';

/** The launcher of this program: beside `dist` or `src`. */
export const program = join(import.meta.dirname, '../bin/pe-failover');
export const template = (name: string): string => readFileSync(join(import.meta.dirname, '../templates', name), 'utf8');
export const sampleConfig = (): string => template('pe_failover.yaml');

/** This machine as one master, before it is known whether it was installed. */
export interface Host {
  readonly paths: Paths;
  readonly config: Config;
  readonly certname: string;
  /** To which state is bound. */
  readonly machine: Machine;
  readonly exec: Exec;
  readonly clock: Clock;
  /** Root on its own machine: users are made and files given away. */
  readonly system: boolean;
  /** The transfer user's ids, where it exists and matters. */
  readonly transferIds: () => Promise<{ uid: number; gid: number } | undefined>;
  readonly hostKeyPath: string;
  below(path: string): string;
}

export async function openHost(root: string): Promise<Host> {
  const real = existsSync(root) ? realpathSync(root) : root;
  const uid = userInfo().uid;
  const paths = pathsFor(real, runDirectory(real, uid, hash8(real)));
  const below = (path: string): string => (real === '/' ? path : join(real, path));
  const config = await loadConfig(
    paths.config,
    detectPlatform((path) => existsSync(below(path))),
  );
  const system = real === '/' && uid === 0;
  const certname = (
    config.certname ??
    (await askCertname(config, paths)) ??
    (await guessCertname(paths))
  ).toLowerCase();
  const machineId = machineIdOf((await readIfThere(paths.machineId)) ?? '');
  return {
    paths,
    config,
    certname,
    machine: { certname, ...(machineId === undefined ? {} : { id: machineId }) },
    exec,
    clock: systemClock,
    system,
    below,
    hostKeyPath: below('/etc/ssh/ssh_host_ed25519_key.pub'),
    transferIds: async () => {
      const accounts = await readAccounts();
      const ids = { uid: accounts.uid(config.transfer.user), gid: accounts.gid(config.transfer.user) };
      return ids.uid === undefined || ids.gid === undefined ? undefined : { uid: ids.uid, gid: ids.gid };
    },
  };
}

export const puppetProgram = (): string =>
  existsSync('/opt/puppetlabs/bin/puppet') ? '/opt/puppetlabs/bin/puppet' : 'puppet';

/** What makes users and gives files away. Asked before anything is read that root alone may read. */
export function demandRoot(root: string): void {
  if (root !== '/' || userInfo().uid === 0) return;
  throw new Failure('usage', 'only root may do this', { hint: 'Type it again with sudo, or as root' });
}

// Below a root of its own nothing is asked of the machine's puppet.
async function askCertname({ paths: { puppet } }: Config, paths: Paths): Promise<string | undefined> {
  if (paths.root !== '/') return undefined;
  const place = { puppet: puppet ?? puppetProgram(), memory: createState(paths.state) };
  return await printSetting(exec, place, 'certname').catch(() => undefined);
}

/** A puppet that does not answer makes no other machine of this one: it is who it was. */
async function guessCertname(paths: Paths): Promise<string> {
  const bound = await createBinding(createState(paths.state))
    .read()
    .catch(() => undefined);
  return bound?.certname ?? hostname();
}
