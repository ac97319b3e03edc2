import type { Holds } from '../../drops/holds.ts';
import { createRecordStore, type RestoreRecord } from './record.ts';
import { databaseOf } from './stage.ts';

// What others ask of the record of a database, or change in it, while its job does not run.

/** A content that did not load here, or was not healthy, is tried once more when it comes again. */
export async function forgetRefused(
  state: string,
  holds: Pick<Holds, 'list' | 'close'>,
  stream: string,
): Promise<void> {
  if (!stream.startsWith('db-dump.')) return;
  const store = createRecordStore(state, databaseOf(stream));
  const { quarantined, ...rest } = await store.read();
  if (quarantined !== undefined) await store.write(rest);
  for (const hold of await holds.list())
    if (hold.stream === stream && hold.rule === 'database-failed') await holds.close(hold.id);
}

/** Why a database of a spare waits too long to go live; undefined where none does. A torn record is the job's to tell. */
export async function overdueOf(stateDirectory: string, stream: string): Promise<string | undefined> {
  if (!stream.startsWith('db-dump.')) return undefined;
  const store = createRecordStore(stateDirectory, databaseOf(stream));
  return (await store.read().catch(() => undefined))?.waiting?.overdue;
}

/** What is loaded beside a database of a spare, or did not go live. A torn record is the job's to tell. */
export const restoreRecordOf = (stateDirectory: string, database: string): Promise<RestoreRecord> =>
  createRecordStore(stateDirectory, database)
    .read()
    .catch(() => ({ format: 1 }));
