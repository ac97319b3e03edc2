import { join } from 'node:path';
import type { Job } from '../../src/jobs/job.ts';
import { createRestoreDbs } from '../../src/jobs/restore-dbs/index.ts';
import type { RestoreDbsOptions } from '../../src/jobs/restore-dbs/tools.ts';
import { createJournal } from '../../src/system/journal.ts';
import { host, type makeSpare } from './database-spare.ts';
import type { Way } from './database-way.ts';
import type { Cluster } from './postgres-cluster.ts';

/** The job of a spare with pe-rbac alone, adopted and without holds, but for what is given besides. */
export const restoreJobOf = (
  passive: Cluster,
  spare: Awaited<ReturnType<typeof makeSpare>>,
  way: Pick<Way, 'intake'>,
  more: Partial<RestoreDbsOptions> = {},
): Job =>
  createRestoreDbs({
    holds: {
      raise: async () => 'id',
      isReleased: async () => false,
      list: async () => [],
      close: async () => undefined,
    },
    ...spare.tools,
    restorer: passive.restorer,
    host,
    intake: way.intake,
    databases: [{ name: 'pe-rbac', services: ['console'], health: ['console'], switch: 'schedule', extensions: [] }],
    journalOf: (database) => createJournal(join(spare.places.home, `journal-${database}`)),
    stateDirectory: spare.places.home,
    withServicesLock: (work) => work(),
    adopted: async () => true,
    ...more,
  });
