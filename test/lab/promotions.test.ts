import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { StreamState } from '../../src/drops/stream-state.ts';
import { caStateOf, lostOn, type CaState } from './ca-state.ts';
import { stepsOf, untilClean } from './death.ts';
import { eventually } from './eventually.ts';
import { chosenOf } from './extent.ts';
import { startLightPair, type LightPair } from './light-pair.ts';
import { actOutsideAt, whenSomethingIsIn, whenStepBegins } from './moment.ts';
import { count } from './numbers.ts';
import { certificates, nextChange, ofTheSpare, type Operation, type Sides } from './operations.ts';
import { caFingerprint, everything, untilAgreed } from './pair.ts';
import { consoleUnit } from './provision.ts';
import { activeOver, is, passive } from './turning.ts';

let pair: LightPair;
/** Each promotion turns the roles round, and the next one begins there. */
let sides: Sides;
const units = [consoleUnit, 'postgresql@15-main', 'pe-failover'];
beforeAll(async () => {
  pair = await startLightPair('promotions', { configuration: everything, withConsole: true });
  sides = { active: pair.a, spare: pair.b };
  await agreed();
}, 300_000);
beforeEach(async () => {
  await pair.lab.network.heal();
  await agreed();
}, 300_000);
afterAll(() => pair[Symbol.asyncDispose]());

async function agreed(): Promise<void> {
  await untilAgreed({ a: sides.active, b: sides.spare });
  for (const { untilThere } of ofTheSpare) await untilThere(sides);
  await untilClean(sides.spare, units);
}

/** The overtaken active says so, and becomes the spare of who took over. */
async function turnRound(): Promise<void> {
  const { active, spare } = sides;
  await active.syslog.says(/\[FAILURE\].*overtaken/, 60_000);
  await active.editFact(passive);
  await is(active, 'passive');
  await active.command(`adopt ${await caFingerprint(spare)}`); // the databases too
  sides = { active: spare, spare: active };
}

async function surviving(what: string, live: () => Promise<void>): Promise<void> {
  for (const master of [pair.a, pair.b]) master.syslog.forget();
  await live().catch((cause: unknown) => {
    throw new Error(`did not survive ${what}`, { cause });
  });
  count('promotions survived');
  process.stderr.write(`lab: survived ${what}\n`);
}

async function promoteAt(operation: Operation, step: string): Promise<void> {
  const { active, spare } = sides;
  await actOutsideAt(
    spare,
    whenStepBegins(spare, { job: operation.job, step }),
    () => nextChange(operation, sides),
    () => spare.editFact(activeOver(active)),
  );
  await is(spare, 'active', 90_000);
  const state = caStateOf(active);
  if (hasWord('sync-certs')) expect(lostOn(spare, state)).toEqual([]);
  // A change of the CA or of files may be more than one drop, one of a database is one: it was verified, so it is live.
  if (operation.job === 'restore-dbs' || (operation.job === 'update-passive-files' && hasWord('sync-files')))
    await operation.untilThere(sides);
  await untilClean(spare, units);
  await turnRound();
  await untilUnited(state, { active: spare, spare: active });
  await agreed();
}

/** Is there a word on the last drop that the active made, and a good one? */
function hasWord(stream: string): boolean {
  const path = sides.active.path(`/var/lib/pe_failover/state/streams/${stream}.json`);
  const { acknowledged, sequence } = JSON.parse(readFileSync(path, 'utf8')) as StreamState;
  return acknowledged?.sequence === sequence && acknowledged.state === 'applied';
}

/** What is found out at an interval is found out at once. */
async function untilUnited(state: CaState, { active, spare }: Sides): Promise<void> {
  await untilAgreed(pair);
  await spare.command('run update-passive-ca');
  await active.command('run fetch-made-here');
  const both = (): boolean => lostOn(active, state).length + lostOn(spare, state).length === 0;
  await eventually('both have all of the CA', both, { withinMs: 60_000 });
}

describe.each(ofTheSpare)('a spare that is promoted in the middle of $job', (operation) => {
  it('at any journalled step ends that, is the active, and has what was being applied; its old active becomes its spare', async () => {
    const steps = await stepsOf(sides.spare, operation.job, async () => {
      await nextChange(operation, sides);
      await operation.untilThere(sides);
      await untilClean(sides.spare, units);
    });
    expect(steps.length).toBeGreaterThan(1);
    for (const step of chosenOf([...new Set(steps)]))
      await surviving(`a promotion at step "${step}" of ${operation.job}`, () => promoteAt(operation, step));
  }, 900_000);
});

describe('a spare that is promoted in the middle of a push', () => {
  const points = [
    ['its drop is packed', 'active', '/var/lib/pe_failover/outbox/sync-certs'],
    ['rsync begins', 'spare', '/var/lib/pe_failover/inbox/sync-certs'],
    ['the drop is published', 'spare', '/var/lib/pe_failover/inbox/sync-certs/ready'],
    ['root takes it over', 'spare', '/var/lib/pe_failover/taken/sync-certs'],
  ] as const;
  it.each(chosenOf(points))(
    'when %s refuses it or has it live, as its word says, and nothing that the old active signed or revoked is lost',
    async (name, side, directory) => {
      await surviving(`a promotion when ${name}`, async () => {
        const { active, spare } = sides;
        const moment = whenSomethingIsIn(sides[side], directory);
        const promotion = () => spare.editFact(activeOver(active));
        await actOutsideAt(spare, moment, () => nextChange(certificates, sides), promotion);
        await is(spare, 'active', 90_000);
        const state = caStateOf(active);
        if (hasWord('sync-certs')) expect(lostOn(spare, state)).toEqual([]);
        await turnRound();
        await untilUnited(state, { active: spare, spare: active });
      });
    },
    300_000,
  );
});
