import fc from 'fast-check';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { untilClean } from './death.ts';
import { startLightPair, type LightPair } from './light-pair.ts';
import { operations, sidesOf, surviving, unitsOfSpare, type Operation } from './operations.ts';
import { everything, untilAgreed, type LabMaster } from './pair.ts';

// The same seed gives the same deaths in the same order; when within a program's work they come is the machine's.
const seed = Number(process.env['PE_FAILOVER_LAB_SEED'] ?? Date.now() % 1_000_000);
const minutes = Number(process.env['PE_FAILOVER_LAB_MINUTES'] ?? 60);

let pair: LightPair;
beforeAll(async () => {
  pair = await startLightPair('random', { configuration: everything, withConsole: true });
  await untilAgreed(pair);
}, 300_000);
afterAll(() => pair[Symbol.asyncDispose]());

const postgres = 'postgresql@15-main';
const endAll = (pattern: string) => (host: LabMaster) => host.sh(`pkill -KILL ${pattern} || true`);
/** What can befall a master; afterwards it gets what an admin or a supervisor gives it, and nothing else. */
const deaths: Readonly<Record<string, (host: LabMaster) => Promise<unknown>>> = {
  'its agent is killed': (host) => host.sh('systemctl kill -s KILL pe-failover'),
  'its agent is restarted': (host) => host.sh('systemctl restart pe-failover', { timeoutMs: 120_000 }),
  'its rsyncs are killed': endAll('rsync'),
  'its ssh sessions are killed': endAll('-u pe-transfer'),
  'its tools of PostgreSQL are killed': endAll("'pg_dump|pg_restore'"),
  'its PostgreSQL crashes': (host) => host.sh(`systemctl kill -s KILL ${postgres}; systemctl restart ${postgres}`),
  'its agent is stopped for 3 s': async (host) => {
    await host.sh('systemctl kill -s STOP pe-failover');
    await sleep(3_000);
    await host.sh('systemctl kill -s CONT pe-failover');
  },
  'its cable is out for 5 s': async (host) => {
    await pair.lab.network.apply({ kind: 'unplugged', host: host.name });
    await sleep(5_000);
    await pair.lab.network.heal();
  },
  'it ends': (host) => host.die(),
  'it loses its power': (host) => host.die({ powerLoss: true }),
};

const round = fc.record({
  changed: fc.subarray(
    operations.map((_, n) => n),
    { minLength: 1 },
  ),
  side: fc.constantFrom('a' as const, 'b' as const),
  death: fc.constantFrom(...Object.keys(deaths)),
  /** After the changes. */
  delayMs: fc.integer({ min: 0, max: 5_000 }),
});
type Round = typeof round extends fc.Arbitrary<infer T> ? T : never;

async function play({ changed, side, death, delayMs }: Round, n: number): Promise<void> {
  for (const { syslog } of [pair.a, pair.b]) syslog.forget();
  const chosen = changed.map((at) => operations[at]).filter((one): one is Operation => one !== undefined);
  for (const operation of chosen) await operation.change(sidesOf(pair), n);
  // puppetserver does not sync what it writes: what a machine itself loses is not ours to bring.
  for (const host of [pair.a, pair.b]) await host.sh('sync');
  await sleep(delayMs);
  await deaths[death]?.(pair[side]);
  await pair.lab.network.heal();
  await pair[side].boot();
  for (const operation of operations) await operation.untilThere(sidesOf(pair));
  await untilClean(pair.b, unitsOfSpare, 120_000);
  await untilClean(pair.a, unitsOfSpare, 120_000);
}

/** What both said since the round began: it may never fail like this again. */
function tellLog(cause: unknown): never {
  const said = [pair.a, pair.b].flatMap(({ syslog }) => syslog.lines());
  throw new Error(`${String(cause)}\n${said.join('\n')}`, { cause });
}

it(
  `${minutes} minutes of deaths at random, of seed ${seed}: after each all is there on both, and nothing is left over`,
  async () => {
    const end = performance.now() + minutes * 60_000;
    const rounds = fc.sample(round, { seed, numRuns: 10_000 });
    let played = 0;
    for (const one of rounds) {
      if (performance.now() > end) break;
      const { changed, side, death, delayMs } = one;
      const what = changed.map((at) => operations[at]?.job).join(', ');
      const told = `round ${played} of seed ${seed}: ${what} changed, ${delayMs} ms later on ${pair[side].name}: ${death}`;
      await surviving(told, () => play(one, played).catch(tellLog));
      played += 1;
    }
    await untilAgreed(pair);
    expect(played).toBeGreaterThan(minutes);
  },
  (minutes + 30) * 60_000,
);
