import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startLightPair, untilCaEqual, type LightPair } from './light-pair.ts';
import { report } from './numbers.ts';

let pair: LightPair;
beforeAll(async () => {
  pair = await startLightPair('network');
});
beforeEach(() => {
  pair.a.syslog.forget();
  pair.b.syslog.forget();
});
afterEach(() => pair.lab.network.heal());
afterAll(() => pair[Symbol.asyncDispose]());

const names = (label: string, count: number): string[] => Array.from({ length: count }, (_, n) => `${label}-${n}.lab`);
const completed = /\[SUCCESS\] Completed sync of Puppet CA directory/;
const of = (lines: readonly string[], what: string): string[] => lines.filter((line) => line.includes(`[${what}]`));

describe('the network', () => {
  it.each([
    ['both ways', false],
    ['from the active to the spare only', true],
  ])(
    'cut %s for 20 s while 50 certificates are signed: all is there within 5 s of the heal, with one FAILURE and one recovery',
    async (_, oneWay) => {
      const { a, b, ca, lab } = pair;
      await lab.network.apply({ kind: 'cut', from: 'mastera', to: 'masterb', oneWay });
      const cutAt = performance.now();
      await ca.signMany(names(`cut-${oneWay}`, 25));
      await a.syslog.says(/sync_certs\.sh ---> \[FAILURE\]/);
      await ca.signMany(names(`later-${oneWay}`, 25));
      await ca.revoke(`cut-${oneWay}-3.lab`);
      await sleep(20_000 - (performance.now() - cutAt)); // the cable is out for that long: this is the scenario itself
      await lab.network.heal();
      report('all there after a cut of 20 s', await untilCaEqual({ lab, a, b }, 5_000));
      await a.syslog.says(completed);
      const failures = of(a.syslog.lines(), 'FAILURE').filter((line) => line.includes('sync_certs'));
      expect(failures).toEqual([failures[0]]);
    },
  );

  it('cut for less than a retry: nothing is lost, and nobody has to do anything', async () => {
    const { a, b, ca, lab } = pair;
    await lab.network.apply({ kind: 'unplugged', host: 'masterb' });
    await ca.signMany(names('short', 5));
    await sleep(1_500);
    await lab.network.heal();
    await untilCaEqual({ lab, a, b });
  });

  it('with 5 % of frames lost, 200 certificates arrive all the same', async () => {
    const { a, b, ca, lab } = pair;
    await lab.network.apply({ kind: 'loss', from: 'mastera', to: 'masterb', percent: 5 });
    await ca.signMany(names('lossy', 200));
    report('200 certificates at 5 % loss', await untilCaEqual({ lab, a, b }, 60_000));
  });
});

describe('a far spare', () => {
  it('with 100 ms each way has everything in a few seconds, and needs no other settings', async () => {
    const { a, b, ca, lab } = pair;
    await lab.network.apply({ kind: 'delay', host: 'masterb', ms: 100 });
    await b.sh('pkill -KILL -u pe-transfer || true');
    await ca.signMany(names('far', 30));
    report('30 certificates at 100 ms each way, the connection opened anew', await untilCaEqual({ lab, a, b }, 60_000));
    const start = performance.now();
    await ca.sign('far-single.lab');
    await untilCaEqual({ lab, a, b }, 30_000);
    report('sign to live at 100 ms each way', performance.now() - start);
  });
});

describe('the ssh of the spare', () => {
  it('restarted in the middle of a burst: the connection is opened anew and all arrives', async () => {
    const { a, b, ca, lab } = pair;
    const burst = ca.signMany(names('restart', 100));
    await b.sh('systemctl restart ssh; pkill -KILL -u pe-transfer || true');
    await burst;
    await untilCaEqual({ lab, a, b });
  });

  it('with noise from its login shell on standard error brings receipts all the same', async () => {
    const { a, b, ca, lab } = pair;
    await writeFile(b.path('/etc/ssh/sshrc'), 'echo "Welcome to this machine" >&2\n');
    await b.sh('pkill -KILL -u pe-transfer || true');
    await ca.sign('noisy.lab');
    await untilCaEqual({ lab, a, b });
    await a.syslog.says(completed);
  });

  it('with another host key is refused, said with what to type, and nothing is sent to it', async () => {
    const { a, b, ca, lab } = pair;
    const keep = 'cd /etc/ssh && mkdir -p kept && cp -a ssh_host_ed25519_key* kept/';
    await b.sh(`${keep} && rm ssh_host_ed25519_key* && ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key`);
    await b.sh('systemctl restart ssh; pkill -KILL -u pe-transfer || true');
    await ca.sign('stranger.lab');
    const said = await a.syslog.says(/sync_certs\.sh ---> \[FAILURE\].*host key/i);
    expect(said).toContain('--renew-host-key');
    expect(() => readFileSync(join(b.cadir, 'signed/stranger.lab.pem'))).toThrow();
    await b.sh('cp -a /etc/ssh/kept/* /etc/ssh/ && systemctl restart ssh');
    await untilCaEqual({ lab, a, b }, 90_000);
  });
});
