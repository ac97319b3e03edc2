import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failuresOf } from '../helpers/agents.ts';
import { createDatabasePair, synced, type DatabasePair } from '../helpers/database-pair.ts';
import { goOn, held } from '../helpers/held-tools.ts';
import { pathsBelow } from '../helpers/pair.ts';
import { until } from '../helpers/trees.ts';

let pair: DatabasePair;
beforeAll(async () => {
  pair = await createDatabasePair();
  pair.b.start();
  pair.a.start();
  await pair.arrives();
});
afterAll(() => pair[Symbol.asyncDispose]());

describe('killed in the middle of its work', () => {
  test('pg_dump: one FAILURE, and the next pass dumps anew', async () => {
    const mark = pair.a.log.length;
    const [dump] = await held(pair, 'pg_dump');
    process.kill(dump?.pid ?? 0, 'SIGKILL');
    await pair.arrives();
    expect(failuresOf(pair.a, 'db_dump', mark)).toEqual([
      expect.stringMatching(/Failed to dump database.*pg_dump was ended by SIGKILL/),
    ]);
    await pair.untilWell();
  });

  test.each([
    ['pg_restore', 0],
    ['one of the workers of pg_restore', 1],
  ] as const)('%s: one FAILURE, and the next pass loads anew', async (_, which) => {
    const mark = pair.b.log.length;
    const tools = await held(pair, 'pg_restore');
    const [killed] = tools.splice(which, 1);
    process.kill(killed?.pid ?? 0, 'SIGKILL');
    goOn(tools);
    await pair.arrives();
    expect(failuresOf(pair.b, 'restore_dbs', mark)).toEqual([expect.stringMatching(/cannot load the dump/)]);
    await pair.untilWell();
  });
});

describe('an agent, killed in the middle', () => {
  test('of a dump: the next one ends what it left, and dumps anew', async () => {
    await held(pair, 'pg_dump');
    await pair.a.stop('SIGKILL');
    pair.a.start();
    await pair.arrives();
    await pair.untilWell();
  });

  test('of a load: the next one ends what it left, and loads anew', async () => {
    await held(pair, 'pg_restore');
    await pair.b.stop('SIGKILL');
    pair.b.start();
    await pair.arrives();
    await pair.untilWell();
  });
});

describe('PostgreSQL, crashed in the middle', () => {
  const waiting = (): Promise<unknown[]> =>
    pair.active.sql(
      'postgres',
      "SELECT query FROM pg_stat_activity WHERE application_name = 'pe-failover' AND wait_event_type = 'Lock' AND query NOT LIKE 'LOCK%'",
    );

  test('of a dump: one FAILURE, and when it is back the next pass dumps anew', async () => {
    const mark = pair.a.log.length;
    const tools = await held(pair, 'pg_dump');
    await pair.active.crash();
    goOn(tools);
    await pair.active.start();
    await pair.arrives();
    expect(failuresOf(pair.a, 'db_dump', mark)).toEqual([expect.stringMatching(/Failed to dump database.*pg_dump/)]);
    await pair.untilWell();
  });

  test('of a digest: one FAILURE, and when it is back the change arrives', async () => {
    const mark = pair.a.log.length;
    const holder = await pair.active.open('pe-rbac');
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE public.subjects IN ACCESS EXCLUSIVE MODE'); // who reads all tables stands here
    await pair.change();
    await until('the digest waits for a table', async () => (await waiting()).length > 0);
    await pair.active.crash();
    await holder.close();
    await pair.active.start();
    await pair.arrives();
    expect(failuresOf(pair.a, 'db_dump', mark)).toEqual([expect.stringMatching(/PostgreSQL/)]);
    await pair.untilWell();
  });

  test('of a load: one FAILURE, and when it is back the next pass loads anew', async () => {
    const mark = pair.b.log.length;
    const tools = await held(pair, 'pg_restore');
    await pair.passive.crash();
    goOn(tools);
    await pair.passive.start();
    await pair.arrives();
    expect(failuresOf(pair.b, 'restore_dbs', mark)).toEqual([expect.stringMatching(/cannot load the dump/)]);
    await pair.untilWell();
  });

  test('of a switch: when it is back the switch is ended, and the database goes live', async () => {
    const mark = pair.b.log.length;
    const journal = join(pathsBelow(pair.b.root).journal, 'restore-dbs.pe-rbac.jsonl');
    const session = await pair.passive.open('pe-rbac');
    const [backend] = await session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    process.kill(backend?.pid ?? 0, 'SIGSTOP'); // a switch waits for its end
    await pair.change();
    await until(
      'the switch closes the database',
      () =>
        existsSync(journal) && readFileSync(journal, 'utf8').trimEnd().split('\n').at(-1)?.includes('"close"') === true,
    );
    await pair.passive.crash();
    await session.close();
    await pair.passive.start();
    await pair.arrives();
    expect(failuresOf(pair.b, 'restore_dbs', mark)).toEqual([expect.stringMatching(/PostgreSQL/)]);
    await pair.untilWell();
  });
});

describe('PostgreSQL, crashed when the database is exchanged', () => {
  test('while a service starts, which fails: the new database is not blamed, and stays', async () => {
    const mark = pair.b.log.length;
    const [hold, held] = [join(pair.service, 'hold'), join(pair.service, 'held')];
    writeFileSync(hold, '');
    await pair.change();
    await until('the service starts', () => existsSync(held), 60_000);
    await pair.passive.crash();
    rmSync(held);
    await pair.b.says(/restore_dbs\.sh ---> \[FAILURE\]/);
    await pair.passive.start();
    await pair.b.says(/An interrupted switch of database pe-rbac was ended: switched/);
    expect(failuresOf(pair.b, 'restore_dbs', mark)).toEqual([expect.stringMatching(/PostgreSQL/)]);
    await pair.untilWell();
  });
});

test('in the end the active knows, and nothing is left when both agents have ended', async () => {
  await pair.a.says(synced);
  await Promise.all([pair.a.stop(), pair.b.stop()]);
  await pair.untilWell();
});
