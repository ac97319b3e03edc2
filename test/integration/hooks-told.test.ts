import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHookEvents } from '../../src/agent/hook-events.ts';
import { createHooks, type Hooks } from '../../src/agent/hooks.ts';
import { hookSamples, maxWaiting } from '../../src/rules/hooks.ts';
import type { Receipt } from '../../src/rules/receipt.ts';
import { systemClock } from '../../src/system/clock.ts';
import { exec } from '../../src/system/exec.ts';
import type { HeardWord } from '../../src/system/log.ts';
import { createState } from '../../src/system/state.ts';

let home: string;
let hooks: Hooks;
let said: string[];
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'pe-failover-hooks-'));
  said = [];
  const say =
    (status: string) =>
    (text: string): void =>
      void said.push(`${status} ${text}`);
  hooks = createHooks({
    directory: home,
    timeoutMs: 20_000,
    exec,
    clock: systemClock,
    log: { success: say('SUCCESS'), warning: say('WARNING'), failure: say('FAILURE') },
    state: createState(home),
    certname: 'mastera.test',
    gate: { read: () => Promise.resolve(undefined) },
  });
});
afterEach(async () => {
  await hooks.end();
  rmSync(home, { recursive: true });
});

function put(event: string, script: string): void {
  mkdirSync(join(home, event), { recursive: true, mode: 0o700 });
  writeFileSync(join(home, event, '10-note'), `#!/bin/sh\n${script}\n`, { mode: 0o700 });
}
const notes = (): string[] => readFileSync(join(home, 'notes'), 'utf8').split('\n').slice(0, -1);
const eventually = (look: () => unknown) => expect.poll(look, { interval: 10, timeout: 30_000 });
const count = (): number => {
  try {
    return notes().length;
  } catch {
    return 0;
  }
};

describe('what the agent learns', () => {
  it('of silence, failures, drops and holds is told with the fields of docs/formats.md, each once', async () => {
    for (const event of ['stale', 'fresh', 'failure', 'recovered', 'applied', 'held', 'unheld'])
      put(event, `cat >> ${home}/notes`);
    let word: (word: HeardWord) => void = () => undefined;
    let receipt: (receipt: Receipt) => void = () => undefined;
    const events = createHookEvents(
      hooks,
      { hear: (listener) => void (word = listener) },
      { hear: (listener) => void (receipt = listener) },
    );
    events.silence({ status: 'FAILURE', text: 'Nothing of sync-certs', stream: 'sync-certs', limitSeconds: 900 });
    events.silence({ status: 'SUCCESS', text: 'again', stream: 'sync-certs', limitSeconds: 900 });
    word({ kind: 'failure', job: 'sync-certs', text: 'broken' });
    word({ kind: 'recovered', job: 'sync-certs', text: 'works again' });
    const drop = { stream: 'sync-files', epoch: { number: 1, id: '0123456789abcdef' }, sequence: 7, digest: '' };
    const live = { ...drop, format: 1, n: 1, state: 'applied', why: '1 placed', at: '', spare: '' } as const;
    for (const state of ['staged', 'applied', 'applied', 'held'] as const) receipt({ ...live, state });
    const hold = { id: '0123456789ab', stream: 'sync-files', sentence: 'all vanish' };
    for (const holds of [[hold], [hold], []]) events.look({ holds });
    await eventually(count).toBe(7);
    const told = notes().map((line) => JSON.parse(line) as { event: keyof typeof hookSamples } & object);
    expect(told.map(({ event }) => event).sort()).toEqual(
      ['applied', 'failure', 'fresh', 'held', 'recovered', 'stale', 'unheld'].sort(),
    );
    const common = ['format', 'event', 'id', 'at', 'certname', 'role', 'epoch', 'text'];
    for (const one of told)
      expect(Object.keys(one).sort(), one.event).toEqual(
        [...common, ...Object.keys(hookSamples[one.event].fields)].sort(),
      );
    for (const [first, second] of [
      ['stale', 'fresh'],
      ['failure', 'recovered'],
      ['held', 'unheld'],
    ])
      expect(told.findIndex(({ event }) => event === first)).toBeLessThan(
        told.findIndex(({ event }) => event === second),
      );
  });
});

describe('hooks of one event', () => {
  it('run one at a time, and those that are too many are given up with a WARNING', async () => {
    put(
      'failure',
      `echo begin >> ${home}/notes; while [ ! -e ${home}/go ]; do sleep 0.05; done; echo end >> ${home}/notes`,
    );
    for (let n = 0; n < maxWaiting + 3; n += 1) hooks.tell('failure', String(n), { job: 'sync-certs' });
    await eventually(count).toBe(1);
    writeFileSync(join(home, 'go'), '');
    await eventually(count).toBe(2 * (maxWaiting + 1));
    expect(notes().filter((note, at) => note !== (at % 2 === 0 ? 'begin' : 'end'))).toEqual([]);
    expect(said).toEqual([
      expect.stringMatching(/^WARNING 2 events of failure or its like were told to no hook: they take too long$/),
    ]);
  });

  it('that fail each time are told once, until they end well', async () => {
    put('applied', `echo x >> ${home}/notes; [ -e ${home}/well ]`);
    const drop = { epoch: '1.0123456789abcdef', sequence: 1 };
    const tell = async (): Promise<void> => {
      const before = count();
      hooks.tell('applied', 'live', { stream: 'sync-files', drop, why: '' });
      await eventually(count).toBe(before + 1);
    };
    for (let n = 0; n < 3; n += 1) await tell();
    await eventually(() => said).toHaveLength(1);
    writeFileSync(join(home, 'well'), '');
    await tell();
    rmSync(join(home, 'well'));
    await tell();
    await eventually(() => said).toHaveLength(2);
    expect(said[0]).toBe(
      'WARNING Hook applied/10-note failed with exit code 1. To try it, type: pe-failover hooks --try applied',
    );
  });
});
