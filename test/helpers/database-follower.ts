// A master with a database that follows another's: the dump of the one, and the minute of the other, with real holds.
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { createHolds, type Holds } from '../../src/drops/holds.ts';
import { createDbDump } from '../../src/jobs/db-dump.ts';
import type { Job, Outcome } from '../../src/jobs/job.ts';
import { createState } from '../../src/system/state.ts';
import { host, rbacVolatile, type makeSpare } from './database-spare.ts';
import { createWay, epoch, passContext, type Origin, type Way } from './database-way.ts';
import { memoryLog, type MemoryLog } from './pair.ts';
import type { Cluster } from './postgres-cluster.ts';
import { restoreJobOf } from './restore-job.ts';

export interface Follower {
  readonly way: Way;
  readonly holds: Holds;
  readonly restoring: Job;
  /** Of the spare. */
  readonly log: MemoryLog;
  /** Epoch and build of the active, and the build of the spare: both may be upgraded. */
  readonly origin: Origin;
  readonly here: { build: string };
  dump(): Promise<Outcome>;
  /** A pass of the spare. */
  restore(cause: string): Promise<Outcome>;
  /** A dump of the active, and the minute of the spare. */
  follow(): Promise<Outcome>;
}

export interface Followed {
  readonly active: Cluster;
  readonly passive: Cluster;
  readonly spare: Awaited<ReturnType<typeof makeSpare>>;
  readonly home: string;
}

export async function createFollower({ active, passive, spare, home }: Followed): Promise<Follower> {
  const origin = { epoch, build: host.build };
  const here = { ...host };
  const way = await createWay(home, origin);
  const holds = createHolds(createState(await mkdtemp(join(home, 'holds-'))), () => new Date());
  const restoring = restoreJobOf(passive, spare, way, { holds, host: here });
  const dumping = createDbDump({
    postgres: active.admin,
    delivery: way.delivery,
    databases: [{ name: 'pe-rbac', volatile: rbacVolatile, needs: [] }],
    workDirectory: join(home, 'work'),
  });
  const log = memoryLog();
  const dump = (): Promise<Outcome> => dumping.run(passContext('cron'));
  const restore = (cause: string): Promise<Outcome> => restoring.run({ ...passContext(cause), log });
  const follow = async (): Promise<Outcome> => {
    await dump();
    return await restore('cron');
  };
  return { way, holds, restoring, log, origin, here, dump, restore, follow };
}
