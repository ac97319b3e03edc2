import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startLightPair, type LightPair } from './light-pair.ts';
import { untilAgreed, type LabMaster } from './pair.ts';

let pair: LightPair;
beforeAll(async () => {
  pair = await startLightPair('install');
});
afterAll(() => pair[Symbol.asyncDispose]());

const units = ['pe-failover.service', 'pe-failover-recover.service'];
const asActive = 'install --active --passive-master masterb.lab';

/** Of a real systemd. */
async function property(host: LabMaster, unit: string, name: string): Promise<string> {
  return (await host.sh(`systemctl show -p ${name} --value ${unit}`)).trim();
}

describe('what install made, on a machine with systemd', () => {
  it('is enabled and runs, and a second install changes nothing', async () => {
    const { a, b } = pair;
    for (const host of [a, b]) {
      for (const unit of units) expect((await host.sh(`systemctl is-enabled ${unit}`)).trim()).toBe('enabled');
      expect(await property(host, 'pe-failover.service', 'ActiveState')).toBe('active');
    }
    expect(await a.sh('facter -p pe_failover_mode')).toBe('active');
    const { code, output } = await a.command(asActive);
    expect(code, output).toBe(0);
    expect(output).toContain('Nothing to change');
    const line = output.split('\n').at(-1) ?? '';
    expect((await b.command(`install --passive --auth-key '${line}'`)).output).toContain('Nothing to change');
    for (const host of [a, b]) {
      const { output: said } = await host.command('check');
      expect(said.split('\n').filter((one) => /^PROBLEM {2}(sshd|units|transfer user)/.test(one))).toEqual([]);
    }
  });

  it('comes up again after a loss of power: the recovery of databases before the agent', async () => {
    const { a, b } = pair;
    await b.sh('touch /var/lib/pe_failover/journal/of-another-job.jsonl && sync');
    await b.die({ powerLoss: true });
    await b.boot();
    const [recovered, began] = await Promise.all([
      property(b, 'pe-failover-recover.service', 'ExecMainExitTimestampMonotonic'),
      property(b, 'pe-failover.service', 'ExecMainStartTimestampMonotonic'),
    ]);
    expect(await property(b, 'pe-failover-recover.service', 'Result')).toBe('success');
    expect(Number(recovered)).toBeGreaterThan(0);
    expect(Number(began)).toBeGreaterThan(Number(recovered));
    await b.sh('rm /var/lib/pe_failover/journal/of-another-job.jsonl');
    await untilAgreed({ a, b });
  });

  it('is taken away again: nothing of it is known to systemd, and no process is left', async () => {
    const { a, b } = pair;
    for (const host of [a, b]) {
      const { code, output } = await host.command('uninstall --purge');
      expect(code, output).toBe(0);
      for (const unit of units) expect(await property(host, unit, 'LoadState')).toBe('not-found');
      expect((await host.try('getent passwd pe-transfer')).exitCode).toBe(2);
      expect(await host.sh('find /etc/facter -name "pe_failover*"')).toBe('');
      expect((await host.try("pgrep -f '[p]e_failover/dist'")).stdout).toBe('');
      expect((await host.sh('systemctl --failed --no-legend')).trim()).toBe('');
    }
  });
});
