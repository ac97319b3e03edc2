import { bad, good, note, type Finding } from './findings.ts';
import { spokenBytes } from './spoken.ts';

/** A word of a shell, whatever is in it. */
export const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** What a host says of itself before it becomes a spare: `name=value` lines of the script below. */
export interface HostReport {
  readonly uid: number;
  /** `uname -m`. */
  readonly machine: string;
  /** Of this program there; empty: none. */
  readonly version: string;
  /** The role in its fact; empty: never installed. */
  readonly mode: string;
  /** Certname of the other master that it knows. */
  readonly peer: string;
  /** Of PE; empty: none. */
  readonly build: string;
  readonly certname: string;
  /** Bytes below its /var/lib. */
  readonly free: number;
  readonly puppetserver: string;
}

/** For `sh -s`. It changes nothing. `root` is without a final slash, empty for /. */
export const reportScript = (root: string, directory: string): string =>
  [
    `root=${quoted(root)} directory=${quoted(directory)}`,
    'PATH=$PATH:/usr/sbin:/sbin:/opt/puppetlabs/bin',
    'echo "uid=$(id -u)"',
    'echo "machine=$(uname -m)"',
    'echo "version=$("$directory/bin/pe-failover" --version 2>/dev/null)"',
    'fact=$root/opt/puppetlabs/facter/facts.d/pe_failover.yaml',
    'echo "mode=$(sed -n "s/^pe_failover_mode: *//p" "$fact" 2>/dev/null)"',
    'echo "peer=$(sed -n "s/.*pe-failover:\\([a-z0-9._-]*\\):.*/\\1/p" "$root/var/lib/pe_failover/state/peer.json" 2>/dev/null)"',
    'echo "build=$(cat "$root/opt/puppetlabs/server/pe_build" 2>/dev/null)"',
    'configured=$(sed -n "s/^certname: *//p" "$root/etc/puppetlabs/pe_failover/pe_failover.yaml" 2>/dev/null)',
    'echo "certname=${configured:-$(puppet config print certname 2>/dev/null || hostname -f)}"',
    'at=$root/var/lib; [ -d "$at" ] || at=${root:-/}',
    `echo "free=$(df -Pk "$at" | awk 'NR == 2 { print $4 }')"`,
    'echo "puppetserver=$(systemctl is-active pe-puppetserver puppetserver 2>/dev/null | grep -x active | head -n 1)"',
    '',
  ].join('\n');

export function parseHostReport(text: string): HostReport {
  const lines = text.split('\n').map((line) => /^([a-z]+)=(.*)$/.exec(line.trim()));
  const found = new Map(lines.flatMap((line) => (line === null ? [] : [[line[1] ?? '', line[2] ?? ''] as const])));
  const value = (name: string): string => (found.get(name) ?? '').replace(/^["']|["']$/g, '').slice(0, 255);
  return {
    ...{ uid: Number(value('uid') || NaN), machine: value('machine'), version: value('version'), mode: value('mode') },
    ...{ peer: value('peer'), build: value('build'), certname: value('certname').toLowerCase() },
    ...{ free: Number(value('free') || NaN) * 1024, puppetserver: value('puppetserver') },
  };
}

export interface HereReport {
  readonly certname: string;
  /** As `HostReport` has it. */
  readonly machine: string;
  readonly build: string;
  /** Bytes that the program, a CA and some dumps need there. */
  readonly needs: number;
  /** Whether the CA of this master is to be taken over there. */
  readonly hasCa: boolean;
  /** Below a root of its own anybody may be who installs. */
  readonly demandsRoot: boolean;
}

/** Whether that host can become the spare of this master. */
export function judgeHost(there: HostReport, here: HereReport): Finding[] {
  const { certname, mode, peer, build, free } = there;
  const found: Finding[] = [];
  if (here.demandsRoot && there.uid !== 0)
    found.push(bad('the login there is not root', 'Log in as root, or add --sudo: sudo must not ask for a password'));
  if (there.machine !== here.machine)
    found.push(bad(`that is ${there.machine}, and this is ${here.machine}`, 'Both masters need the same architecture'));
  if (certname === here.certname || certname === '')
    found.push(bad(`it calls itself "${certname}", as this master`, 'Set certname in puppet.conf there'));
  if (build !== here.build)
    found.push(bad(`PE there is "${build}", and "${here.build}" here`, 'Install the same version on both'));
  if (mode === 'active' && peer !== here.certname)
    found.push(
      bad(`it is an active, of another spare (${peer})`, 'Type there: pe-failover uninstall --purge', '--force'),
    );
  else if (mode !== '' && peer !== '' && peer !== here.certname)
    found.push(bad(`it is the spare of ${peer}`, 'Type there: pe-failover uninstall --purge', '--force'));
  else if (mode === 'active') found.push(note('it is an active of this pair, and becomes the spare of this one'));
  const room = Number.isNaN(free) ? 'does not say how much is free' : `has ${spokenBytes(free)} free`;
  if (!(free >= here.needs))
    found.push(bad(`it ${room}, and needs ${spokenBytes(here.needs)}`, 'Free some space there'));
  if (here.hasCa && there.puppetserver !== '')
    found.push(
      note(
        'puppetserver runs there: the CA is taken over when it is stopped',
        'Type there: systemctl stop puppetserver (pe-puppetserver with PE)',
      ),
    );
  if (found.every(({ verdict }) => verdict !== 'bad'))
    found.unshift(good(`${certname} can become the spare: same build, ${spokenBytes(free)} free`));
  return found;
}
