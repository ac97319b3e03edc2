import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startLightPair, untilCaEqual, type LightPair } from './light-pair.ts';
import { report } from './numbers.ts';

let pair: LightPair;
beforeAll(async () => {
  pair = await startLightPair('long-cut');
}, 300_000);
afterAll(() => pair[Symbol.asyncDispose]());

const minutes = 3;

describe('a network that is cut for minutes in the middle of a burst', () => {
  it('has everything there within 5 s of the heal, with one FAILURE and one SUCCESS', async () => {
    const { a, ca, lab } = pair;
    a.syslog.forget();
    const cutAt = performance.now();
    const burst = ca.signMany(Array.from({ length: 200 }, (_, n) => `burst-${n}.lab`));
    await lab.network.apply({ kind: 'cut', from: 'mastera', to: 'masterb' });
    await burst;
    for (let minute = 1; minute <= minutes; minute += 1) {
      await ca.signMany([`minute-${minute}.lab`, `revoked-${minute}.lab`]);
      await ca.revoke(`revoked-${minute}.lab`);
      await sleep(minute * 60_000 - (performance.now() - cutAt)); // the cut is the scenario itself
    }
    await lab.network.heal();
    const took = await untilCaEqual(pair, 60_000);
    report(`all there after a cut of ${minutes} minutes`, took);
    expect(took).toBeLessThan(5_000);
    await a.syslog.says(/sync_certs\.sh ---> \[SUCCESS\] Completed sync/);
    const said = a.syslog.lines().filter((line) => line.includes('sync_certs'));
    const failures = said.filter((line) => line.includes('[FAILURE]'));
    expect(failures).toHaveLength(1);
    const since = said.slice(said.indexOf(failures[0] ?? '') + 1);
    expect(since.filter((line) => line.includes('[SUCCESS] Completed'))).toHaveLength(1);
  }, 600_000);
});
