import { existsSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { problemsOf } from '../helpers/ca-pair.ts';
import { dieAt, stepsOf, untilClean } from './death.ts';
import { chosenOf } from './extent.ts';
import { startLightPair, type LightPair } from './light-pair.ts';
import { actAt, beginToStop, whenStepBegins } from './moment.ts';
import { count } from './numbers.ts';
import { databases, nextChange, ofTheSpare, sidesOf, type Operation } from './operations.ts';
import { everything, untilAgreed, type LabMaster } from './pair.ts';
import { consoleUnit, psql, rbac } from './provision.ts';

let pair: LightPair;
const units = [consoleUnit, 'postgresql@15-main'];
beforeAll(async () => {
  pair = await startLightPair('stops', { configuration: everything, withConsole: true });
  await untilAgreed(pair);
}, 300_000);
beforeEach(async () => {
  await pair.lab.network.heal();
  await Promise.all([pair.a.boot(), pair.b.boot()]);
  await pair.b.sh('systemctl enable --now pe-failover');
  for (const { untilThere } of ofTheSpare) await untilThere(sidesOf(pair));
  await untilClean(pair.b, units);
}, 300_000);
afterAll(() => pair[Symbol.asyncDispose]());

/** What keeps a host from serving while its agent is stopped, and what that left running. */
async function harmOn(host: LabMaster): Promise<string[]> {
  const harm: string[] = [];
  for (const unit of units)
    if ((await host.try(`systemctl is-active ${unit}`)).exitCode !== 0) harm.push(`${unit} does not run`);
  const open = await psql(host, 'postgres', `SELECT datallowconn FROM pg_database WHERE datname = '${rbac}'`);
  if (open !== 't') harm.push(`${rbac}: ${open === '' ? 'is not there' : 'lets nobody in'}`);
  harm.push(...(await problemsOf(host.cadir)));
  const { stdout } = await host.try("pgrep -af '[p]e_failover/dist/cli.js (agent|run|recover)'");
  if (stdout.trim() !== '') harm.push(`still runs: ${stdout}`);
  const disabled = await host.try('find /var/lib/puppet /var/cache/puppet -name agent_disabled.lock');
  if (disabled.stdout.trim() !== '') harm.push('agent runs stay disabled');
  const run = host.path('/run/pe_failover');
  if (existsSync(run)) harm.push(...readdirSync(run).map((name) => `${name} is left in /run`));
  return harm;
}

async function stopAt(operation: Operation, step: string, how: string): Promise<void> {
  const { b } = pair;
  let stopping: Promise<unknown> = Promise.resolve();
  await actAt(
    b,
    whenStepBegins(b, { job: operation.job, step }),
    () => nextChange(operation, sidesOf(pair)),
    async () => {
      ({ ended: stopping } = await beginToStop(b, how));
    },
  );
  await stopping;
  expect(await harmOn(b)).toEqual([]);
  await b.sh('systemctl enable --now pe-failover');
  await operation.untilThere(sidesOf(pair));
  await untilClean(b, units);
}

describe.each(ofTheSpare)('an agent that is stopped in the middle of $job', (operation) => {
  it('at any journalled step leaves a host that serves, and goes on when it is enabled again', async () => {
    const { b } = pair;
    const steps = await stepsOf(b, operation.job, async () => {
      await nextChange(operation, sidesOf(pair));
      await operation.untilThere(sidesOf(pair));
      await untilClean(b, units);
    });
    expect(steps.length).toBeGreaterThan(1);
    for (const [n, step] of chosenOf([...new Set(steps)]).entries()) {
      const how = n % 2 === 0 ? 'disable --now' : 'stop';
      await stopAt(operation, step, how).catch((cause: unknown) => {
        throw new Error(`did not survive "${how}" at step "${step}" of ${operation.job}`, { cause });
      });
      count('stops survived');
      process.stderr.write(`lab: survived "${how}" at step "${step}" of ${operation.job}\n`);
    }
  }, 600_000);
});

describe('a host that loses its power within the switch of a database, its agent disabled', () => {
  const monotonic = async (unit: string, property: string): Promise<number> =>
    Number(await pair.b.sh(`systemctl show -p ${property} --value ${unit}`));

  it.each(chosenOf(['swap', 'close', 'start services']))(
    'at "%s" serves after the boot: the recovery ran after PostgreSQL and before the services',
    async (step) => {
      const { b } = pair;
      await b.sh('systemctl disable pe-failover && sync');
      await dieAt(b, { job: databases.job, step }, () => nextChange(databases, sidesOf(pair)), { powerLoss: true });
      await b.boot();
      expect((await b.try('systemctl is-active pe-failover')).stdout.trim()).toBe('inactive');
      expect(await b.sh('systemctl show -p Result --value pe-failover-recover')).toBe('success');
      const [database, began, ended, services] = await Promise.all([
        monotonic('postgresql@15-main', 'ActiveEnterTimestampMonotonic'),
        monotonic('pe-failover-recover', 'ExecMainStartTimestampMonotonic'),
        monotonic('pe-failover-recover', 'ExecMainExitTimestampMonotonic'),
        monotonic(consoleUnit, 'ActiveEnterTimestampMonotonic'),
      ]);
      expect(began).toBeGreaterThanOrEqual(database);
      expect(services).toBeGreaterThan(ended);
      expect(ended).toBeGreaterThan(0);
      for (const unit of units) expect((await b.try(`systemctl is-active ${unit}`)).stdout.trim()).toBe('active');
      const open = await psql(b, 'postgres', `SELECT datallowconn FROM pg_database WHERE datname = '${rbac}'`);
      expect(open).toBe('t');
      await b.sh('systemctl enable --now pe-failover');
      await databases.untilThere(sidesOf(pair));
      await untilClean(b, units);
    },
    300_000,
  );
});
