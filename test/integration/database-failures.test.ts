import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDbDump } from '../../src/jobs/db-dump.ts';
import type { Job } from '../../src/jobs/job.ts';
import { digestsOfDatabase, makeSpare, rbacVolatile } from '../helpers/database-spare.ts';
import { createWay, passContext, type Way } from '../helpers/database-way.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { startCluster, type Cluster } from '../helpers/postgres-cluster.ts';
import { restoreJobOf } from '../helpers/restore-job.ts';

let active: Cluster;
let passive: Cluster;
let spare: Awaited<ReturnType<typeof makeSpare>>;
let home: string;
let way: Way;
let dumping: Job;
let restoring: Job;

beforeAll(async () => {
  [active, passive] = await Promise.all([startCluster(), startCluster()]);
  home = await mkdtemp(join(tmpdir(), 'pe-failover-failures-'));
});
afterAll(async () => {
  await Promise.all([active.stop(), passive.stop()]);
  await rm(home, { recursive: true, force: true });
});
beforeEach(async ({ onTestFinished }) => {
  for (const cluster of [active, passive]) {
    await cluster.sql('postgres', 'DROP DATABASE IF EXISTS "pe-rbac" WITH (FORCE)');
    await buildRbac(cluster, 'pe-rbac', { subjects: cluster === active ? 40 : 10, tokens: 5 });
  }
  way = await createWay(home);
  spare = await makeSpare(passive, 'pe-rbac');
  onTestFinished(() => spare.stop());
  dumping = createDbDump({
    postgres: active.admin,
    delivery: way.delivery,
    databases: [{ name: 'pe-rbac', volatile: rbacVolatile, needs: [] }],
    workDirectory: join(home, 'work'),
  });
  restoring = restoreJobOf(passive, spare, way);
});

/** Ends the session of the next pg_dump, as soon as there is one, from within the server. */
const endNextDump = (): Promise<unknown> =>
  active.sql(
    'postgres',
    `DO $$ BEGIN LOOP PERFORM pg_stat_clear_snapshot();
       PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump';
       EXIT WHEN FOUND; PERFORM pg_sleep(0.001); END LOOP; END $$`,
  );

test('a pg_dump that dies half-way is a failure, nothing of it is shipped, and the next pass ships the whole', async () => {
  const ended = endNextDump();
  await expect(dumping.run(passContext('start'))).rejects.toThrow('Failed to dump database (pe-rbac)');
  await ended;
  expect(way.pushed).toEqual([]);
  expect(await dumping.run(passContext('retry'))).toMatchObject({ kind: 'done' });
  await restoring.run(passContext('cron'));
  expect(await digestsOfDatabase(passive, 'pe-rbac')).toEqual(await digestsOfDatabase(active, 'pe-rbac'));
});

test('a dump that breaks off while it loads costs the spare nothing: the live database, its service, the next dump', async () => {
  const before = await digestsOfDatabase(passive, 'pe-rbac');
  const pid = spare.consolePid();
  await active.sql(
    'pe-rbac',
    `SET ROLE "pe-rbac"; CREATE FUNCTION on_one_host(x text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
       IF current_database() LIKE '%restore%' THEN RAISE 'not here'; END IF; RETURN true; END $$;
     CREATE TABLE breaks (x text CHECK (public.on_one_host(x))); INSERT INTO breaks VALUES ('x')`,
  );
  await dumping.run(passContext('start'));
  for (const cause of ['drop', 'cron'])
    await restoring.run(passContext(cause)).catch((error: unknown) => expect(String(error)).toContain('not here'));
  expect(way.verdicts.at(-1)).toMatchObject({ state: 'failed' });
  expect(await digestsOfDatabase(passive, 'pe-rbac')).toEqual(before);
  expect(spare.consolePid()).toBe(pid);

  await active.sql('pe-rbac', 'DROP TABLE breaks; DROP FUNCTION on_one_host(text)');
  await dumping.run(passContext('cron'));
  expect(await restoring.run(passContext('cron'))).toMatchObject({ kind: 'done' });
  expect(await digestsOfDatabase(passive, 'pe-rbac')).toEqual(await digestsOfDatabase(active, 'pe-rbac'));
  expect(spare.consolePid()).toBeDefined();
});

test('what waits for its minute is live at a promotion: that does not cost what came since the last one', async () => {
  await dumping.run(passContext('start'));
  await restoring.run(passContext('cron'));
  await active.sql('pe-rbac', `INSERT INTO roles (display_name) VALUES ('of this hour')`);
  await dumping.run(passContext('retry'));
  await restoring.run(passContext('drop'));
  expect(way.verdicts.at(-1)).toMatchObject({ state: 'staged' });
  expect(await restoring.run(passContext('promotion'))).toMatchObject({ kind: 'done' });
  expect(await digestsOfDatabase(passive, 'pe-rbac')).toEqual(await digestsOfDatabase(active, 'pe-rbac'));
});

test('a dump that the spare has no room for, or that would leave too little here, is not begun, and says so', async () => {
  const options = {
    ...{ postgres: active.admin, databases: [{ name: 'pe-rbac', volatile: rbacVolatile, needs: [] }] },
    workDirectory: join(home, 'work'),
  };
  const sizes = () => Promise.resolve({ last: 3_000_000, room: 2_000_000 });
  const there = createDbDump({ ...options, delivery: { ...way.delivery, sizes } });
  await expect(there.run(passContext('start'))).rejects.toThrow(
    /the spare has too little space for the dump of pe-rbac: it has room for 2\.0 MB, and the dump is about 3\.0 MB\. .*df -h/,
  );
  const here = createDbDump({ ...options, delivery: way.delivery, freeSpace: 1e15 }); // of tables never dumped before
  await expect(here.run(passContext('start'))).rejects.toThrow(
    /too little space for the dump of pe-rbac \(.*\): .* free, \d+ kB needed, and 1000 TB are to stay free/,
  );
  expect(way.pushed).toEqual([]);
  expect(await dumping.run(passContext('retry'))).toMatchObject({ kind: 'done' });
});
