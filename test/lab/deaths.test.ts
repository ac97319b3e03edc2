import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dieAt, dieWhenThere, stepsOf } from './death.ts';
import { isLong } from './extent.ts';
import { startLightPair, type LightPair } from './light-pair.ts';
import { certificates, nextChange, operations, sidesOf, surviving, untilWhole, type Operation } from './operations.ts';
import { everything, untilAgreed, type LabMaster } from './pair.ts';

let pair: LightPair;
beforeAll(async () => {
  pair = await startLightPair('deaths', { configuration: everything, withConsole: true });
  await untilAgreed(pair);
}, 300_000);
/** One that an earlier test left dead would be found dead by all others. */
beforeEach(async () => {
  await pair.lab.network.heal();
  await Promise.all([pair.a.boot(), pair.b.boot()]);
  for (const { untilThere } of operations) await untilThere(sidesOf(pair));
}, 300_000);
afterAll(() => pair[Symbol.asyncDispose]());

const change = (operation: Operation): Promise<void> => nextChange(operation, sidesOf(pair));

/** After the host is back, all is well without a hand, and the next change comes through. */
async function survive(host: LabMaster, operation: Operation): Promise<void> {
  await host.boot();
  await untilWhole(sidesOf(pair), operation);
  await change(operation);
  await untilWhole(sidesOf(pair), operation);
}

/** What a loss of power leaves is all that an end leaves, and less; the long part tries both. */
const ways = [['loses its power', true], ...(isLong ? ([['is ended', false]] as const) : [])] as const;

describe.each(operations)('a master in the middle of $job', (operation) => {
  const master = (): LabMaster => sidesOf(pair)[operation.doneBy];
  it.each(ways)(
    'that %s at any journalled step comes back whole, and takes the next drop',
    async (_, powerLoss) => {
      const steps = await stepsOf(master(), operation.job, async () => {
        await change(operation);
        await untilWhole(sidesOf(pair), operation);
      });
      expect(steps.length).toBeGreaterThan(1);
      for (const step of new Set(steps)) {
        const death = `${operation.job} at step "${step}"${powerLoss ? ', power lost' : ''}`;
        await surviving(death, async () => {
          await dieAt(master(), { job: operation.job, step }, () => change(operation), { powerLoss });
          await survive(master(), operation);
        });
      }
    },
    900_000,
  );
});

describe('a push', () => {
  /** puppetserver does not sync what it writes: what its own machine loses is not ours to bring. */
  const durableChange = async (): Promise<void> => {
    await pair.a.sh('systemctl stop pe-failover');
    await change(certificates);
    await pair.a.sh('sync; systemctl --no-block start pe-failover');
  };
  const points: readonly (readonly [string, 'a' | 'b', string])[] = [
    ['the active when its drop is packed', 'a', '/var/lib/pe_failover/outbox/sync-certs'],
    ['the spare when rsync begins', 'b', '/var/lib/pe_failover/inbox/sync-certs'],
    ['the spare when the drop is published', 'b', '/var/lib/pe_failover/inbox/sync-certs/ready'],
    ['the spare when root takes it over', 'b', '/var/lib/pe_failover/taken/sync-certs'],
  ];
  it.each(points.flatMap((point) => ways.map((way) => [...point, ...way] as const)))(
    'after which %s (%s, %s) %s loses nothing',
    async (_name, side, directory, _way, powerLoss) => {
      await surviving(`a push, ${directory}${powerLoss ? ', power lost' : ''}`, async () => {
        const begin = side === 'a' && powerLoss ? durableChange : () => change(certificates);
        await dieWhenThere(pair[side], directory, begin, { powerLoss });
        await survive(pair[side], certificates);
      });
    },
    300_000,
  );
});
