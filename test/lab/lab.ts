import { existsSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
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

export const knownLabs = async (): Promise<string[]> =>
  (await readdir(cache).catch((): string[] => [])).flatMap((name) => /^lab-(.+)$/.exec(name)?.[1] ?? []);
