import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAgentPair, failuresOf, filesOnly, startBoth, type AgentPair } from '../helpers/agents.ts';
import { pushing } from '../helpers/hunted.ts';
import { arrives, change, inTheMiddle, limited } from '../helpers/large-push.ts';
import { untilNothingIsLeft } from '../helpers/nothing-left.ts';

let pair: AgentPair;
beforeAll(async () => {
  pair = await createAgentPair(() => filesOnly() + limited);
  await startBoth(pair);
});
afterAll(() => pair[Symbol.asyncDispose]());

describe('killed in the middle of a push', () => {
  test.each(Object.keys(pushing) as (keyof typeof pushing)[])(
    '%s: one FAILURE with its cause, nothing is left, and the next pass brings all',
    async (who) => {
      const mark = pair.a.log.length;
      change(pair);
      process.kill((await inTheMiddle(pair, who)).pid, 'SIGKILL');
      await arrives(pair);
      expect(failuresOf(pair.a, 'sync_files', mark)).toEqual([
        expect.stringMatching(/Failed to sync|the spare says|the spare cannot be reached/),
      ]);
      await untilNothingIsLeft(pair);
    },
  );
});

describe('an agent, killed in the middle of a push', () => {
  test('of the active: the next one ends what it left, and brings all', async () => {
    change(pair);
    await inTheMiddle(pair, "the active's rsync");
    await pair.a.stop('SIGKILL');
    pair.a.start();
    await arrives(pair);
    await untilNothingIsLeft(pair);
  });

  test('of the spare: the push arrives, and the next one places it', async () => {
    const mark = pair.a.log.length;
    change(pair);
    await inTheMiddle(pair, "the active's rsync");
    await pair.b.stop('SIGKILL');
    pair.b.start();
    await arrives(pair, 60_000);
    expect(failuresOf(pair.a, 'sync_files', mark)).toEqual([]);
    await untilNothingIsLeft(pair);
  });
});

test('nothing is left when both agents have ended', async () => {
  await Promise.all([pair.a.stop(), pair.b.stop()]);
  await untilNothingIsLeft(pair);
});
