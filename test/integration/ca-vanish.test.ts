import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Vanished } from '../../src/rules/vanishing.ts';
import { createCaPair, epoch, type CaPair } from '../helpers/ca-pair.ts';

const hourMs = 3_600_000;
const start = Date.parse('2027-03-01T00:00:00Z'); // what the stand-in signs without a time is months old then

let pair: CaPair;
beforeEach(async () => {
  pair = await createCaPair();
  pair.now = new Date(start);
});
afterEach(() => pair[Symbol.asyncDispose]());

const spare = (...parts: string[]): string => join(pair.root, 'spare', ...parts);
const active = (...parts: string[]): string => join(pair.root, 'active', ...parts);
const names = (count: number, prefix = 'n'): string[] => Array.from({ length: count }, (_, n) => `${prefix}${n}.lab`);
const signed = async (): Promise<number> => (await readdir(spare('signed'))).length;
const kept = async (): Promise<string[]> => (await pair.kept.list()).map(({ rule, decision }) => `${rule} ${decision}`);
const saying = (status: string, what: string): number =>
  pair.log.filter((line) => line.startsWith(status) && line.includes(what)).length;
const later = (hours: number): void => void (pair.now = new Date((pair.now?.getTime() ?? 0) + hours * hourMs));
const counted = async (): Promise<number> => {
  const text = await readFile(join(pair.root, 'vanished', 'vanished.json'), 'utf8').catch(() => '{"paths":{}}');
  return Object.keys((JSON.parse(text) as { paths: Vanished }).paths).length;
};
const remove = async (gone: readonly string[]): Promise<void> => {
  for (const name of gone) await rm(active('signed', `${name}.pem`));
  await pair.sync(gone.map((name) => `signed/${name}.pem`));
};
const oneByOne = async (gone: readonly string[]): Promise<void> => {
  for (const name of gone) await remove([name]);
};
const decide = async (decision: 'released' | 'discarded'): Promise<void> => {
  const [open] = (await pair.kept.list()).filter((hold) => hold.decision === 'open');
  await pair.kept.decide(open?.id ?? '', decision);
  await pair.compare();
};

describe('certificates that vanish one by one', () => {
  beforeEach(async () => {
    await pair.active.signMany(names(60));
    await pair.sync();
  });

  test('are one hold that grows, from where a fifth is gone: one FAILURE; a release lets all of it go and begins anew', async () => {
    await oneByOne(names(20));
    expect([await signed(), await kept()]).toEqual([48, ['certificates-vanish open']]);
    expect(pair.holds.at(-1)).toMatchObject({
      sentence: '20 certificates of 60 vanished on the active within a day; 8 removals wait',
    });
    expect([saying('FAILURE', 'vanished'), saying('WARNING', 'vanished')]).toEqual([1, 7]);
    expect(pair.verdicts.at(-1)).toMatchObject({ state: 'held', holdId: pair.holds.at(-1)?.id });
    await pair.active.sign('new.lab', pair.now);
    await pair.sync();
    expect(await signed()).toBe(49);
    await decide('released');
    expect([await signed(), await kept(), await counted()]).toEqual([41, [], 0]);
    await oneByOne(names(28).slice(20));
    expect([await signed(), await kept()]).toEqual([33, []]);
  });

  test('are forgotten after a day: as many may go the next day', async () => {
    await oneByOne(names(10));
    later(24);
    await oneByOne(names(20).slice(10));
    expect([await signed(), await kept(), await counted()]).toEqual([40, [], 10]);
  });

  test('go on counting behind a discarded hold, and are held with what was not decided alone', async () => {
    await oneByOne(names(13));
    await decide('discarded');
    await remove(['n13.lab']);
    expect([await signed(), await kept()]).toEqual([48, ['certificates-vanish discarded', 'certificates-vanish open']]);
    await decide('released');
    expect([await signed(), await kept()]).toEqual([47, ['certificates-vanish discarded']]);
  });

  test('are held no more where the active has them again', async () => {
    const pem = await readFile(active('signed/n12.lab.pem'));
    await oneByOne(names(13));
    expect(await kept()).toEqual(['certificates-vanish open']);
    await writeFile(active('signed/n12.lab.pem'), pem);
    await pair.sync();
    expect([await signed(), await kept(), await counted()]).toEqual([48, [], 12]);
  });

  test.each([
    ['forth', 24 * 400],
    ['back', -24 * 400],
  ])('count on a clock that steps %s as on any: for a day, not for ever', async (_way, hours) => {
    await oneByOne(names(6));
    later(hours);
    await oneByOne(names(12).slice(6));
    later(25);
    await oneByOne(names(19).slice(12));
    expect([await signed(), await kept(), await counted()]).toEqual([41, [], 7]);
    await oneByOne(names(25).slice(19));
    expect(await kept()).toEqual(['certificates-vanish open']);
  });

  test('are counted once by a pass that fails half-way and is made again', async () => {
    pair.duringApply = (step) => (step === 'accept' ? Promise.reject(new Error('killed')) : Promise.resolve());
    await expect(remove(names(5))).rejects.toThrow('killed');
    pair.duringApply = undefined;
    await pair.compare();
    expect([await signed(), await counted()]).toEqual([55, 5]);
  });
});

describe('what is no loss', () => {
  const serials = new Map<string, bigint>();
  const sign = async (born: readonly string[], at?: Date): Promise<void> => {
    for (const [n, serial] of (await pair.active.signMany(born, at)).entries()) serials.set(born[n] ?? '', serial);
  };
  const clean = async (gone: readonly string[]): Promise<void> => {
    await pair.active.revokeSerials(gone.map((name) => serials.get(name) ?? 0n));
    for (const name of gone) await rm(active('signed', `${name}.pem`));
  };

  test('a fleet that is made anew under its names within a day is not held', async () => {
    await sign(names(60));
    await pair.sync();
    for (const name of names(30)) {
      await clean([name]);
      await pair.sync([`signed/${name}.pem`, 'ca_crl.pem']);
      await sign([name], pair.now);
      await pair.sync([`signed/${name}.pem`, 'serial', 'inventory.txt']);
      later(0.3);
    }
    expect([await signed(), await kept(), await counted()]).toEqual([60, [], 0]);
  });

  test('machines that live for three days, in place of each other, are not held in a week', async () => {
    const living: string[][] = [];
    for (let quarter = 0; quarter < 28; quarter += 1) {
      living.push(names(12, `q${quarter}n`));
      await sign(living.at(-1) ?? [], pair.now);
      if (living.length > 12) await clean(living.shift() ?? []);
      await pair.sync();
      later(6);
    }
    expect([await signed(), await kept()]).toEqual([144, []]);
    await oneByOne(living.flat().slice(0, 90));
    expect([await kept(), (await signed()) > 60]).toEqual([['certificates-vanish open'], true]);
  });

  test('an autoscaling fleet that comes and goes beside others is not held: a thousand signings', async () => {
    await sign(names(150));
    await pair.sync();
    for (let hour = 0; hour < 20; hour += 1) {
      const burst = names(50, `burst${hour}n`);
      await sign(burst, pair.now);
      await pair.sync();
      await remove(burst.slice(0, 25));
      await remove(burst.slice(25));
      if (hour % 5 === 0) await remove([`n${hour}.lab`]); // one of the others now and then
      later(1);
    }
    expect([await signed(), await kept()]).toEqual([146, []]);
  }, 240_000);

  test('a new active that sends the whole CA is judged by what vanished before', async () => {
    await sign(['spare.lab', ...names(60)]);
    await pair.sync();
    await oneByOne(names(8));
    pair.activeSet.rebuild([], { epoch, sequence: 0 }); // a new active sends the whole CA
    pair.restartActive();
    await pair.sync();
    await oneByOne(names(12).slice(8));
    expect(await kept()).toEqual([]);
    await oneByOne(['n12.lab']);
    expect(await kept()).toEqual(['certificates-vanish open']);
  });
});
