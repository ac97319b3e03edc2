// scripts/lab: two masters on this machine, each a host of its own, for a person who wants to see it work and break it.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { isBusy } from '../../src/system/lock.ts';
import { clearTests, lockTests, openLab, type Lab } from './lab.ts';
import { bootstrapPair } from './pair.ts';
import { hostNames, type HostName } from './switch.ts';

const usage = `scripts/lab up [--bare]                starts mastera and masterb; the first time it installs a whole pair there,
                                       which takes some minutes (--bare: nothing but the hosts)
scripts/lab exec HOST [LINE]           runs a shell line in a host, or a shell
scripts/lab partition HOST HOST        nothing passes between the two (--one-way: nothing from the first to the second;
                                       --loss PERCENT: some frames get lost)
scripts/lab unplug HOST                its cable is out
scripts/lab heal                       the network is whole again
scripts/lab kill HOST [--power-loss]   ends a host without a word; with --power-loss, what was not synced is gone
scripts/lab probe                      tells whether a host can start on this machine
scripts/lab down [--wipe]              shuts all down, also what interrupted tests left; with --wipe the disks go too
HOST is one of ${hostNames.join(', ')}.`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    bare: { type: 'boolean', default: false },
    'one-way': { type: 'boolean', default: false },
    loss: { type: 'string' },
    'power-loss': { type: 'boolean', default: false },
    wipe: { type: 'boolean', default: false },
  },
});

const verbs: Readonly<Record<string, (lab: Lab, rest: readonly string[]) => Promise<number | void>>> = {
  up: (lab) => up(lab),
  exec: async (lab, [name, ...line]) => enter(lab, hostOf(name), line),
  partition: async ({ network }, [first, second]) => {
    const [from, to] = [hostOf(first), hostOf(second)];
    if (values.loss === undefined) return await network.apply({ kind: 'cut', from, to, oneWay: values['one-way'] });
    await network.apply({ kind: 'loss', from, to, percent: Number(values.loss) });
  },
  unplug: async ({ network }, [name]) => network.apply({ kind: 'unplugged', host: hostOf(name) }),
  heal: ({ network }) => network.heal(),
  kill: (lab, [name]) => lab.host(hostOf(name)).die({ powerLoss: values['power-loss'] }),
  probe: () => probe(),
  down: (lab) => down(lab),
};

async function up(lab: Lab): Promise<void> {
  const [a, b] = [lab.host('mastera'), lab.host('masterb')];
  await Promise.all([a.boot(), b.boot()]);
  if (!values.bare && !existsSync(b.path('/opt/pe_failover'))) await bootstrapPair(lab, console.error);
  console.error('mastera and masterb are up. Type: ./scripts/lab exec masterb pe-failover status');
}

/** Also the hosts of tests that were interrupted; those of tests that run stay. */
async function down(lab: Lab): Promise<void> {
  await lab.down({ wipe: values.wipe });
  const lock = await lockTests().catch((error: unknown) => {
    if (!isBusy(error)) throw error;
  });
  if (lock !== undefined) await clearTests(console.error);
  await lock?.release();
}

/** Throws what keeps a host from starting on this machine. */
async function probe(): Promise<void> {
  await using lab = await openLab('probe', { say: console.error });
  await lab.host('agent').boot();
}

function enter(lab: Lab, name: HostName, line: readonly string[]): number {
  const [file, ...args] = lab.host(name).inside(line.length === 0 ? 'exec bash -l' : line.join(' '));
  return spawnSync(file, args, { stdio: 'inherit' }).status ?? 1;
}

function hostOf(name: string | undefined): HostName {
  const found = hostNames.find((host) => host === name);
  if (found === undefined) throw new Error(`${name ?? 'nothing'} is no host: ${hostNames.join(', ')}`);
  return found;
}

const [verb = '', ...rest] = positionals;
const act = verbs[verb];
if (act === undefined) {
  console.error(usage);
  process.exitCode = 64;
} else {
  const lab = await openLab('hand', { say: console.error });
  process.exitCode = (await act(lab, rest)) ?? 0;
}
