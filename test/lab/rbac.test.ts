import { existsSync, readFileSync } from 'node:fs';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { databaseProblems, stepsOf, watchSteps } from './death.ts';
import { eventually } from './eventually.ts';
import { distrustIfFailed, fullPair } from './full-pair.ts';
import { report } from './numbers.ts';
import type { LabMaster, LabPair } from './pair.ts';
import { consoleUnit, psql, rbac } from './provision.ts';

let pair: LabPair;
beforeAll(async () => {
  pair = await fullPair();
}, 900_000);
beforeEach(() => {
  distrustIfFailed();
  pair.b.syslog.forget();
});

const rolesOf = (master: LabMaster): Promise<string> =>
  psql(master, rbac, 'SELECT id, display_name FROM roles ORDER BY id');
let changes = 0;
const addRole = async (): Promise<void> => {
  changes += 1;
  await psql(pair.a, rbac, `INSERT INTO roles (display_name) VALUES ('role ${changes} of ${Date.now()}')`);
};
const untilSwitched = (): Promise<unknown> =>
  eventually('the change is live', async () => (await rolesOf(pair.a)) === (await rolesOf(pair.b)), {
    withinMs: 180_000,
    everyMs: 300,
  });
const healthy = async (): Promise<void> => {
  expect(await databaseProblems(pair.b, [consoleUnit])).toEqual([]);
  const lock = await pair.b.sh('puppet config print agent_disabled_lockfile');
  expect(existsSync(pair.b.path(lock)), 'agent runs are enabled again').toBe(false);
};
const startedAt = (unit: string): Promise<string> =>
  pair.b.sh(`systemctl show -p ActiveEnterTimestampMonotonic ${unit}`);

/** The longest time for which a client that asks all the time got no answer, in milliseconds. */
async function longestGap(master: LabMaster, work: () => Promise<unknown>): Promise<number> {
  const ask = `psql -X -q -A -t -d ${rbac} -c 'SELECT 1' >/dev/null 2>&1 && date +%s%3N >> /var/tmp/answers`;
  await master.sh(
    `rm -f /var/tmp/answers; systemd-run -q --unit=probe --uid=postgres sh -c "cd /; while :; do ${ask}; done"`,
  );
  try {
    await work();
  } finally {
    await master.sh('systemctl stop probe');
  }
  const times = readFileSync(master.path('/var/tmp/answers'), 'utf8').trim().split('\n').map(Number);
  return Math.max(...times.slice(1).map((time, n) => time - (times[n] ?? time)));
}

describe('a changed row of pe-rbac', () => {
  it('goes live on the spare with one stop and start of its services, and a short outage of the database', async () => {
    const before = await startedAt(consoleUnit);
    const gap = await longestGap(pair.b, async () => {
      await addRole();
      await untilSwitched();
      await eventually(
        'the service is back',
        async () => (await pair.b.try(`systemctl is-active ${consoleUnit}`)).exitCode === 0,
      );
    });
    report('outage of a client of pe-rbac at a switch (asks anew every 20 ms or so)', gap);
    await pair.b.syslog.says(/restore_dbs\.sh ---> \[SUCCESS\] Completed restore of database pe-rbac/, 60_000);
    expect(await startedAt(consoleUnit)).not.toBe(before);
    await healthy();
  }, 300_000);

  it('that is only used (logins, tokens) stops nothing', async () => {
    const before = await startedAt(consoleUnit);
    await psql(
      pair.a,
      rbac,
      "UPDATE subjects SET last_login = now(); INSERT INTO tokens (user_id, token, creation, expiration) SELECT id, 'used' || random(), now(), now() FROM subjects LIMIT 50",
    );
    await pair.a.sh('pe-failover run db-dump', { timeoutMs: 60_000 });
    await pair.b.sh('pe-failover run restore-dbs || true', { timeoutMs: 120_000 });
    expect(await startedAt(consoleUnit)).toBe(before);
  }, 300_000);
});

describe('a puppet run on the spare', () => {
  it('that begins at any step of a switch changes nothing in it, and is allowed again afterwards', async () => {
    const { b } = pair;
    const steps = await stepsOf(b, 'restore-dbs', async () => {
      await addRole();
      await untilSwitched();
    });
    expect(steps.length).toBeGreaterThan(5);
    for (const wanted of new Set(steps)) {
      const runs: Promise<unknown>[] = [];
      const run = (): void =>
        void runs.push(b.try('puppet agent -t --http_keepalive_timeout 0s', { timeoutMs: 180_000 }));
      const watching = watchSteps(b, ({ job, step }) => {
        if (job === 'restore-dbs' && step === wanted && runs.length === 0) run();
      });
      try {
        await addRole();
        await untilSwitched();
        await eventually(`the run at "${wanted}" began`, () => runs.length > 0);
        await Promise.all(runs);
        await eventually(
          'all is well',
          async () => {
            await healthy();
            return true;
          },
          { withinMs: 60_000, everyMs: 300 },
        );
      } catch (cause) {
        throw new Error(`with a puppet run at step "${wanted}"`, { cause });
      } finally {
        watching.stop();
      }
    }
  }, 1_200_000);
});

describe('the fact, edited by hand', () => {
  it('is what facter says, and what the agent follows', async () => {
    const { b } = pair;
    expect(await b.sh('facter -p pe_failover_mode')).toBe('passive');
    await b.sh(
      'sed -i "s/^pe_failover_mode:.*/pe_failover_mode: sleeping/" /opt/puppetlabs/facter/facts.d/pe_failover.yaml',
    );
    await b.syslog.says(/agent\.sh ---> \[FAILURE\].*sleeping/);
    expect(await b.sh('facter -p pe_failover_mode')).toBe('sleeping');
    await b.sh(
      'sed -i "s/^pe_failover_mode:.*/pe_failover_mode: passive/" /opt/puppetlabs/facter/facts.d/pe_failover.yaml',
    );
    await eventually('it is passive again', async () => (await b.status()).role === 'passive');
  });
});
