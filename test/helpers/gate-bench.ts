import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Result } from '../../src/system/exec.ts';
import { passOfBoth, readSecret, syncFilesOf, updatePassiveFilesOf, writeSecret } from './files-pair.ts';
import { startPair, type TestPair } from './pair.ts';
import { expectSentence, stateBelow, untilAlone } from './spare-state.ts';
import { thiefOf, type Thief } from './thief.ts';
import { until } from './trees.ts';

/** Places outside the spare that hostile words name. */
const outside = ['/tmp/pe-failover-hostile', '/etc/cron.d/pe-failover-hostile', '/etc/pe-failover-hostile'];

/** A pair whose gate is asked for what it must not give. */
export interface GateBench extends AsyncDisposable {
  readonly pair: TestPair;
  readonly thief: Thief;
  /** Over the one login that the thief keeps: what counts is the gate, which is a new one for each request. */
  ask(request: string, input?: string): Promise<Result>;
  /** Does it, and nothing of the spare is another afterwards. `mayChange`: names below its root, beside those. */
  untouched<Value>(work: () => Promise<Value>, mayChange?: readonly RegExp[]): Promise<Value>;
  /** All is refused in one sentence, and nothing is another. */
  refuses(requests: readonly string[], sentence: RegExp | string, exitCode?: number): Promise<void>;
  /** A drop of the active arrives, and is live. */
  expectHonest(): Promise<void>;
}

export async function startGateBench(): Promise<GateBench> {
  const pair = await startPair();
  const thief = thiefOf(pair);
  const shared = ['-S', join(pair.a.root, 'stolen')];
  const sync = syncFilesOf(pair.a, pair.sender().delivery);
  const update = updatePassiveFilesOf(pair.b, pair.spare);
  let count = 0;
  const bench: GateBench = {
    pair,
    thief,
    ask: (request, input) => thief.ssh(shared, [request], input),
    untouched: async (work, mayChange) => {
      const before = stateBelow(pair.b.root, mayChange);
      const value = await work();
      await untilAlone(pair);
      expect(stateBelow(pair.b.root, mayChange)).toEqual(before);
      expect(outside.filter((path) => existsSync(path))).toEqual([]);
      return value;
    },
    refuses: (requests, sentence, exitCode = 75) =>
      bench.untouched(async () => {
        for (const request of requests) {
          const answer = await bench.ask(request);
          expectSentence(answer.stdout + answer.stderr, sentence);
          expect(answer.exitCode).toBe(exitCode);
        }
      }),
    expectHonest: async () => {
      const text = `honest ${(count += 1)}`;
      writeSecret(pair.a, 'honest', text);
      const outcome = await passOfBoth(pair, sync, () => update.run(pair.context(pair.b)));
      expect(outcome).toMatchObject({ kind: 'done' });
      expect(readSecret(pair.b, 'honest')).toBe(text);
    },
    [Symbol.asyncDispose]: async () => {
      await thief.ssh([...shared, '-O', 'exit'], []);
      await pair[Symbol.asyncDispose]();
    },
  };
  await bench.expectHonest();
  const master = spawn('ssh', thief.login('-M', '-N', ...shared), { stdio: 'ignore' });
  await once(master, 'spawn');
  await until('the login', () => existsSync(shared[1] ?? ''));
  return bench;
}
