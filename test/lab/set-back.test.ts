import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openTestCa } from '../stand-in/ca.ts';
import { caStateOf, certificatesOn, givenOutTwice, lostOn, type CaState } from './ca-state.ts';
import { eventually } from './eventually.ts';
import { missingOn, startLightPair, untilSameCa, type LightPair } from './light-pair.ts';
import { secrets, untilAgreed, type LabMaster } from './pair.ts';
import { takeSnapshot } from './snapshot.ts';
import { activeOver, asAtFirst, exchange, has, is, passive, signOn } from './turning.ts';

let pair: LightPair;
beforeAll(async () => {
  pair = await startLightPair('setback');
}, 300_000);
beforeEach(async () => {
  await pair.lab.network.heal();
  await Promise.all([pair.a.boot(), pair.b.boot()]);
  await asAtFirst(pair);
}, 300_000);
afterAll(() => pair[Symbol.asyncDispose]());

const secretOf = (master: LabMaster): string => join(master.path(secrets), 'eyaml');
const secretIs = (master: LabMaster, text: string): Promise<unknown> =>
  eventually(`the secret of ${master.name} is "${text}"`, () => readFileSync(secretOf(master), 'utf8') === text, {
    withinMs: 60_000,
  });

let round = 0;
/** Signs, revokes, cleans and changes a secret on the active; until the spare has it. Gives what neither may lose. */
async function goOn(active: LabMaster, spare: LabMaster): Promise<CaState> {
  const ca = await openTestCa(active.cadir);
  round += 1;
  const [revoked, cleaned] = [`revoked-${round}.lab`, `cleaned-${round}.lab`];
  await ca.signMany([`since-${round}.lab`, revoked, cleaned]);
  await ca.revoke(revoked);
  await ca.clean(cleaned);
  await writeFile(secretOf(active), `since ${round}`);
  await untilSameCa(active, spare, 60_000);
  await secretIs(spare, `since ${round}`);
  return caStateOf(spare);
}

const untilNothingIsLost = (state: CaState): Promise<unknown> =>
  eventually(
    'both have all of the CA',
    () => {
      for (const master of [pair.b, pair.a]) expect(lostOn(master, state), master.name).toEqual([]);
      return true;
    },
    { withinMs: 90_000, everyMs: 200 },
  );

describe('an active whose disk is set back to a state of some minutes ago', () => {
  it.each([
    ['it goes on, and its files take the place of those on the spare', true],
    ['the spare takes its place, and its own files stay', false],
  ])(
    'gets its CA back by itself, sends nothing else, and names the ways out: %s',
    async (_, goesOn) => {
      const { a, b } = pair;
      await writeFile(secretOf(a), 'of then');
      await secretIs(b, 'of then');
      using then = await takeSnapshot(a);
      const state = await goOn(a, b);
      const files = certificatesOn(b);
      await then.putBack();
      expect(readFileSync(secretOf(a), 'utf8')).toBe('of then');
      await a.syslog.says(/agent\.sh ---> \[FAILURE\].*set back to an earlier state/);
      await untilNothingIsLost(state);
      expect(certificatesOn(b)).toEqual(expect.arrayContaining(files));
      await signOn(a, `after-${round}.lab`);
      await eventually('what it signs arrives', () => has(b, `after-${round}.lab`));
      expect([givenOutTwice(a), givenOutTwice(b)]).toEqual([[], []]);
      const { output } = await a.command('run sync-files');
      expect(output).toMatch(/forked or rolled back.*pe_failover_mode: passive/s);
      expect(a.syslog.lines().join('\n')).toMatch(/sync_files\.sh ---> \[FAILURE\].*forked or rolled back/);
      expect(readFileSync(secretOf(b), 'utf8')).toBe(`since ${round}`);

      await a.editFact(passive);
      await is(a, 'passive');
      await (goesOn ? a.editFact(activeOver(b)) : b.editFact(activeOver(a)));
      await is(goesOn ? a : b, 'active');
      await untilAgreed(pair);
      for (const master of [a, b]) await secretIs(master, goesOn ? 'of then' : `since ${round}`);
      await untilNothingIsLost(caStateOf(b));
      expect([...lostOn(a, state), ...lostOn(b, state)]).toEqual([]);
    },
    300_000,
  );

  it('before it was demoted wakes as the active of then, is refused as overtaken, and is a good spare once it is told', async () => {
    const { a, b } = pair;
    using then = await takeSnapshot(a);
    await untilAgreed(pair);
    await exchange(a, b);
    await untilAgreed(pair);
    const state = await goOn(b, a);
    await then.putBack();
    const said = await a.syslog.says(/\[FAILURE\].*overtaken/, 60_000);
    expect(said).toContain('pe_failover_mode: passive');
    await writeFile(secretOf(a), 'of an old active');
    await a.command('run sync-files');
    expect(readFileSync(secretOf(b), 'utf8')).toBe(`since ${round}`);
    await a.editFact(passive);
    await is(a, 'passive');
    await untilAgreed(pair);
    await untilNothingIsLost(state);
    await secretIs(a, `since ${round}`);
  }, 300_000);
});

describe('a spare whose disk is set back', () => {
  it('has everything again without a hand, and nothing that it told before is lost', async () => {
    const { a, b } = pair;
    using then = await takeSnapshot(b);
    await untilAgreed(pair);
    await signOn(b, 'by-spare.lab');
    await b.sh('pe-failover run update-passive-ca || true');
    await eventually('the active has it', () => has(a, 'by-spare.lab'), { withinMs: 60_000 });
    const state = await goOn(a, b);
    b.syslog.forget();
    await then.putBack();
    await untilAgreed(pair);
    await untilNothingIsLost(state);
    expect(missingOn(b, a)).toEqual([]);
    await secretIs(b, `since ${round}`);
    await signOn(b, `by-spare-${round}.lab`);
    expect(givenOutTwice(b)).toEqual([]);
    await goOn(a, b);
  }, 300_000);

  it('to before it was promoted is not promoted again unless that is permitted; then nothing of the CA is lost either', async () => {
    const { a, b } = pair;
    using then = await takeSnapshot(b);
    await untilAgreed(pair);
    await exchange(a, b);
    await untilAgreed(pair);
    const state = await goOn(b, a);
    await then.putBack();
    await is(b, 'passive');
    await b.editFact(activeOver(a));
    expect(await b.syslog.says(/All jobs are suspended/)).toContain('promote --force-stale');
    expect((await b.command('promote --force-stale --force --yes')).code).toBe(0);
    await is(b, 'active');
    await untilAgreed(pair);
    await untilNothingIsLost(state);
  }, 300_000);
});
