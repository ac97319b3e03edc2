import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Failure } from '../../src/errors.ts';
import { carryOut, type CarryOutOptions } from '../../src/procedures/carry-out.ts';
import type { Procedure, ProcedureStep } from '../../src/procedures/procedure.ts';
import { bad, good } from '../../src/rules/findings.ts';
import { systemClock } from '../../src/system/clock.ts';
import { createJournal, type Journal } from '../../src/system/journal.ts';
import type { Task, Terminal } from '../../src/system/terminal.ts';

let home: string;
let journal: Journal;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'pe-failover-procedure-'));
  journal = createJournal(join(home, 'procedure.jsonl'));
});
afterEach(() => rmSync(home, { recursive: true }));

const typed: CarryOutOptions = { listSteps: false, dryRun: false, yes: true, undo: false, passing: [] };
const never = new AbortController().signal;

/** Three things that are made; the second is the point of no return. */
function threeSteps(onDo: (name: string) => void = () => undefined) {
  const world: string[] = [];
  const step = (name: string): ProcedureStep => ({
    name,
    says: `make ${name}`,
    do: () => {
      onDo(name);
      world.push(name);
      return Promise.resolve();
    },
    undo: () => {
      if (world.includes(name)) world.splice(world.indexOf(name), 1);
      return Promise.resolve();
    },
    isDone: () => Promise.resolve(world.includes(name)),
  });
  const procedure: Procedure = {
    ...{ verb: 'build', title: 'Build it', consequences: ['It will stand'], pointOfNoReturn: 'walls' },
    probes: [() => Promise.resolve([good('the ground is even')])],
    steps: [step('floor'), step('walls'), step('roof')],
    left: () => Promise.resolve(['paint it']),
  };
  return { world, procedure };
}

const lines: string[] = [];
beforeEach(() => (lines.length = 0));
const say = (line: string): void => void lines.push(line);
const terminal: Terminal = {
  ...{ isInteractive: false, say, confirm: () => Promise.resolve(true) },
  follow: async (tasks: readonly Task[]) => {
    for (const { run } of tasks) await run(say);
  },
};
const log = { success: say, warning: say, failure: say };
const parts = () => ({ journal, log, clock: systemClock, terminal, operator: 'alice' });
const run = (procedure: Procedure, options: Partial<CarryOutOptions> = {}, signal = never): Promise<number> =>
  carryOut(procedure, { ...typed, ...options }, parts(), signal);
const once = (name: string, error: Error) => {
  let isThrown = false;
  return (now: string): void => {
    if (now !== name || isThrown) return;
    isThrown = true;
    throw error;
  };
};

describe('a procedure', () => {
  it('shows its plan, tries its preconditions, does its steps, and says who typed it and what is left', async () => {
    const { world, procedure } = threeSteps();
    expect(await run(procedure)).toBe(0);
    expect(world).toEqual(['floor', 'walls', 'roof']);
    expect(lines.join('\n')).toContain(
      '   1. make floor\n     ---- until here it can be undone ----\n   2. make walls',
    );
    expect(lines).toContain('Build it. Begun by alice');
    expect(lines).toContain('  - paint it');
    expect(await journal.open()).toBeUndefined();
  });

  it('does nothing where a precondition fails, unless the option that it names was typed', async () => {
    const { world, procedure } = threeSteps();
    const muddy = [() => Promise.resolve([bad('the ground is mud', 'Wait for summer', '--force')])];
    const refused = {
      class: 'refused',
      message: expect.stringContaining('Wait for summer; --force goes on') as string,
    };
    await expect(run({ ...procedure, probes: muddy })).rejects.toMatchObject(refused);
    await expect(run({ ...procedure, probes: muddy }, { dryRun: true })).rejects.toMatchObject(refused);
    expect(world).toEqual([]);
    expect(await run({ ...procedure, probes: muddy }, { passing: ['--force'] })).toBe(0);
  });

  it.each([[{ listSteps: true }], [{ dryRun: true }]])('with %o changes nothing', async (options) => {
    const { world, procedure } = threeSteps();
    expect(await run(procedure, options)).toBe(0);
    expect([world, await journal.open()]).toEqual([[], undefined]);
  });

  it('asks before it changes anything, and without a terminal wants --yes', async () => {
    const { world, procedure } = threeSteps();
    await expect(run(procedure, { yes: false })).rejects.toMatchObject({ class: 'usage' });
    const no: Terminal = { ...terminal, isInteractive: true, confirm: () => Promise.resolve(false) };
    const asked = carryOut(procedure, { ...typed, yes: false }, { ...parts(), terminal: no }, never);
    await expect(asked).rejects.toMatchObject({ class: 'interrupted' });
    expect(world).toEqual([]);
  });

  it('that fails before its point of no return leaves nothing behind', async () => {
    const { world, procedure } = threeSteps(once('floor', new Failure('dependency', 'no sand')));
    await expect(run(procedure)).rejects.toThrow('no sand. What was begun is undone');
    expect([world, await journal.open()]).toEqual([[], undefined]);
  });

  it('that fails behind it is left, keeps others out, and goes on when it is typed again', async () => {
    const { world, procedure } = threeSteps(once('roof', new Failure('dependency', 'no tiles')));
    await expect(run(procedure)).rejects.toThrow('no tiles. To go on, type: pe-failover build');
    expect(world).toEqual(['floor', 'walls']);
    await expect(run({ ...procedure, verb: 'demolish' })).rejects.toThrow('another procedure is not ended (build)');
    await expect(run(procedure, { undo: true })).rejects.toThrow('it can only be finished');
    expect(await run(procedure)).toBe(0);
    expect(world).toEqual(['floor', 'walls', 'roof']);
  });

  it.each([0, 1, 2])('killed in step %i ends when it is typed again, and does nothing twice', async (n) => {
    const { world, procedure } = threeSteps();
    const { name } = procedure.steps[n] as ProcedureStep;
    for (const step of procedure.steps.slice(0, n)) await step.do({ tell: say, signal: never });
    await journal.record({ run: 'build', job: 'build', step: name, n, of: 3, args: {}, at: '2026-11-26T00:00:00Z' });
    expect(await run(procedure)).toBe(0);
    expect(world).toEqual(['floor', 'walls', 'roof']);
  });

  it('killed before its point of no return is undone by --undo', async () => {
    const { world, procedure } = threeSteps();
    world.push('floor');
    await journal.record({
      run: 'build',
      job: 'build',
      step: 'floor',
      n: 0,
      of: 3,
      args: {},
      at: '2026-11-26T00:00:00Z',
    });
    expect(await run(procedure, { undo: true })).toBe(0);
    expect([world, await journal.open()]).toEqual([[], undefined]);
  });

  it('in which a step is incomplete does the others, and says at the end what is missing, by its exit code too', async () => {
    const { world, procedure } = threeSteps(once('walls', new Failure('incomplete', 'one window is missing')));
    expect(await run(procedure)).toBe(79);
    expect(world).toEqual(['floor', 'roof']);
    expect(lines).toContain('  one window is missing');
  });

  it('that is interrupted by a signal before its point of no return is undone', async () => {
    const over = new AbortController();
    const { world, procedure } = threeSteps(() => over.abort());
    await expect(run(procedure, {}, over.signal)).rejects.toMatchObject({ class: 'interrupted' });
    expect(world).toEqual([]);
  });
});
