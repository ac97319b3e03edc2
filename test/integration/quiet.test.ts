import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createQuiet, endLeftQuiet, type Quiet } from '../../src/agent/quiet.ts';
import { systemClock } from '../../src/system/clock.ts';
import type { ServiceManager } from '../../src/system/service-manager.ts';
import type { Session } from '../../src/system/postgres.ts';
import { createState } from '../../src/system/state.ts';
import { startCluster, type Cluster } from '../helpers/postgres-cluster.ts';
import { until } from '../helpers/trees.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
  for (const name of ['kept', 'other']) await cluster.sql('postgres', `CREATE DATABASE ${name}`);
  for (const name of ['kept', 'other']) await cluster.sql(name, 'CREATE TABLE rows (n int)');
});
afterAll(() => cluster.stop());

const signal = AbortSignal.timeout(120_000);
let home: string;
let running: Set<string>;
let quiet: Quiet;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'pe-failover-quiet-'));
  running = new Set(['puppetserver']);
  const services: ServiceManager = {
    exists: () => Promise.resolve(true),
    isActive: (unit) => Promise.resolve(running.has(unit)),
    stop: (unit) => Promise.resolve(void running.delete(unit)),
    start: (unit) => Promise.resolve(void running.add(unit)),
  };
  quiet = createQuiet({ state: createState(home), services, admin: cluster.admin, now: () => new Date() });
});
afterEach(async () => {
  await quiet.end(signal);
  rmSync(home, { recursive: true });
});

const begin = (): Promise<void> => quiet.begin(['puppetserver'], ['kept', 'missing'], signal);
const insert = (database: string): Promise<unknown> => cluster.sql(database, 'INSERT INTO rows VALUES (1)');
const refused = (work: Promise<unknown>): Promise<void> => expect(work).rejects.toThrow(/read-only transaction/);

describe('a master that is quiet', () => {
  it('has no service that signs, and databases that are read and not written; others go on', async () => {
    await begin();
    expect([...running]).toEqual([]);
    await refused(insert('kept'));
    expect(await cluster.sql('kept', 'SELECT count(*) FROM rows')).toHaveLength(1);
    await insert('other');
    expect(await quiet.standing()).toMatchObject({ units: ['puppetserver'], databases: ['kept'] });
  });

  it('ends sessions that were there before: none of them writes on', async () => {
    const session: Session = await cluster.open('kept');
    await session.query('BEGIN');
    await session.query('INSERT INTO public.rows VALUES (2)');
    await begin();
    await expect(session.query('COMMIT')).rejects.toThrow();
    expect(await cluster.sql('kept', 'SELECT FROM rows WHERE n = 2')).toEqual([]);
  });

  it('is written again afterwards, with the services that ran, and again when that is asked for twice', async () => {
    await begin();
    await begin();
    await quiet.end(signal);
    await quiet.end(signal);
    await insert('kept');
    expect([[...running], await quiet.standing()]).toEqual([['puppetserver'], undefined]);
  });

  it('is made loud again by the agent when whoever made it quiet is gone, and not before', async () => {
    await begin();
    let isHeld = true;
    const said: string[] = [];
    const over = new AbortController();
    const log = { success: () => undefined, warning: (text: string) => void said.push(text), failure: () => undefined };
    const clock = { sleep: (_ms: number, until: AbortSignal) => systemClock.sleep(20, until) };
    const failed = (failure: Error): void => void said.push(failure.message);
    const looking = endLeftQuiet({ quiet, isHeld: () => Promise.resolve(isHeld), log, failed, clock }, over.signal);
    await systemClock.sleep(200, signal);
    await refused(insert('kept'));
    isHeld = false;
    await until('it is loud again', async () => (await quiet.standing()) === undefined);
    over.abort();
    await looking;
    await insert('kept');
    expect(said).toEqual(['An exchange of roles was interrupted: services run again, databases are written again']);
  });
});
