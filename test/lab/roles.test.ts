import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from './eventually.ts';
import { filesOnly, missingOn, startLightPair, untilCaEqual, type LightPair } from './light-pair.ts';
import { installPair, untilAgreed, type LabMaster } from './pair.ts';
import { configurePuppet, provideAlerts } from './provision.ts';
import { activeOver, asAtFirst, has, is, passive, signOn } from './turning.ts';

let pair: LightPair;
beforeAll(async () => {
  pair = await startLightPair('roles');
}, 300_000);
beforeEach(() => {
  pair.a.syslog.forget();
  pair.b.syslog.forget();
});
afterEach(() => pair.lab.network.heal());
afterAll(() => pair[Symbol.asyncDispose]());

describe('an active that was overtaken while its cable was out', () => {
  it('and that comes back with its connections still open is refused: nothing that it signs arrives, and it says so once', async () => {
    const { a, b, lab } = pair;
    await lab.network.apply({ kind: 'unplugged', host: 'mastera' });
    await b.editFact(activeOver(a));
    await is(b, 'active');
    await lab.network.heal();
    await signOn(a, 'by-overtaken.lab');
    await a.syslog.says(/\[FAILURE\].*overtaken/, 60_000);
    await sleep(3_000); // long enough for several more tries
    expect(has(b, 'by-overtaken.lab')).toBe(false);
    const said = a.syslog.lines().filter((line) => line.includes('[FAILURE]') && line.includes('overtaken'));
    expect(said).toHaveLength(1);
    await signOn(b, 'by-new-active.lab');
    await a.editFact(passive);
    await is(a, 'passive');
    await untilAgreed(pair);
    expect(has(a, 'by-new-active.lab')).toBe(true);
    await a.sh('pe-failover run update-passive-ca || true');
    await eventually('the new active has what only the old one had', () => has(b, 'by-overtaken.lab'), {
      withinMs: 60_000,
    });
    await asAtFirst(pair);
  }, 300_000);
});

describe('facts', () => {
  it('edited on both masters in the same moment exchange the roles, and nothing is lost', async () => {
    const { a, b } = pair;
    await signOn(a, 'just-before.lab');
    await Promise.all([a.editFact(passive), b.editFact(activeOver(a))]);
    await Promise.all([is(a, 'passive'), is(b, 'active')]);
    await untilAgreed(pair);
    expect([has(a, 'just-before.lab'), has(b, 'just-before.lab')]).toEqual([true, true]);
    await asAtFirst(pair);
  }, 300_000);

  it('toggled faster than anybody can follow end in the role that they say last', async () => {
    const { a, b, ca } = pair;
    const burst = ca.signMany(Array.from({ length: 20 }, (_, n) => `toggled-${n}.lab`));
    for (let n = 0; n < 5; n += 1) {
      await b.editFact({ pe_failover_mode: 'sleeping' });
      await sleep(150 * n);
      await b.editFact(passive);
      await sleep(100);
    }
    await burst;
    await is(b, 'passive');
    await untilCaEqual({ lab: pair.lab, a, b }, 60_000);
    expect((await b.status()).epoch).toBe((await a.status()).epoch);
  }, 120_000);

  it('edited while the agent is down count when it is up again', async () => {
    const { a, b } = pair;
    await a.sh('systemctl stop pe-failover');
    await b.sh('systemctl stop pe-failover');
    await a.editFact(passive);
    await b.editFact(activeOver(a));
    for (const master of [b, a]) await master.sh('systemctl start pe-failover');
    await Promise.all([is(a, 'passive'), is(b, 'active')]);
    await untilAgreed(pair);
    await asAtFirst(pair);
  }, 300_000);
});

describe('a master whose disk is new', () => {
  const asNew = async (master: LabMaster): Promise<void> => {
    await master.wipe();
    await master.boot();
    await configurePuppet(master, master.fqdn);
    await provideAlerts(master);
    master.syslog.forget();
  };
  const anew = { yaml: filesOnly, renewHostKey: true };
  it('as the spare is installed again, adopts, and has everything', async () => {
    const { a, b } = pair;
    await asNew(b);
    await installPair({ a, b }, () => undefined, anew);
    await untilAgreed(pair);
    expect(missingOn(b, a)).toEqual([]);
  }, 300_000);

  it('as the active becomes the spare of who took over, and has everything', async () => {
    const { a, b } = pair;
    await a.die({ powerLoss: true });
    await b.editFact({ pe_failover_mode: 'active', pe_failover_passive_master: a.fqdn });
    await is(b, 'active');
    await asNew(a);
    await installPair({ a: b, b: a }, () => undefined, anew);
    await untilAgreed(pair);
    expect(missingOn(a, b)).toEqual([]);
  }, 300_000);
});
