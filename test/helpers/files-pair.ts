import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createSyncFiles } from '../../src/jobs/sync-files.ts';
import { createUpdatePassiveFiles } from '../../src/jobs/update-passive-files/index.ts';
import type { Job } from '../../src/jobs/job.ts';
import type { Delivery } from '../../src/drops/delivery.ts';
import type { Spare } from '../../src/drops/spare.ts';
import { openAcceptedSet } from '../../src/system/accepted-set.ts';
import { openContentStore } from '../../src/system/content-store.ts';
import { createJournal, type Journal } from '../../src/system/journal.ts';
import type { TestMaster } from './pair.ts';

export const listed = ['/etc/puppetlabs/secrets'];

export function syncFilesOf(master: TestMaster, delivery: Delivery): Job {
  return createSyncFiles({
    root: master.root,
    paths: listed,
    set: openAcceptedSet(join(master.paths.state, 'sync-files.db')),
    delivery,
    spare: 'masterb.test',
    work: join(master.paths.work, 'sync-files'),
    everyMs: 300_000,
  });
}

export function updatePassiveFilesOf(master: TestMaster, spare: Spare, journal?: Journal): Job {
  const { paths, root } = master;
  const store = join(paths.store, 'sync-files');
  mkdirSync(store, { recursive: true });
  const set = openAcceptedSet(join(paths.state, 'sync-files.db'));
  return createUpdatePassiveFiles({
    home: { root, set, store: openContentStore(store), keyFiles: paths.keyFiles, mayChown: false },
    allowed: listed,
    neededByDatabases: [],
    intake: spare.intake,
    holds: spare.holds,
    journal: journal ?? createJournal(join(paths.journal, 'update-passive-files.jsonl')),
    archive: join(paths.archive, 'sync-files'),
    keptArchives: 24,
    everyMs: 300_000,
  });
}
