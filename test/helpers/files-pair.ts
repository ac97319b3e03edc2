import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSyncFiles } from '../../src/jobs/sync-files.ts';
import { createUpdatePassiveFiles } from '../../src/jobs/update-passive-files/index.ts';
import { createLeftOutBook } from '../../src/jobs/update-passive-files/left-out.ts';
import { createNewsStore } from '../../src/jobs/update-passive-files/news.ts';
import type { Job, Outcome, PassContext } from '../../src/jobs/job.ts';
import type { Delivery } from '../../src/drops/delivery.ts';
import type { Spare } from '../../src/drops/spare.ts';
import { openAcceptedSet } from '../../src/system/accepted-set.ts';
import { openContentStore } from '../../src/system/content-store.ts';
import { createJournal, type Journal } from '../../src/system/journal.ts';
import { createState } from '../../src/system/state.ts';
import type { TestMaster, TestPair } from './pair.ts';

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

export function updatePassiveFilesOf(master: TestMaster, spare: Spare, journal?: Journal, keptArchives = 24): Job {
  const { paths, root } = master;
  const store = join(paths.store, 'sync-files');
  mkdirSync(store, { recursive: true });
  const set = openAcceptedSet(join(paths.state, 'sync-files.db'));
  return createUpdatePassiveFiles({
    home: { root, set, store: openContentStore(store), keyFiles: paths.keyFiles, mayChown: process.getuid?.() === 0 },
    allowed: listed,
    neededByDatabases: [],
    intake: spare.intake,
    holds: spare.holds,
    journal: journal ?? createJournal(join(paths.journal, 'update-passive-files.jsonl')),
    leftOut: createLeftOutBook(createState(paths.state), set),
    news: createNewsStore(createState(paths.state)),
    archive: join(paths.archive, 'sync-files'),
    replaced: join(paths.archive, 'replaced-files'),
    keptArchives,
    everyMs: 300_000,
  });
}

export const secretsOf = (master: TestMaster): string => join(master.root, 'etc/puppetlabs/secrets');

export function writeSecret(master: TestMaster, name: string, text: string, mode = 0o640): void {
  mkdirSync(join(secretsOf(master), name, '..'), { recursive: true });
  writeFileSync(join(secretsOf(master), name), text, { mode });
}

export const readSecret = (master: TestMaster, name: string): string =>
  readFileSync(join(secretsOf(master), name), 'utf8');

/** A pass of the active, and one of the spare as soon as something lies in its inbox, as the agents do. */
export async function passOfBoth(
  pair: TestPair,
  sync: Job,
  apply: () => Promise<unknown>,
  extra?: Partial<PassContext>,
  stream = 'sync-files',
): Promise<Outcome> {
  const ready = join(pair.b.paths.inbox, stream, 'ready');
  let sending = true;
  const sent = sync.run(pair.context(pair.a, extra)).finally(() => (sending = false));
  sent.catch(() => undefined); // awaited below
  while (sending) {
    if (readdirSync(ready).some((name) => name.includes('-'))) await apply();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return await sent;
}
