import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createRestoreNc, planRestore } from '../../src/jobs/restore-nc/index.ts';
import type { VerifiedDrop } from '../../src/drops/intake.ts';
import { digestGroups } from '../../src/rules/groups.ts';
import { createJournal } from '../../src/system/journal.ts';
import { fakeHolds, fakeIntake, makeDrop, passContext, temporaryDirectory } from '../helpers/classifier-fakes.ts';
import { createWorld, groupsOf, type ClassifierWorld } from '../helpers/classifier-pair.ts';
import type { ProgramArgs } from '../helpers/restore-nc-program.ts';
import type { ClassifierStandIn } from '../stand-in/classifier.ts';

let world: ClassifierWorld;
let root: string;
let spare: ClassifierStandIn;
let drop: VerifiedDrop;
let old: string;
let wanted: string;
beforeAll(async () => void (world = await createWorld()));
afterAll(() => world.close());
beforeEach(async () => {
  root = await temporaryDirectory();
  const active = await world.start({ host: 'mastera.example.com' });
  spare = await world.start();
  const incoming = groupsOf(active);
  drop = await makeDrop(root, incoming);
  old = digestGroups(groupsOf(spare));
  wanted = digestGroups(planRestore({}, drop, incoming, groupsOf(spare)).groups);
});
afterEach(() => rm(root, { recursive: true }));

const live = (): string => digestGroups(groupsOf(spare));
const journal = () => createJournal(join(root, 'journal/restore-nc.jsonl'));
const jobFor = (...waiting: VerifiedDrop[]) => {
  const intake = fakeIntake(...waiting);
  const classifier = world.classifierOf(spare);
  const archive = join(root, 'archive');
  return { intake, job: createRestoreNc({ classifier, intake, holds: fakeHolds(), journal: journal(), archive }) };
};

/** Runs a pass in a process of its own, up to its own kill -9. */
async function runAndDie(call: number, when: ProgramArgs['when']): Promise<void> {
  const program = join(import.meta.dirname, '../helpers/restore-nc-program.ts');
  const args: ProgramArgs = { url: spare.url, identity: world.identity, root, drop, call, when };
  const node = join(import.meta.dirname, '../../node_modules/.bin/node');
  const child = spawn(node, [program, JSON.stringify(args)], { stdio: ['ignore', 'inherit', 'inherit'] });
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
}

const steps = ['archive', 'import', 'verify', 'refresh', 'close'];
const points = steps.flatMap((step, call) => [
  [`before ${step} is in the journal`, call, 'before'] as const,
  [`after ${step} is in the journal`, call, 'after'] as const,
]);

describe('killed with kill -9', () => {
  test.each(points)('%s, the tree is old or new, and the next pass ends with the new one', async (_, call, when) => {
    await runAndDie(call, when);
    expect([old, wanted]).toContain(live());
    const { job, intake } = jobFor(drop);
    await job.run(passContext());
    expect(live()).toBe(wanted);
    expect(['applied', 'unchanged']).toContain(intake.verdicts[0]?.state);
    expect(await journal().open()).toBeUndefined();
  });
  test.each(points)('%s, and no drop comes any more, the tree is wholly old or wholly new', async (_, call, when) => {
    await runAndDie(call, when);
    await jobFor().job.run(passContext());
    expect([old, wanted]).toContain(live());
    expect(await journal().open()).toBeUndefined();
  });
});

describe('killed after the classifier stored another tree than it was given', () => {
  beforeEach(async () => {
    spare.tree.onStore = (group) => ({ ...group, description: 'changed' });
    await runAndDie(2, 'before');
    spare.tree.onStore = (group) => group;
    expect([old, wanted]).not.toContain(live());
  });
  test('the old tree is put back before anything else', async () => {
    await jobFor().job.run(passContext());
    expect(live()).toBe(old);
  });
  test('what is live is left alone when the epoch is another: it may be the work of who was in charge since', async () => {
    const before = live();
    await jobFor().job.run(passContext({ epoch: { number: 4, id: '0123456789abcdef' } }));
    expect(live()).toBe(before);
    expect(await journal().open()).toBeUndefined();
  });
});
