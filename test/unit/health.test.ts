import { describe, expect, it } from 'vitest';
import { judgeHealth, saidForSeconds, servingOf, type HealthFacts, type Serving } from '../../src/rules/health.ts';

const up = 1000;
const serving: Serving = { format: 1, at: '2026-01-01T00:00:00Z', up: up - 5, role: 'active', ca: true };
const switching = { format: 1, up: up - 5, since: '2026-01-01T00:00:00Z', database: 'pe-rbac' } as const;
const good: HealthFacts = { up, serving, switching: undefined, puppetserver: undefined };
const spare = { ...serving, role: 'passive' };
const old = up - saidForSeconds - 1;

/** How both questions are answered: who can serve, and who is the active. */
const answers = (change: Partial<HealthFacts>) =>
  (['any', 'active'] as const).map((asked) => {
    const { healthy, reason } = judgeHealth({ ...good, ...change }, asked);
    return [healthy, reason];
  });
const no = (reason: string) => [false, expect.stringContaining(reason) as string];
const yes = (reason: string) => [true, expect.stringContaining(reason) as string];

describe('a master can serve', () => {
  it.each([
    ['as the active', {}, [yes('active'), yes('active')]],
    ['as the spare, which is not the active', { serving: spare }, [yes('passive'), no('this is the passive master')]],
    [
      'while its role changes; then it is not surely the active',
      { serving: { ...serving, unsettled: 'its role changes' } },
      [yes('active'), no('not settled: its role changes')],
    ],
    [
      'when its agent is dead, because puppetserver serves; who is the active is not known then',
      { serving: { ...serving, up: old } },
      [yes('does not say more'), no('does not say')],
    ],
    ['when its agent never ran', { serving: undefined }, [yes('puppetserver serves'), no('does not say')]],
    ['when a killed switch said so long ago', { switching: { ...switching, up: old } }, [yes('active'), yes('active')]],
    [
      'when what was said is of another start of the machine',
      { serving: { ...serving, up: up + 60, ca: false }, switching: { ...switching, up: up + 60 } },
      [yes('does not say more'), no('does not say')],
    ],
  ])('%s', (_, change, wanted) => expect(answers(change)).toEqual(wanted));
});

describe('a master cannot serve', () => {
  it.each([
    ['while a database is switched', { switching }, 'database pe-rbac is being switched since 2026'],
    ['while a database is switched, with a dead agent too', { switching, serving: undefined }, 'is being switched'],
    [
      'when puppetserver does not',
      { puppetserver: 'it says "starting"' },
      'puppetserver does not serve: it says "starting"',
    ],
    ['when puppetserver does not, with a dead agent too', { puppetserver: 'refused', serving: undefined }, 'refused'],
    ['when it is suspended', { serving: { ...serving, role: 'suspended' } }, 'suspended'],
    ['before it has the CA', { serving: { ...spare, ca: false } }, 'the CA here is not complete'],
  ])('%s', (_, change, reason) => expect(answers(change)).toEqual([no(reason), no(reason)]));
});

describe('what is said of a master', () => {
  const gate = { role: 'active', fact: 'abc' };
  const facts = { gate, fact: 'abc', latched: false, caReady: true };

  it('is a settled role where gate and fact agree', () =>
    expect(servingOf(facts)).toEqual({ role: 'active', ca: true }));

  it.each([
    ['the gate is closed', { gate: { ...gate, closed: 'demoting' } }, 'its role changes'],
    ['the fact is another', { fact: 'abd' }, 'the fact was edited just now'],
    ['a job is latched', { latched: true }, 'latched'],
    ['there is no gate file', { gate: undefined }, 'has not entered a role yet'],
  ])('is no settled role where %s', (_, change, why) =>
    expect(servingOf({ ...facts, ...change }).unsettled).toContain(why),
  );

  it('is that the CA is missing only where it was looked at', () => {
    expect([true, false, undefined].map((caReady) => servingOf({ ...facts, caReady }).ca)).toEqual([true, false, true]);
  });

  it('has no sentence of the gate file in it, which may name paths', () => {
    const said = servingOf({ ...facts, gate: { role: 'suspended', fact: '', closed: '/etc/secret' } });
    expect(JSON.stringify([said, judgeHealth({ ...good, serving: { ...serving, ...said } }, 'any')])).not.toContain(
      '/etc',
    );
  });
});
