import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StatusReport } from '../../src/agent/status.ts';
import {
  completed,
  createAgentPair,
  filesOnly,
  placed,
  secretOf,
  startBoth,
  type AgentMaster,
  type AgentPair,
} from '../helpers/agents.ts';
import { pathsBelow } from '../helpers/pair.ts';

let pair: AgentPair;
beforeAll(async () => {
  pair = await createAgentPair(() => `${filesOnly()}peer_address: 127.0.0.1\n`);
  await startBoth(pair);
});
afterAll(() => pair[Symbol.asyncDispose]());

const reportOf = (master: AgentMaster): StatusReport =>
  JSON.parse(master.command('status', '--json').output) as StatusReport;
const onSpare = (): string => readFileSync(secretOf(pair.b), 'utf8');
const pauseFile = (master: AgentMaster, name: string): string => join(pathsBelow(master.root).state, `${name}.json`);
const upgrade = ['--for', '2h', '--reason', 'PE upgrade'] as const;

describe('a pause', () => {
  it('on the active keeps its jobs from running, is told to the spare, and stands in the first line of both', async () => {
    const { a, b } = pair;
    const { code, output } = a.command('pause', 'sync-files', ...upgrade);
    expect([code, output]).toEqual([0, expect.stringContaining('masterb.test knows of it.')]);
    await b.says(/WARNING\] On mastera\.test, sync-files is paused until .* by .*: PE upgrade/);
    writeFileSync(secretOf(a), 'second');
    const byHand = a.command('run', 'sync-files');
    expect([byHand.code, byHand.output]).toEqual([75, expect.stringContaining('Type: pe-failover resume sync-files')]);
    expect(a.command('status').output.split('\n')[0]).toMatch(
      /^WARNING: paused until \S+ by .+: PE upgrade \(sync-files\)\. To end it, type: pe-failover resume$/,
    );
    expect(b.command('status').output.split('\n')[0]).toMatch(
      /^WARNING: sync-files is paused until \S+ by .+: PE upgrade \(on mastera\.test\)$/,
    );
    for (const master of [a, b])
      expect(reportOf(master).components.find(({ stream }) => stream === 'sync-files')).toMatchObject({
        excused: true,
        paused: { on: 'mastera.test', reason: 'PE upgrade' },
      });
    expect(reportOf(a).pauses).toMatchObject([{ job: 'sync-files' }]);
    expect(onSpare()).toBe('first');
  });

  it('survives the agent, is ended by resume, and what changed meanwhile goes on its way', async () => {
    const { a, b } = pair;
    await a.stop();
    expect(a.command('run', 'sync-files').code).toBe(75);
    a.start();
    await expect.poll(() => reportOf(a).agent.jobs.find(({ job }) => job === 'sync-files')?.state).toBe('paused');
    expect(a.command('resume')).toMatchObject({ code: 0 });
    await b.says(/On mastera\.test, nothing is paused any more/);
    await b.says(placed);
    await a.says(completed);
    expect(onSpare()).toBe('second');
    expect(reportOf(b).verdict.code).toBe(0);
    expect(a.command('resume').output).toBe('Nothing is paused.\n');
  }, 60_000);

  it('that cannot be told stands all the same, and says so by its exit code', async () => {
    const { a, b } = pair;
    await b.stop();
    const { code, output } = a.command('pause', '--all', ...upgrade);
    expect([code, output]).toEqual([79, expect.stringContaining('does not know of it, and will say FAILURE')]);
    a.command('resume');
    b.start();
    await b.says(/The agent of masterb\.test runs/);
  }, 100_000);

  it('without an end or a reason, or of what is no job here, is refused', () => {
    const { a } = pair;
    expect(a.command('pause', '--all', '--reason', 'x')).toMatchObject({ code: 64 });
    expect(a.command('pause', '--all', '--for', '2h')).toMatchObject({ code: 64 });
    expect(a.command('pause', 'restore-dbs', ...upgrade)).toMatchObject({ code: 64 });
    expect(a.command('pause', 'greet-spare', ...upgrade)).toMatchObject({ code: 64 });
  });

  it('on the spare ends with the change of roles, and what it kept back goes live before', async () => {
    const { a, b } = pair;
    const { output } = b.command('pause', '--all', ...upgrade);
    expect(output).toContain('mastera.test knows of it.');
    writeFileSync(secretOf(a), 'third');
    const ready = join(pathsBelow(b.root).inbox, 'sync-files/ready');
    await expect.poll(() => readdirSync(ready).some((name) => name !== 'confirm'), { timeout: 20_000 }).toBe(true);
    expect(onSpare()).toBe('second');
    await a.stop('SIGKILL');
    b.setFacts({ pe_failover_mode: 'active' });
    await b.says(/Promoted: epoch 2\./, 60_000);
    await b.says(/The change of roles ends what was paused until/);
    expect(onSpare()).toBe('third');
    expect(existsSync(pauseFile(b, 'pause'))).toBe(false);
  }, 90_000);
});
