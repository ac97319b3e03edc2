import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { acquireLock } from '../../src/system/lock.ts';
import { cache, hash12, run } from './places.ts';

// The root file system that all hosts share, read-only: Debian with what a master has before puppetserver and us.

const release = 'bookworm';
const packages = [
  ...['openssh-server', 'rsync', 'postgresql', 'rsyslog', 'cron', 'sudo', 'curl', 'openssl', 'puppet-agent', 'facter'],
  ...['iproute2', 'iputils-ping', 'nftables', 'ethtool', 'python3-minimal', 'procps', 'psmisc', 'less', 'libfaketime'],
];
/** In apt's cache but not installed: a host installs them as an admin would, without a network. */
const offered = ['puppetserver', 'haproxy'];
const quiet = ['cron', 'puppet'];
const masked = [
  ...['systemd-udevd.service', 'systemd-udev-trigger.service', 'systemd-networkd-wait-online.service'],
  ...['e2scrub_reap.service', 'console-getty.service', 'apt-daily.timer', 'apt-daily-upgrade.timer'],
  ...['dpkg-db-backup.timer', 'fstrim.timer', 'logrotate.timer'],
];
const files: Readonly<Record<string, string>> = {
  'etc/dpkg/dpkg.cfg.d/lab': [
    'force-unsafe-io',
    ...['man', 'doc', 'locale'].map((name) => `path-exclude=/usr/share/${name}/*`),
    'path-include=/usr/share/doc/*/copyright',
    '',
  ].join('\n'),
  'etc/apt/apt.conf.d/lab':
    'APT::Install-Recommends "false";\nBinary::apt::APT::Keep-Downloaded-Packages "true";\nAPT::Keep-Downloaded-Packages "true";\n',
  'etc/systemd/journald.conf.d/lab.conf': '[Journal]\nStorage=volatile\nForwardToSyslog=yes\n',
  // A name server that does not answer costs puppet 30 s a run.
  'etc/resolv.conf': 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n',
};

/** The directory of the image; built on first use, which takes a minute or two. */
export async function imageDirectory(say: (line: string) => void): Promise<string> {
  const key = hash12(JSON.stringify([release, packages, offered, quiet, masked, files, 1]));
  const image = join(cache, `image-${key}`);
  if (existsSync(image)) return image;
  await mkdir(cache, { recursive: true });
  await using _lock = await acquireLock(join(cache, 'image.lock'), 'building the image');
  if (!existsSync(image)) await build(image, say);
  return image;
}

async function build(image: string, say: (line: string) => void): Promise<void> {
  const root = `${image}.new`;
  await rm(root, { recursive: true, force: true });
  say(`building the image of the hosts in ${image}: once, a minute or two`);
  const sources = await aptSources();
  const mirror = sources.find((line) => line.split(' ')[2] === release)?.split(' ')[1];
  if (mirror === undefined) throw new Error(`apt of this machine has no source for ${release}`);
  const first = ['systemd', 'systemd-sysv', 'dbus', 'ca-certificates'].join(',');
  await run('debootstrap', ['--variant=minbase', `--include=${first}`, release, root, mirror], 900_000);
  await placeFiles(root, sources);
  await installPackages(root);
  await settle(root);
  await rename(root, image);
}

/** The package sources of this machine, as lines of a sources.list. */
async function aptSources(): Promise<string[]> {
  const format = 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)';
  const printed = await run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']);
  return [...new Set(printed.trim().split('\n'))];
}

async function placeFiles(root: string, sources: readonly string[]): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  await copyFile('/etc/resolv.conf', join(root, 'etc/resolv.conf'));
  const access = (await run('apt-config', ['dump'])).split('\n').filter((line) => /^Acquire::https?::/.test(line));
  await writeFile(join(root, 'etc/apt/apt.conf.d/machine'), `${access.join('\n')}\n`);
  await writeFile(join(root, 'etc/apt/sources.list'), `${sources.join('\n')}\n`);
  await writeFile(join(root, 'usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n');
  await chmod(join(root, 'usr/sbin/policy-rc.d'), 0o755);
}

async function installPackages(root: string): Promise<void> {
  const inside = (...command: readonly string[]): Promise<string> =>
    run('chroot', [root, 'env', 'DEBIAN_FRONTEND=noninteractive', ...command], 1_200_000);
  await run('mount', ['-t', 'proc', 'proc', join(root, 'proc')]);
  try {
    await inside('apt-get', '-qq', 'update');
    await inside('apt-get', '-qq', '-y', 'install', ...packages);
    await inside('apt-get', 'clean');
    await inside('apt-get', '-qq', '-y', '--download-only', 'install', ...offered);
    await inside('systemctl', 'disable', ...quiet);
    await inside('systemctl', 'mask', ...masked);
  } finally {
    await run('umount', [join(root, 'proc')]);
  }
}

/** What must differ from host to host is not in the image. */
async function settle(root: string): Promise<void> {
  await rm(join(root, 'usr/sbin/policy-rc.d'));
  for (const path of ['var/lib/dbus/machine-id', 'etc/hostname']) await rm(join(root, path), { force: true });
  await writeFile(join(root, 'etc/machine-id'), '');
  await run('sh', ['-c', 'rm -f "$1"/etc/ssh/ssh_host_*', 'sh', root]);
  await writeFile(join(root, 'etc/resolv.conf'), files['etc/resolv.conf'] ?? '');
}
