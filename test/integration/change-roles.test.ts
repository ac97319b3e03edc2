import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  createAgentPair,
  filesOnly,
  secretOf,
  startBoth,
  type AgentMaster,
  type AgentPair,
} from '../helpers/agents.ts';
import { typedCommand } from '../helpers/typed-command.ts';
import { gateOf } from '../helpers/rotation.ts';
import { until } from '../helpers/trees.ts';

let pair: AgentPair;
beforeEach(async () => {
  pair = await createAgentPair(() => `${filesOnly()}peer_address: 127.0.0.1\n`);
  await startBoth(pair);
});
afterEach(() => pair[Symbol.asyncDispose]());

const report = (master: AgentMaster): { role: string; epoch: string } =>
  JSON.parse(master.command('status', '--json').output) as never;
const roles = (): string[] => [pair.a, pair.b].map((master) => report(master).role);

/** What one writes arrives on the other. */
async function travels(from: AgentMaster, to: AgentMaster, text: string): Promise<void> {
  writeFileSync(secretOf(from), text);
  await until(`${text} is on ${to.certname}`, () => readFileSync(secretOf(to), 'utf8') === text);
}

describe('promote', () => {
  it('is refused while the old active is alive, with what to type instead, and changes nothing', () => {
    const { code, output } = pair.b.command('promote', '--yes');
    expect(code, output).toBe(75);
    expect(output).toContain('mastera.test answers: it is active in epoch 1.');
    expect(output).toContain('type on mastera.test: pe-failover switchover');
    expect(roles()).toEqual(['active', 'passive']);
  });

  it('makes the spare the active when the old one is dead, which becomes its spare by one command when it is back', async () => {
    const { a, b } = pair;
    await a.stop('SIGKILL');
    const dry = b.command('promote', '--dry-run', '--force'); // its sshd still answers
    expect(dry.output).toContain('Nothing was changed.');
    const { code, output } = b.command('promote', '--yes', '--force');
    expect(code, output).toBe(0);
    expect(output).toContain('Promote masterb.test: it becomes the active');
    expect(output).toContain('when mastera.test is back, type on it: pe-failover demote');
    expect(report(b)).toMatchObject({ role: 'active', epoch: expect.stringMatching(/^2\./) as string });
    await b.says(/Promoted: epoch 2\./);

    a.start();
    await a.says(/\[FAILURE\].*(overtaken|promoted after you)/);
    const back = await typedCommand(a, 'demote', '--yes').ended;
    expect(back.code, back.output).toBe(0);
    expect(roles()).toEqual(['passive', 'active']);
    await travels(b, a, 'from the new active');
  });

  it('shows its steps without looking at anything', () => {
    const { code, output } = pair.b.command('promote', '--list-steps');
    expect(code).toBe(0);
    expect(output).toContain('1. write pe_failover_mode: active into');
    expect(output).toContain('---- until here it can be undone ----');
  });
});

describe('demote', () => {
  it('is refused where nobody would be the active', () => {
    const { code, output } = pair.a.command('demote', '--yes');
    expect(code, output).toBe(75);
    expect(output).toContain('pe-failover switchover');
    expect(roles()).toEqual(['active', 'passive']);
  });
});

/** The first step: its title is there before its journal is. */
const quiet = 'make this master quiet';

describe('switchover', { timeout: 180_000 }, () => {
  it('exchanges the roles, and exchanges them back, and what either side writes arrives', async () => {
    const { a, b } = pair;
    const there = await typedCommand(a, 'switchover', '--yes').ended;
    expect(there.code, there.output).toBe(0);
    expect(roles()).toEqual(['passive', 'active']);
    await travels(b, a, 'after the first');
    await b.says(/sync_files\.sh ---> \[SUCCESS\] Completed/);
    const back = await typedCommand(b, 'switchover', '--yes').ended;
    expect(back.code, back.output).toBe(0);
    expect(roles()).toEqual(['active', 'passive']);
    await travels(a, b, 'after the second');
    expect([...a.log, ...b.log].filter((line) => line.includes('[FAILURE]'))).toEqual([]);
  });

  it('is refused by a spare that changes no role by the word of the other master', async () => {
    const { a, b } = pair;
    await b.stop();
    b.configure('remote_role_changes: false\n');
    b.start();
    await b.says(/The agent of masterb\.test runs/);
    const { code, output } = await typedCommand(a, 'switchover', '--yes').ended;
    expect(code, output).toBe(75);
    expect(output).toContain('remote_role_changes is false');
    expect(roles()).toEqual(['active', 'passive']);
  });

  it.each([
    [quiet],
    ['write pe_failover_mode: passive'],
    ['masterb.test becomes the active'],
    ['end the quiet'],
    ['wait until masterb.test has sent everything'],
  ])('killed at "%s" ends when it is typed again', async (step) => {
    const { a, b } = pair;
    const killed = typedCommand(a, 'switchover', '--yes');
    await killed.says(step);
    killed.kill('SIGKILL');
    await killed.ended;
    if (step !== quiet) expect(a.command('status').output).toContain('To go on, type: pe-failover switchover');
    const again = await typedCommand(a, 'switchover', '--yes').ended;
    expect(again.code, again.output).toBe(0);
    expect(roles()).toEqual(['passive', 'active']);
    await travels(b, a, 'after all');
  });

  it.each([['make this master quiet'], ['bring everything'], ['write pe_failover_mode: passive']])(
    'that is interrupted at "%s" is taken back',
    async (step) => {
      const { a, b } = pair;
      const interrupted = typedCommand(a, 'switchover', '--yes');
      await interrupted.says(step);
      interrupted.kill('SIGINT');
      const { code, output } = await interrupted.ended;
      expect(code, output).toBe(130);
      expect(output).toContain('What was begun is undone');
      expect(roles()).toEqual(['active', 'passive']);
      await travels(a, b, 'as before');
    },
  );

  it('whose spare dies when it should become the active never makes two of them, and ends when it is typed again', async () => {
    const { a, b } = pair;
    const both: string[] = [];
    const watching = setInterval(() => {
      const now = [a, b].map((master) => gateOf(master).role);
      if (now.every((role) => role === 'active')) both.push(now.join());
    }, 20);
    try {
      const typed = typedCommand(a, 'switchover', '--yes');
      await typed.says('masterb.test becomes the active');
      await b.stop('SIGKILL');
      expect((await typed.ended).code).not.toBe(0);
      b.start();
      await b.says(/The agent of masterb\.test runs/);
      const again = await typedCommand(a, 'switchover', '--yes').ended;
      expect(again.code, again.output).toBe(0);
      expect([roles(), both]).toEqual([['passive', 'active'], []]);
      await travels(b, a, 'after all');
    } finally {
      clearInterval(watching);
    }
  });
});
