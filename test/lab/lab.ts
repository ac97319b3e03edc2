import { existsSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { acquireLock, type Lock } from '../../src/system/lock.ts';
import { createDisk } from './disk.ts';
import { createHost, type Host } from './host.ts';
import { imageDirectory } from './image.ts';
import { cache } from './places.ts';
import { createSwitch, hostNames, type HostName, type Switch } from './switch.ts';

/** Hosts on a network of their own. Several labs may be up on one machine, each under its name. */
export interface Lab extends AsyncDisposable {
  readonly network: Switch;
  host(name: HostName): Host;
  /** Ends all hosts, orderly; with `wipe` their disks go too. */
  down(options: { wipe: boolean }): Promise<void>;
}

export interface LabOptions {
  readonly say: (line: string) => void;
  /** A prepared disk of each host, below its own writes. */
  readonly prepared?: Readonly<Partial<Record<HostName, string>>>;
}

/** `name`: a few letters, in names of network namespaces and cgroups. */
export async function openLab(name: string, { say, prepared = {} }: LabOptions): Promise<Lab> {
  const image = await imageDirectory(say);
  const home = join(cache, `lab-${name}`);
  await mkdir(home, { recursive: true });
  const network = createSwitch(name, image);
  const hosts = Object.fromEntries(
    hostNames.map((host) => {
      const own = join(home, host);
      const above = prepared[host];
      const disk = createDisk(own, above === undefined ? [image] : [above, image]);
      return [host, createHost(host, { lab: name, home: own, disk, network })];
    }),
  ) as Record<HostName, Host>;
  for (const host of hostNames) await mkdir(join(home, host), { recursive: true });
  const down = async ({ wipe }: { wipe: boolean }): Promise<void> => {
    await Promise.all(Object.values(hosts).map((host) => (wipe ? host.wipe() : host.shutDown())));
    await network.remove();
    if (wipe) await rm(home, { recursive: true, force: true });
  };
  return { network, host: (host) => hosts[host], down, [Symbol.asyncDispose]: () => down({ wipe: true }) };
}

/** Ends what a killed run left under this name. */
export async function clearLab(name: string, say: (line: string) => void): Promise<void> {
  if (!existsSync(join(cache, `lab-${name}`))) return;
  const lab = await openLab(name, { say });
  await lab.down({ wipe: true });
}

/** One run at a time: it would end another one's hosts. */
export async function lockTests(): Promise<Lock> {
  await mkdir(cache, { recursive: true });
  return await acquireLock(join(cache, 'tests.lock'), 'tests of the lab');
}

/** Ends all that tests left; to be called under their lock. */
export async function clearTests(say: (line: string) => void): Promise<void> {
  const labs = (await readdir(cache)).flatMap((name) => /^lab-(test.*)$/.exec(name)?.[1] ?? []);
  for (const name of labs) await clearLab(name, say);
}
