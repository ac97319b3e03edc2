import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { completed, createAgentPair, filesOnly, secretOf, startBoth } from '../helpers/agents.ts';
import { passOfBoth, secretsOf, syncFilesOf, updatePassiveFilesOf } from '../helpers/files-pair.ts';
import { isAlive } from '../helpers/hunted.ts';
import { arrives, change, inTheMiddle, limited } from '../helpers/large-push.ts';
import { untilNothingIsLeft } from '../helpers/nothing-left.ts';
import { startPair } from '../helpers/pair.ts';
import { snapshot } from '../helpers/trees.ts';

test.each(["the active's rsync", "the spare's forced command"] as const)(
  'a push in which nothing moves because %s is stopped ends long before its pass would, and the next one passes',
  async (who) => {
    await using pair = await startPair();
    const { delivery } = pair.sender({ stillMs: () => 3_000, bandwidthLimit: 2_000 });
    const [sync, update] = [syncFilesOf(pair.a, delivery), updatePassiveFilesOf(pair.b, pair.spare)];
    mkdirSync(secretsOf(pair.a), { recursive: true });
    writeFileSync(join(secretsOf(pair.a), 'key'), randomBytes(4_000_000));
    const pass = (): Promise<unknown> => passOfBoth(pair, sync, () => update.run(pair.context(pair.b)));
    const passing = pass().catch((error: unknown) => error);
    const { pid } = await inTheMiddle(pair, who);
    process.kill(pid, 'SIGSTOP');
    expect(await passing).toMatchObject({
      class: 'unreachable',
      message: expect.stringMatching(/Failed to sync.*nothing moved for 3 s/) as string,
    });
    await expect(pass()).resolves.toMatchObject({ kind: 'done' });
    expect(snapshot(secretsOf(pair.b))).toEqual(snapshot(secretsOf(pair.a)));
    expect(isAlive(pid)).toBe(false);
  },
);

test('an agent that is stopped is waited for by nobody for ever, and goes on where it was', async () => {
  await using pair = await createAgentPair(() => filesOnly() + limited);
  const { a, b } = pair;
  await startBoth(pair);
  const mark = a.log.length;

  process.kill(b.pid(), 'SIGSTOP');
  writeFileSync(secretOf(a), 'second');
  expect(b.command('run', 'update-passive-files')).toMatchObject({
    code: 74,
    output: expect.stringContaining('the agent does not answer') as string,
  });
  process.kill(b.pid(), 'SIGCONT');
  await a.says(completed);

  change(pair);
  await inTheMiddle(pair, "the active's rsync");
  process.kill(a.pid(), 'SIGSTOP');
  expect(a.command('run', 'sync-files')).toMatchObject({ code: 74 });
  process.kill(a.pid(), 'SIGCONT');
  await arrives(pair);
  expect(a.log.slice(mark).filter((line) => line.includes('[FAILURE]'))).toEqual([]);
  await untilNothingIsLeft(pair);
});

test('a connection that a killed agent left behind stopped is ended by the next agent', async () => {
  await using pair = await createAgentPair(() => filesOnly() + limited);
  await startBoth(pair);
  change(pair);
  const { pid } = await inTheMiddle(pair, "the active's ssh connection");
  process.kill(pid, 'SIGSTOP');
  await pair.a.stop('SIGKILL');
  pair.a.start();
  await arrives(pair);
  expect(isAlive(pid)).toBe(false);
  await untilNothingIsLeft(pair);
});
