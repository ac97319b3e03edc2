import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dieAt, dieWhenThere, stepsOf, untilClean } from './death.ts';
import { isLong } from './extent.ts';
import { startLightPair, type LightPair } from './light-pair.ts';
import { count } from './numbers.ts';
import { nextChange, operationsOf, type Operation } from './operations.ts';
import { everything, untilAgreed, type LabMaster } from './pair.ts';
import { consoleUnit } from './provision.ts';

let pair: LightPair;
beforeAll(async () => {
  pair = await startLightPair('deaths', { configuration: everything, withConsole: true });
  await untilAgreed(pair);
}, 300_000);
/** One that an earlier test left dead would be found dead by all others. */
beforeEach(async () => {
  await pair.lab.network.heal();
  await Promise.all([pair.a.boot(), pair.b.boot()]);
  for (const { untilThere } of operations) await untilThere();
}, 300_000);
afterAll(() => pair[Symbol.asyncDispose]());

const operations = operationsOf(() => ({ active: pair.a, spare: pair.b }));

/** After the host is back, all is well without a hand, and the next change comes through. */
async function survive(host: LabMaster, operation: Operation): Promise<void> {
  await host.boot();
  await operation.untilThere();
  await untilClean(pair.b, [consoleUnit, 'postgresql@15-main', 'pe-failover']);
  await nextChange(operation);
  await operation.untilThere();
  await untilClean(pair.b, [consoleUnit, 'postgresql@15-main', 'pe-failover']);
}

async function surviving(death: string, live: () => Promise<void>): Promise<void> {
  count('deaths tried');
  try {
    await live();
  } catch (cause) {
    throw new Error(`did not survive ${death}`, { cause });
  }
  count('deaths survived');
  process.stderr.write(`lab: survived ${death}\n`);
}

/** What a loss of power leaves is all that an end leaves, and less; the long part tries both. */
const ways = [['loses its power', true], ...(isLong ? ([['is ended', false]] as const) : [])] as const;

describe.each(operations)('a spare in the middle of $job', (operation) => {
  it.each(ways)(
    'that %s at any journalled step comes back whole, and takes the next drop',
    async (_, powerLoss) => {
      const steps = await stepsOf(pair.b, operation.job, async () => {
        await nextChange(operation);
        await operation.untilThere();
        await untilClean(pair.b, [consoleUnit]);
      });
      expect(steps.length).toBeGreaterThan(1);
      for (const step of new Set(steps)) {
        const death = `${operation.job} at step "${step}"${powerLoss ? ', power lost' : ''}`;
        await surviving(death, async () => {
          await dieAt(pair.b, { job: operation.job, step }, () => nextChange(operation), { powerLoss });
          await survive(pair.b, operation);
        });
      }
    },
    900_000,
  );
});

describe('a push', () => {
  const [sync] = operations;
  /** puppetserver does not sync what it writes: what its own machine loses is not ours to bring. */
  const durableChange = async (): Promise<void> => {
    await pair.a.sh('systemctl stop pe-failover');
    await nextChange(sync);
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
        const change = side === 'a' && powerLoss ? durableChange : () => nextChange(sync);
        await dieWhenThere(pair[side], directory, change, { powerLoss });
        await survive(pair[side], sync);
      });
    },
    300_000,
  );
});
