import { existsSync } from 'node:fs';
import { nameOf, run } from './places.ts';
import { cable, createWires } from './wires.ts';

/** The names under which hosts know each other; `puppet.lab` is whichever master agents are pointed at. */
export const addresses = { agent: '10.77.0.10', mastera: '10.77.0.11', masterb: '10.77.0.12' } as const;
export type HostName = keyof typeof addresses;
export const hostNames = Object.keys(addresses) as readonly HostName[];

export type Cut =
  /** Nothing passes between the two, or only nothing from `from` to `to`; a third host still sees both. */
  | { readonly kind: 'cut'; readonly from: HostName; readonly to: HostName; readonly oneWay?: boolean }
  | { readonly kind: 'loss'; readonly from: HostName; readonly to: HostName; readonly percent: number }
  /** Frames to and from the host take that long, each way. */
  | { readonly kind: 'delay'; readonly host: HostName; readonly ms: number }
  /** The cable is out: the host sees its carrier go. */
  | { readonly kind: 'unplugged'; readonly host: HostName };

/** A switch in a network namespace of its own, with a cable to each host's. */
export interface Switch {
  /** The network namespace of a host, plugged in. */
  plug(host: HostName): Promise<string>;
  /** Frames of these kinds are lost from now on, silently. */
  apply(cut: Cut): Promise<void>;
  /** Undoes every cut. */
  heal(): Promise<void>;
  remove(): Promise<void>;
}

/** `image` lends its nft: this machine needs none. */
export function createSwitch(lab: string, image: string): Switch {
  const own = nameOf(lab, 'switch');
  const namespace = (host: HostName): string => nameOf(lab, host);
  const ip = (...args: readonly string[]): Promise<string> => run('ip', args);
  const nft = (text: string): Promise<string> =>
    run('nsenter', [`--net=/run/netns/${own}`, 'chroot', image, '/usr/sbin/nft', '-f', '-'], 60_000, text);
  const rule = (from: HostName, to: HostName, what: string): string =>
    `add rule bridge lab cut iifname ${cable(from)} oifname ${cable(to)} ${what}\n`;
  let created: Promise<void> | undefined;
  const plug = async (host: HostName): Promise<string> => {
    await (created ??= create(own, ip, nft));
    const there = namespace(host);
    if (!existsSync(`/run/netns/${there}`)) {
      await ip('netns', 'add', there);
      await ip('link', 'add', cable(host), 'netns', own, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', there);
      await ip('-n', own, 'link', 'set', cable(host), 'master', 'br0');
      for (const device of ['lo', 'eth0']) await ip('-n', there, 'link', 'set', device, 'up');
      await ip('-n', there, 'addr', 'add', `${addresses[host]}/24`, 'dev', 'eth0');
    }
    await ip('-n', own, 'link', 'set', cable(host), 'up');
    return there;
  };
  const wires = createWires({ own, image, namespace, ip });
  const apply = async (cut: Cut): Promise<void> => {
    if (cut.kind === 'delay') return await wires.lay(cut.host, cut.ms);
    if (cut.kind === 'unplugged') return void (await ip('-n', own, 'link', 'set', cable(cut.host), 'down'));
    const thousandth = cut.kind === 'loss' ? `numgen random mod 1000 < ${Math.round(cut.percent * 10)} ` : '';
    const oneWay = cut.kind === 'cut' && cut.oneWay === true;
    const there = rule(cut.from, cut.to, `${thousandth}drop`);
    await nft(oneWay ? there : there + rule(cut.to, cut.from, `${thousandth}drop`));
  };
  const heal = async (): Promise<void> => {
    if (!existsSync(`/run/netns/${own}`)) return;
    await nft('flush chain bridge lab cut\n');
    await wires.removeAll();
    for (const host of hostNames)
      if (existsSync(`/run/netns/${namespace(host)}`)) await ip('-n', own, 'link', 'set', cable(host), 'up');
  };
  const remove = async (): Promise<void> => {
    created = undefined;
    await wires.removeAll();
    for (const name of [...hostNames.map(namespace), own])
      if (existsSync(`/run/netns/${name}`)) await ip('netns', 'del', name);
  };
  return { plug, apply, heal, remove };
}

async function create(
  own: string,
  ip: (...args: readonly string[]) => Promise<string>,
  nft: (text: string) => Promise<string>,
): Promise<void> {
  if (existsSync(`/run/netns/${own}`)) return;
  await ip('netns', 'add', own);
  await ip('-n', own, 'link', 'add', 'br0', 'type', 'bridge');
  await ip('-n', own, 'link', 'set', 'br0', 'up');
  await nft('add table bridge lab\nadd chain bridge lab cut { type filter hook forward priority 0; policy accept; }\n');
}
