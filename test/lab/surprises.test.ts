import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { problemsOf } from '../helpers/ca-pair.ts';
import { eventually } from './eventually.ts';
import { startLightPair, untilCaEqual, type LightPair } from './light-pair.ts';
import { report } from './numbers.ts';
import { cadir, untilAgreed, type LabMaster } from './pair.ts';

let pair: LightPair;
beforeAll(async () => {
  pair = await startLightPair('surprises');
}, 300_000);
beforeEach(async () => {
  await untilAgreed(pair);
  for (const { syslog } of [pair.a, pair.b]) syslog.forget();
}, 180_000);
afterAll(() => pair[Symbol.asyncDispose]());

const inventoryOf = (master: LabMaster): string => readFileSync(join(master.cadir, 'inventory.txt'), 'utf8');
const has = (master: LabMaster, name: string): boolean => existsSync(join(master.cadir, 'signed', `${name}.pem`));
const failuresOf = ({ syslog }: LabMaster): readonly string[] =>
  syslog.lines().filter((line) => line.includes('[FAILURE]'));

async function arrives(name: string, withinMs = 30_000): Promise<void> {
  await pair.ca.sign(name);
  const at = performance.now();
  await eventually(`${name} is on the spare`, () => has(pair.b, name), { withinMs, everyMs: 5 });
  report('sign to live after a surprise', performance.now() - at);
}

describe('a CA directory that is replaced by a rename', () => {
  const replace = (master: LabMaster): Promise<string> =>
    master.sh(
      `cp -a ${cadir} ${cadir}.new && mv ${cadir} ${cadir}.old && mv ${cadir}.new ${cadir} && rm -r ${cadir}.old`,
    );

  it('on the active is watched on: what is signed in the new one is live as fast as ever', async () => {
    await replace(pair.a);
    await eventually('the new one is watched', async () => (await pair.a.status()).verdict.code === 0);
    await arrives('in-new-directory.lab', 10_000);
    await arrives('in-new-directory-2.lab', 10_000);
    expect(failuresOf(pair.a)).toEqual([]);
  });

  it('on the spare gets the next certificate all the same', async () => {
    await replace(pair.b);
    await arrives('on-new-spare.lab', 10_000);
    expect(await problemsOf(pair.b.cadir)).toEqual([]);
    expect(failuresOf(pair.b)).toEqual([]);
  });

  it('on the active by a copy of before, as from a backup: what is signed from then on is live', async () => {
    const { a } = pair;
    await a.sh(`cp -a ${cadir} ${cadir}.backup`);
    await arrives('after-the-backup.lab');
    // A backup knows nothing of the serials that were given out since: whoever restores it has to.
    await a.sh(`mv ${cadir} ${cadir}.broken && mv ${cadir}.backup ${cadir} && cp -a ${cadir}.broken/serial ${cadir}/`);
    await arrives('after-the-restore.lab');
    await untilCaEqual(pair);
    await untilAgreed(pair);
    expect(await problemsOf(pair.b.cadir)).toEqual([]);
  });
});

describe('a line of the inventory that is written by half', () => {
  const line = (serial: string, name: string): string =>
    `0x${serial} 2026-11-20T00:00:00UTC 2031-11-20T00:00:00UTC /CN=${name}\n`;
  const append = (master: LabMaster, text: string): void => appendFileSync(join(master.cadir, 'inventory.txt'), text);

  it('on the active, and completed later, comes to the spare as a whole, and never by half', async () => {
    const { a, b, ca } = pair;
    const whole = line('7A01', 'torn.lab');
    append(a, whole.slice(0, 25));
    await a.sh('pe-failover run sync-certs', { timeoutMs: 60_000 });
    expect(inventoryOf(b)).not.toContain('0x7A01');
    append(a, whole.slice(25));
    await eventually('the whole line is there', () => inventoryOf(b).includes(whole), { withinMs: 30_000 });
    await ca.sign('after-torn.lab');
    await untilCaEqual(pair);
    expect(failuresOf(a)).toEqual([]);
  });

  it('on the active, and stays so: it is said, nothing of it is merged, and what is signed after it is live', async () => {
    const { a, b } = pair;
    const half = line('7A02', 'stays-torn.lab').slice(0, 25);
    append(a, half);
    await arrives('after-stays-torn.lab');
    await a.syslog.says(/sync_certs\.sh ---> \[WARNING\].*names no certificate.*0x7A02.*inventory\.txt/);
    await arrives('after-stays-torn-2.lab');
    expect(inventoryOf(b)).not.toContain('0x7A02');
    expect(a.syslog.lines().filter((said) => said.includes('names no certificate'))).toHaveLength(1);
    writeFileSync(join(a.cadir, 'inventory.txt'), inventoryOf(a).replace(half, '')); // as an admin mends it
    await untilCaEqual(pair, 60_000);
  });

  it('on the spare, as a loss of power leaves it: nothing of it comes to the active, and the next line is a whole one', async () => {
    const { a, b } = pair;
    append(b, line('19A03', 'torn-on-spare.lab').slice(0, 25));
    await arrives('after-torn-on-spare.lab');
    await b.sh('pe-failover run update-passive-ca || true', { timeoutMs: 60_000 });
    await untilCaEqual(pair);
    await untilAgreed(pair);
    expect(inventoryOf(a)).not.toContain('0x19A03');
    expect(failuresOf(b)).toEqual([]);
  });
});

describe('events that nobody took in time', () => {
  it('overflow the queue of the kernel, and all that was signed is live all the same', async () => {
    const { a, ca } = pair;
    await a.sh('systemctl kill -s STOP --kill-whom=main pe-failover');
    for (let n = 0; n < 4; n += 1) await ca.signMany(Array.from({ length: 500 }, (_, m) => `many-${n * 500 + m}.lab`));
    await a.sh('systemctl kill -s CONT --kill-whom=main pe-failover');
    report('2,000 certificates signed while the agent stood still, until live', await untilCaEqual(pair, 120_000));
    await arrives('after-the-overflow.lab', 10_000);
    expect(failuresOf(a)).toEqual([]);
  }, 300_000);
});
