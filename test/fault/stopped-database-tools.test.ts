import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failuresOf } from '../helpers/agents.ts';
import { createDatabasePair, type DatabasePair } from '../helpers/database-pair.ts';
import { goOn, held } from '../helpers/held-tools.ts';
import { isAlive } from '../helpers/hunted.ts';
import { until } from '../helpers/trees.ts';

let pair: DatabasePair;
beforeAll(async () => {
  pair = await createDatabasePair({ dump: '12s', restore: '12s' });
  pair.b.start();
  pair.a.start();
  await pair.arrives();
});
afterAll(() => pair[Symbol.asyncDispose]());

describe('stopped in the middle of its work', () => {
  test('pg_dump: one FAILURE at the deadline, it is ended, and the next pass dumps anew', async () => {
    const mark = pair.a.log.length;
    const [dump] = await held(pair, 'pg_dump');
    await pair.arrives();
    expect(failuresOf(pair.a, 'db_dump', mark)).toEqual([expect.stringMatching(/did not end within 12 s/)]);
    expect(isAlive(dump?.pid ?? 0)).toBe(false);
    await pair.untilWell();
  });

  test.each([
    ['pg_restore', 0],
    ['one of the workers of pg_restore', 1],
  ] as const)('%s: one FAILURE at the deadline, all of it is ended, and the next pass loads anew', async (_, which) => {
    const mark = pair.b.log.length;
    const tools = await held(pair, 'pg_restore');
    goOn(tools.filter((_tool, at) => at !== which));
    await pair.arrives();
    expect(failuresOf(pair.b, 'restore_dbs', mark)).toEqual([expect.stringMatching(/did not end within 12 s/)]);
    expect(tools.filter(({ pid }) => isAlive(pid))).toEqual([]);
    await pair.untilWell();
  });

  test('the backend of a load: one FAILURE at the deadline, and when it is gone the next pass loads anew', async () => {
    const mark = pair.b.log.length;
    const tools = await held(pair, 'pg_restore');
    const [backend] = await pair.passive.sql<{ pid: number }>(
      'postgres',
      "SELECT pid FROM pg_stat_activity WHERE application_name = 'pg_restore' ORDER BY backend_start DESC",
    );
    const pid = backend?.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    try {
      goOn(tools);
      await until('the deadline is told', () => failuresOf(pair.b, 'restore_dbs', mark).length > 0, 30_000);
      await until('all of it is ended', () => !tools.some((tool) => isAlive(tool.pid)));
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await pair.arrives();
    expect(failuresOf(pair.b, 'restore_dbs', mark)).toEqual([expect.stringMatching(/did not end within 12 s/)]);
    await pair.untilWell();
  });
});
