import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { run } from './places.ts';

/** The disk of a host: an ext4 image of its own, so that power can be lost, over the shared image. */
export interface Disk {
  /** Where the host's root file system is mounted on this machine. */
  readonly root: string;
  readonly image: string;
  mount(): Promise<void>;
  unmount(): Promise<void>;
  /** What was not synced is gone, as when power fails. The host must be ended right after. */
  losePower(): void;
  wipe(): Promise<void>;
}

/** `layers`: directories below the host's own writes, the uppermost first. */
export function createDisk(home: string, layers: readonly string[], sizeGb = 16): Disk {
  const image = join(home, 'disk.img');
  const disk = join(home, 'disk');
  const root = join(home, 'root');
  const device = join(home, 'device');
  const mount = async (): Promise<void> => {
    if (await isMounted(root)) return;
    for (const path of [disk, root]) await mkdir(path, { recursive: true });
    if (!existsSync(image)) {
      await run('truncate', ['-s', `${sizeGb}G`, image]);
      await run('mkfs.ext4', ['-q', '-E', 'lazy_itable_init=1,lazy_journal_init=1', image]);
    }
    await untilReleased(image);
    const loop = (await run('losetup', ['--direct-io=on', '--show', '-f', image])).trim();
    await writeFile(device, loop);
    // No discard: ext4 that is shut down still discards what was freed, and not committed.
    await run('mount', ['-o', 'noatime', loop, disk]);
    for (const name of ['upper', 'work']) await mkdir(join(disk, name), { recursive: true });
    const options = `lowerdir=${layers.join(':')},upperdir=${join(disk, 'upper')},workdir=${join(disk, 'work')}`;
    await run('mount', ['-t', 'overlay', 'overlay', '-o', options, root]);
  };
  const unmount = async (): Promise<void> => {
    for (const path of [root, disk]) await unmountPatiently(path);
    const loop = await readFile(device, 'utf8').catch(() => undefined);
    if (loop !== undefined) await run('losetup', ['-d', loop]).catch(() => undefined);
    await rm(device, { force: true });
  };
  const losePower = (): void => {
    const descriptor = openSync(disk, 'r');
    try {
      shutDown(layers.at(-1) ?? '/', descriptor);
    } finally {
      closeSync(descriptor);
    }
  };
  return { root, image, mount, unmount, losePower, wipe: () => rm(home, { recursive: true, force: true }) };
}

/** A second mount of an image that is still in use somewhere would destroy what is on it. */
async function untilReleased(image: string): Promise<void> {
  for (let waited = 0; (await run('losetup', ['-j', image])) !== ''; waited += 100) {
    if (waited > 20_000)
      throw new Error(`${image} is still mounted in some mount namespace, and cannot be mounted anew`);
    await sleep(100);
  }
}

async function isMounted(path: string): Promise<boolean> {
  const mounts = await readFile('/proc/self/mounts', 'utf8');
  return mounts.split('\n').some((line) => line.split(' ')[1] === path);
}

/** Processes of a host that was killed may hold its files for a moment longer. */
async function unmountPatiently(path: string): Promise<void> {
  for (let tries = 0; await isMounted(path); tries++) {
    const failed = await run('umount', [path]).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failed === undefined) return;
    if (tries === 100) throw new Error(`${path} stays busy`, { cause: failed });
    await sleep(100);
  }
}

/** EXT4_IOC_SHUTDOWN without flushing the journal; Node.js has no ioctl, so the image's Python does it. */
function shutDown(image: string, descriptor: number): void {
  const program = 'import fcntl, struct; fcntl.ioctl(3, 0x8004587d, struct.pack("I", 2))';
  const { status, stderr } = spawnSync('chroot', [image, '/usr/bin/python3', '-c', program], {
    stdio: ['ignore', 'ignore', 'pipe', descriptor],
    encoding: 'utf8',
    timeout: 20_000,
  });
  if (status !== 0) throw new Error(`the disk could not be shut down: ${stderr}`);
}
