import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './places.ts';
import type { HostName } from './switch.ts';

/** The switch's end of a host's cable. */
export const cable = (host: HostName): string => `v-${host}`;

/** Cables that take their time, laid between the switch and a host. This kernel has no queue that delays frames. */
export interface Wires {
  lay(host: HostName, ms: number): Promise<void>;
  removeAll(): Promise<void>;
}

export interface WiresParts {
  /** Network namespace of the switch. */
  readonly own: string;
  /** Lends its Python and its ethtool. */
  readonly image: string;
  readonly namespace: (host: HostName) => string;
  readonly ip: (...args: readonly string[]) => Promise<string>;
}

const script = readFileSync(join(import.meta.dirname, 'wire.py'), 'utf8');

export function createWires({ own, image, namespace, ip }: WiresParts): Wires {
  const laid = new Map<HostName, ChildProcess>();
  // A frame must be what will be on the wire: whole, of one MTU, with its checksum.
  const asIsOnTheWire = (where: string, device: string): Promise<string> =>
    run('nsenter', [`--net=/run/netns/${where}`, 'chroot', image, '/usr/sbin/ethtool', '-K', device,
      ...['tx', 'tso', 'gso', 'gro'].flatMap((feature) => [feature, 'off'])]); // prettier-ignore
  const remove = async (host: HostName): Promise<void> => {
    const wire = laid.get(host);
    if (wire === undefined) return;
    laid.delete(host);
    const ended = once(wire, 'exit');
    wire.stdin?.end();
    await ended;
    await ip('-n', own, 'link', 'del', `w-${host}`);
    await ip('-n', own, 'link', 'set', cable(host), 'master', 'br0');
  };
  return {
    removeAll: async () => {
      for (const host of [...laid.keys()]) await remove(host);
    },
    lay: async (host, ms) => {
      await remove(host);
      const [inner, outer] = [`w-${host}`, `x-${host}`];
      await ip('-n', own, 'link', 'add', inner, 'type', 'veth', 'peer', 'name', outer);
      for (const device of [cable(host), inner, outer]) await asIsOnTheWire(own, device);
      await asIsOnTheWire(namespace(host), 'eth0');
      await ip('-n', own, 'link', 'set', cable(host), 'nomaster');
      await ip('-n', own, 'link', 'set', outer, 'master', 'br0');
      for (const device of [inner, outer]) await ip('-n', own, 'link', 'set', device, 'up');
      for (const device of [cable(host), inner]) await ip('-n', own, 'link', 'set', device, 'promisc', 'on');
      laid.set(host, await startWire(own, image, [cable(host), inner, String(ms)]));
    },
  };
}

async function startWire(own: string, image: string, args: readonly string[]): Promise<ChildProcess> {
  const python = ['chroot', image, '/usr/bin/python3', '-c', script, ...args];
  const wire = spawn('nsenter', [`--net=/run/netns/${own}`, ...python], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [said] = (await Promise.race([once(wire.stdout, 'data'), once(wire, 'exit')])) as [unknown];
  if (!String(said).includes('ready')) throw new Error('the wire could not be laid');
  return wire;
}
