import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './places.ts';
import type { Host } from './host.ts';

/** A file system of its own, small enough to run full, under a directory of a host; what lay there lies on it. */
export interface SmallDisk {
  /** Leaves so many bytes, or none. */
  fill(leaveBytes?: number): Promise<void>;
  free(): Promise<void>;
  mount(how: 'ro' | 'rw'): Promise<void>;
}

/** `units` use what lies there: they are stopped while it is moved. */
export async function giveOwnDisk(
  host: Host,
  directory: string,
  megabytes: number,
  units: readonly string[],
): Promise<SmallDisk> {
  const name = directory.replaceAll('/', '-').slice(1);
  const image = host.path(`/var/disks/${name}.img`);
  await mkdir(host.path('/var/disks'), { recursive: true });
  await run('truncate', ['-s', `${megabytes}M`, image]);
  await run('mkfs.ext4', ['-q', '-m', '0', image]);
  const loop = (await run('losetup', ['--show', '-f', image])).trim();
  const [device, aside] = [join('/dev', name), `/var/disks/${name}.aside`];
  const minor = loop.replace('/dev/loop', '');
  if (units.length > 0) await host.sh(`systemctl stop ${units.join(' ')}`);
  await host.sh(`mv ${directory} ${aside}; mkdir ${directory}; mknod ${device} b 7 ${minor}
    mount ${device} ${directory}; rmdir ${directory}/lost+found; cp -a ${aside}/. ${directory}/; rm -r ${aside} ${device}`);
  await run('losetup', ['-d', loop]); // it goes when it is unmounted, with the host at the latest
  if (units.length > 0) await host.sh(`systemctl start ${units.join(' ')}`);
  const filler = `${directory}/filler`;
  return {
    fill: async (leaveBytes = 0) => {
      await host.try(`dd if=/dev/zero of=${filler} bs=64k; dd if=/dev/zero bs=512 >>${filler}; sync ${filler}`);
      if (leaveBytes > 0) await host.sh(`truncate -s -${leaveBytes} ${filler}; sync ${filler}`);
    },
    free: async () => void (await host.sh(`rm -f ${filler}`)),
    mount: async (how) => void (await host.sh(`mount -o remount,${how} ${directory}`)),
  };
}
