import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAgentPair, failuresOf, startBoth, type AgentPair } from '../helpers/agents.ts';
import { isAlive, pushing } from '../helpers/hunted.ts';
import { arrives, change, inTheMiddle, limited } from '../helpers/large-push.ts';
import { untilNothingIsLeft } from '../helpers/nothing-left.ts';

const jobs = 'jobs: {sync_certs: {enabled: false}, update_passive_ca: {enabled: false}, sync_files: {timeout: 8s}}\n';

let pair: AgentPair;
beforeAll(async () => {
  pair = await createAgentPair(() => jobs + limited);
  await startBoth(pair);
});
afterAll(() => pair[Symbol.asyncDispose]());

describe('stopped in the middle of a push', () => {
  test.each(Object.keys(pushing) as (keyof typeof pushing)[])(
    '%s: one FAILURE in time, the stopped one is ended, and the next pass brings all',
    async (who) => {
      const mark = pair.a.log.length;
      change(pair);
      const { pid } = await inTheMiddle(pair, who);
      process.kill(pid, 'SIGSTOP');
      try {
        await pair.a.says(/sync_files\.sh ---> \[FAILURE\]/, 15_000);
        await arrives(pair, 60_000);
        expect(failuresOf(pair.a, 'sync_files', mark)).toHaveLength(1);
        if (who !== "the spare's sshd session") expect(isAlive(pid)).toBe(false);
      } finally {
        if (isAlive(pid)) process.kill(pid, 'SIGCONT');
      }
      await untilNothingIsLeft(pair);
    },
  );
});
