import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabasePair, synced, type DatabasePair } from '../helpers/database-pair.ts';
import { toolsOn, type Process } from '../helpers/hunted.ts';
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

/** Held in the middle of its work by SIGSTOP, so that what comes then comes in the middle. Leaders first. */
async function held(tool: 'pg_dump' | 'pg_restore'): Promise<Process[]> {
  let found: Process[] = [];
  await until(`${tool} at work`, () => {
    found = tool === 'pg_dump' ? dumping() : toolsOn(pair.passive.socket, tool);
    return found.length >= (tool === 'pg_dump' ? 1 : 3); // two workers
  });
  for (const { pid } of found) process.kill(pid, 'SIGSTOP');
  return found;
}

/** While it writes the rows of a table. */
function dumping(): Process[] {
  const work = join(pathsBelow(pair.a.root).work, 'db-dump/pe-rbac');
  const written = existsSync(work) ? readdirSync(work).filter((name) => name.endsWith('.dat')) : [];
  return written.length > 0 ? toolsOn(pair.active.socket, 'pg_dump') : [];
}

const goOn = (processes: readonly Process[]): void => {
  for (const { pid } of processes) process.kill(pid, 'SIGCONT');
};

const failuresSince = (side: 'a' | 'b', job: string, mark: number): string[] =>
  pair[side].log.slice(mark).filter((line) => line.includes(`${job}.sh ---> [FAILURE]`));

describe('killed in the middle of its work', () => {
  test('pg_dump: one FAILURE, and the next pass dumps anew', async () => {
    const mark = pair.a.log.length;
    await pair.change();
    const [dump] = await held('pg_dump');
    process.kill(dump?.pid ?? 0, 'SIGKILL');
    await pair.arrives();
    expect(failuresSince('a', 'db_dump', mark)).toEqual([
      expect.stringMatching(/Failed to dump database.*pg_dump was ended by SIGKILL/),
    ]);
    await pair.untilWell();
  });

  test.each([
    ['pg_restore', 0],
    ['one of the workers of pg_restore', 1],
  ] as const)('%s: one FAILURE, and the next pass loads anew', async (_, which) => {
    const mark = pair.b.log.length;
    await pair.change();
    const tools = await held('pg_restore');
    const [killed] = tools.splice(which, 1);
    process.kill(killed?.pid ?? 0, 'SIGKILL');
    goOn(tools);
    await pair.arrives();
    expect(failuresSince('b', 'restore_dbs', mark)).toEqual([expect.stringMatching(/cannot load the dump/)]);
    await pair.untilWell();
  });
});

describe('an agent, killed in the middle', () => {
  test('of a dump: the next one ends what it left, and dumps anew', async () => {
    await pair.change();
    await held('pg_dump');
    await pair.a.stop('SIGKILL');
    pair.a.start();
    await pair.arrives();
    await pair.untilWell();
  });

  test('of a load: the next one ends what it left, and loads anew', async () => {
    await pair.change();
    await held('pg_restore');
    await pair.b.stop('SIGKILL');
    pair.b.start();
    await pair.arrives();
    await pair.untilWell();
  });
});

describe('PostgreSQL, crashed in the middle', () => {
  test('of a dump: one FAILURE, and when it is back the next pass dumps anew', async () => {
    const mark = pair.a.log.length;
    await pair.change();
    const tools = await held('pg_dump');
    await pair.active.crash();
    goOn(tools);
    await pair.active.start();
    await pair.arrives();
    expect(failuresSince('a', 'db_dump', mark)).toEqual([expect.stringMatching(/Failed to dump database.*pg_dump/)]);
    await pair.untilWell();
  });

  test('of a load: one FAILURE, and when it is back the next pass loads anew', async () => {
    const mark = pair.b.log.length;
    await pair.change();
    const tools = await held('pg_restore');
    await pair.passive.crash();
    goOn(tools);
    await pair.passive.start();
    await pair.arrives();
    expect(failuresSince('b', 'restore_dbs', mark)).toEqual([expect.stringMatching(/cannot load the dump/)]);
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
    expect(failuresSince('b', 'restore_dbs', mark)).toEqual([expect.stringMatching(/PostgreSQL/)]);
    await pair.untilWell();
  });
});

test('in the end the active knows, and nothing is left when both agents have ended', async () => {
  await pair.a.says(synced);
  await Promise.all([pair.a.stop(), pair.b.stop()]);
  await pair.untilWell();
});
