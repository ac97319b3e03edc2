import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from './eventually.ts';
import { startLightPair, type LightPair } from './light-pair.ts';
import { report } from './numbers.ts';
import { everything, untilAgreed, type LabMaster } from './pair.ts';
import { psql, rbac } from './provision.ts';

const megabyte = 1024 * 1024;
let pair: LightPair;
beforeAll(async () => {
  const configuration = `${everything}transfer: {bandwidth_limit: 20MB}\n`;
  pair = await startLightPair('dump', { configuration, withConsole: true });
  await untilAgreed(pair);
}, 300_000);
afterAll(() => pair[Symbol.asyncDispose]());

const arrived = (host: LabMaster): number => {
  const inbox = host.path(`/var/lib/pe_failover/inbox/db-dump.${rbac}`);
  const sizes = execFileSync('du', ['-sb', `${inbox}/staging`], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return Number(sizes.split('\t')[0]);
};
const received = async (host: LabMaster): Promise<number> =>
  Number(await host.sh('cat /sys/class/net/eth0/statistics/rx_bytes'));

describe('a dump of 200 MB', () => {
  it('that is cut off in the middle is gone on with where it was, with one FAILURE, and goes live', async () => {
    const { a, b, lab } = pair;
    const rows = 'SELECT n AS id, repeat(md5(n::text), 4) AS text FROM generate_series(1, 1500000) n';
    await psql(a, rbac, `SET ROLE "pe-rbac"; CREATE TABLE large AS ${rows}`, 300_000);
    for (const host of [a, b]) host.syslog.forget();
    const half = await eventually(
      'half of it is there',
      () => {
        const size = arrived(b);
        return size > 90 * megabyte ? size : undefined;
      },
      { withinMs: 240_000, everyMs: 100 },
    );
    await lab.network.apply({ kind: 'cut', from: 'mastera', to: 'masterb' });
    await a.syslog.says(/db_dump\.sh ---> \[FAILURE\]/, 90_000);
    const before = await received(b);
    const start = performance.now();
    await lab.network.heal();
    await b.syslog.says(/restore_dbs\.sh ---> \[SUCCESS\] Completed restore of database pe-rbac/, 300_000);
    report('a dump of 200 MB, cut in the middle, until live', performance.now() - start);
    const again = (await received(b)) - before;
    expect(again, `half was there: ${half} bytes`).toBeLessThan(150 * megabyte);
    const failures = a.syslog.lines().filter((line) => /db_dump\.sh ---> \[FAILURE\]/.test(line));
    expect(failures).toHaveLength(1);
    const count = 'SELECT count(*) FROM large';
    expect(await psql(b, rbac, count)).toBe(await psql(a, rbac, count));
  }, 900_000);

  it('does not delay a certificate', async () => {
    const { a, b, ca } = pair;
    await psql(a, rbac, 'UPDATE large SET text = md5(text) || text', 300_000);
    await eventually('the dump is on its way', () => arrived(b) > 10 * megabyte, { withinMs: 240_000, everyMs: 100 });
    const start = performance.now();
    await ca.sign('beside-a-dump.lab');
    await eventually(
      'it is there',
      async () => (await b.try(`test -e ${'/etc/puppet/puppetserver/ca'}/signed/beside-a-dump.lab.pem`)).exitCode === 0,
      { withinMs: 5_000, everyMs: 10 },
    );
    report('sign to live while a large dump is pushed', performance.now() - start);
    expect(arrived(b), 'the dump is still on its way').toBeGreaterThan(0);
  }, 600_000);
});
