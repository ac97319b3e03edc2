import { chmodSync, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hookSamples, isHookEvent } from '../../src/rules/hooks.ts';
import { isRunning } from '../../src/system/exec.ts';
import { createAgentPair, filesOnly, placed, secretOf, startBoth, type AgentMaster } from '../helpers/agents.ts';
import type { AgentPair } from '../helpers/agents.ts';
import { hookPath, noteEvent, putHook, told } from '../helpers/hooks.ts';
import { pathsBelow } from '../helpers/pair.ts';

let pair: AgentPair;
beforeEach(async () => {
  pair = await createAgentPair(() => `${filesOnly()}hooks: {timeout: 2s}\n`);
});
afterEach(() => pair[Symbol.asyncDispose]());

const promote = (master: AgentMaster): void =>
  master.setFacts({ pe_failover_mode: 'active', pe_failover_passive_master: '127.0.0.1' });
const noted = ({ root }: AgentMaster): boolean => existsSync(join(pathsBelow(root).state, 'hooks.json'));
const waitFor = (look: () => unknown, timeout = 20_000) => expect.poll(look, { interval: 20, timeout });

describe('a change of roles', () => {
  it('is told once to the hooks of the new active and of the new spare, as docs/formats.md says', async () => {
    const { a, b } = pair;
    noteEvent(a, 'demoted');
    noteEvent(b, 'promoted', 'echo "moved to $PE_FAILOVER_CERTNAME as $PE_FAILOVER_ROLE"');
    await startBoth(pair);
    a.setFacts({ pe_failover_mode: 'passive' });
    await a.says(/Hook demoted\/10-note is done/);
    promote(b);
    await b.says(/agent\.sh ---> \[SUCCESS\] Hook promoted\/10-note is done/);
    expect(await b.says(/Hook promoted\/10-note says/)).toContain('moved to masterb.test as active');
    writeFileSync(secretOf(b), 'second');
    await a.says(placed);
    expect(told(a)).toMatchObject([{ event: 'demoted', certname: 'mastera.test', role: 'passive' }]);
    expect(told(b)).toEqual([
      {
        format: 1,
        event: 'promoted',
        id: expect.stringMatching(/^[0-9a-f]{16}$/) as string,
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
        certname: 'masterb.test',
        role: 'active',
        epoch: expect.stringMatching(/^2\.[0-9a-f]{16}$/) as string,
        peer: 'mastera.test',
        text: expect.stringMatching(/^Promoted: epoch 2\./) as string,
        why: hookSamples.promoted.fields.why,
      },
    ]);
    expect([noted(a), noted(b)]).toEqual([false, false]);
  });

  it.each(['settled', 'gate open'])(
    'is told after the next start, once, when the agent is killed at "%s"',
    async (point) => {
      const { a, b } = pair;
      noteEvent(b, 'promoted');
      await startBoth(pair);
      await Promise.all([a.stop(), b.stop()]);
      b.start(point);
      await b.says(/The agent of masterb.test runs/);
      b.setFacts({ pe_failover_mode: 'active' });
      expect(await b.ended()).toBe('SIGKILL');
      expect(told(b)).toEqual([]);
      expect(noted(b)).toBe(true);
      b.start();
      await b.says(/Hook promoted\/10-note is done/);
      await b.stop();
      b.start();
      await b.says(/Active without a passive master/, 60_000);
      expect(told(b)).toMatchObject([{ event: 'promoted', role: 'active' }]);
      expect(noted(b)).toBe(false);
    },
  );

  it('that was never settled is not told', async () => {
    const { a, b } = pair;
    noteEvent(b, 'promoted');
    noteEvent(b, 'demoted');
    await startBoth(pair);
    await Promise.all([a.stop(), b.stop()]);
    b.start('CRLs issued anew');
    await b.says(/The agent of masterb.test runs/);
    b.setFacts({ pe_failover_mode: 'active' });
    expect(await b.ended()).toBe('SIGKILL');
    b.setFacts({ pe_failover_mode: 'passive' });
    a.start();
    b.start();
    writeFileSync(secretOf(a), 'second');
    await b.says(placed);
    expect([told(b), noted(b)]).toEqual([[], false]);
  });

  it('is told again with the same id when the agent ended while its hook ran, and that one was ended', async () => {
    const { b } = pair;
    const configuration = pathsBelow(b.root).config;
    writeFileSync(configuration, readFileSync(configuration, 'utf8').replace('timeout: 2s', 'timeout: 60s'));
    noteEvent(b, 'promoted', `[ -e ${b.root}/again ] || { echo $$ > ${b.root}/pid; exec sleep 300; }`);
    await startBoth(pair);
    promote(b);
    await waitFor(() => told(b).length).toBe(1);
    await waitFor(() => existsSync(join(b.root, 'pid'))).toBe(true);
    const pid = Number(readFileSync(join(b.root, 'pid'), 'utf8'));
    const at = performance.now();
    await b.stop();
    expect(performance.now() - at).toBeLessThan(20_000);
    expect(isRunning(pid)).toBe(false);
    writeFileSync(join(b.root, 'again'), '');
    b.start();
    await b.says(/Hook promoted\/10-note is done/);
    const [first, second] = told(b);
    expect(second).toEqual({ ...first });
  });
});

describe('a hook', () => {
  it('that hangs is ended with its children, one that fails is named, the others run, and the promotion is as ever', async () => {
    const { a, b } = pair;
    putHook(b, 'promoted/10-hangs', `(trap '' TERM; sleep 300) & echo $! > ${b.root}/child; sleep 300`);
    putHook(b, 'promoted/20-fails', 'echo "no such zone" >&2; echo "really" >&2; exit 3');
    putHook(b, 'promoted/30-leaves', `sleep 300 > /dev/null 2>&1 & echo $! > ${b.root}/left`);
    noteEvent(b, 'promoted', 'true');
    await startBoth(pair);
    promote(b);
    await b.says(/Promoted: epoch 2\./);
    a.setFacts({ pe_failover_mode: 'passive' });
    writeFileSync(secretOf(b), 'second');
    await a.says(placed);
    expect(readFileSync(secretOf(a), 'utf8')).toBe('second');
    const hung = await b.says(/\[WARNING\] Hook promoted\/10-hangs/);
    expect(hung).toContain('did not end within 2 s and was ended (hooks.timeout)');
    const failed = await b.says(/\[WARNING\] Hook promoted\/20-fails/);
    expect(failed).toContain(
      'failed with exit code 3: no such zone. It is not run again by itself. To try it, type: pe-failover hooks --try promoted',
    );
    await b.says(/Hook promoted\/30-leaves is done/);
    for (const name of ['child', 'left']) {
      const pid = Number(readFileSync(join(b.root, name), 'utf8'));
      await waitFor(() => isRunning(pid)).toBe(false);
    }
    expect(told(b)).toHaveLength(1);
    await waitFor(() => noted(b)).toBe(false);
  });

  it.each([
    ['that everybody may write', (path: string) => chmodSync(path, 0o757), 'chmod go-w'],
    ['in a directory that its group may write', (path: string) => chmodSync(dirname(path), 0o770), 'chmod go-w'],
    [
      'that is a link',
      (path: string) => {
        rmSync(path);
        symlinkSync('/bin/true', path);
      },
      'cp --remove-destination',
    ],
  ])('%s is not run, and a WARNING, check and hooks say so with what to type', async (_, spoil, hint) => {
    const { b } = pair;
    noteEvent(b, 'promoted');
    spoil(hookPath(b, 'promoted/10-note'));
    await startBoth(pair);
    promote(b);
    expect(await b.says(/\[WARNING\] Hook promoted\/10-note is not run/)).toContain(hint);
    expect(told(b)).toEqual([]);
    expect(b.command('check').output).toMatch(/PROBLEM {2}hooks: promoted\/10-note is not run/);
    const listed = b.command('hooks');
    expect(listed.code).toBe(2);
    expect(listed.output).toContain(hint);
  });

  it('that is named for no event is a problem for check, which lists those that are run', () => {
    const { b } = pair;
    noteEvent(b, 'promoted');
    putHook(b, 'failure/README', 'true', 0o644);
    expect(b.command('hooks')).toMatchObject({ code: 0, output: expect.stringContaining('applied: none') as string });
    expect(b.command('check').output).toMatch(/ok {7}hooks: promoted\/10-note\n/);
    putHook(b, 'promote/10-note', 'true');
    expect(b.command('check').output).toMatch(/PROBLEM {2}hooks: there is no event promote .*Events: promoted, /);
  });

  it('is tried with an example, by the agent where one runs, and shows what it prints', async () => {
    const { b } = pair;
    noteEvent(b, 'promoted', 'echo said; echo complained >&2; ps -o ppid= -p $$');
    putHook(b, 'promoted/20-fails', 'exit 4');
    const alone = b.command('hooks', '--try', 'promoted');
    expect(alone.code).toBe(74);
    expect(alone.output).toMatch(/No agent runs.*\n.*"sample":true/);
    expect(alone.output).toMatch(/10-note: said\n/);
    expect(alone.output).toMatch(/10-note: complained\n/);
    expect(alone.output).toMatch(/20-fails failed with exit code 4/);
    rmSync(hookPath(b, 'promoted/20-fails'));
    b.start();
    const role = (): string => (JSON.parse(b.command('status', '--json').output) as { role: string }).role;
    await waitFor(role, 20_000).toBe('passive');
    const byAgent = b.command('hooks', '--try', 'promoted');
    expect(byAgent).toMatchObject({ code: 0, output: expect.not.stringContaining('No agent runs') as string });
    expect(byAgent.output).toMatch(new RegExp(`10-note: +${b.pid()}\n`));
    expect(told(b)).toMatchObject([
      { event: 'promoted', sample: true },
      { event: 'promoted', sample: true, role: 'passive' },
    ]);
    expect(b.command('hooks', '--try', 'promote')).toMatchObject({ code: 64 });
  });
});

describe('what is told besides', () => {
  it('has the fields of docs/formats.md: what went live, what failed and works again, what is held and held no more', async () => {
    const { a, b } = pair;
    for (const event of ['applied', 'held', 'unheld', 'failure', 'recovered'])
      for (const master of [a, b]) noteEvent(master, event);
    const directory = dirname(secretOf(a));
    for (let n = 0; n < 12; n += 1) writeFileSync(join(directory, `key-${n}`), String(n)); // of the first, whole drop: what is new may go
    await startBoth(pair);
    await waitFor(() => told(b, 'applied').length).toBe(1);
    const startSshd = await pair.cutOff();
    await waitFor(() => told(a, 'failure').length, 60_000).toBeGreaterThan(0);
    await startSshd();
    await waitFor(() => told(a, 'recovered').length, 60_000).toBeGreaterThan(0);

    for (let n = 0; n < 12; n += 1) rmSync(join(directory, `key-${n}`));
    await waitFor(() => told(b, 'held').length, 30_000).toBe(1);
    const { hold } = told(b, 'held')[0] as { hold: string };
    expect(b.command('discard', hold).code).toBe(0);
    await waitFor(() => told(b, 'unheld').length, 30_000).toBe(1);
    expect(told(b, 'unheld')).toMatchObject([{ hold }]);

    const all = [...told(a), ...told(b)];
    const common = ['at', 'certname', 'epoch', 'event', 'format', 'id', 'peer', 'role', 'text'];
    for (const { event, ...rest } of all) {
      const fields = isHookEvent(String(event)) ? Object.keys(hookSamples[event as 'held'].fields) : [];
      expect(Object.keys({ event, ...rest }).sort(), String(event)).toEqual([...common, ...fields].sort());
    }
    expect(new Set(all.map(({ event }) => event)).size).toBe(5);
    const drops = told(b, 'applied').map(({ drop }) => (drop as { sequence: number }).sequence);
    expect(new Set(drops).size).toBe(drops.length);
  });
});
