import { failed, type Trouble } from '../../rules/repeats.ts';
import { spokenDuration } from '../../rules/spoken.ts';
import { waitingAfter, type Attempt, type WaitingRule } from '../../rules/waiting.ts';
import type { PassContext } from '../job.ts';
import type { RecordStore } from './record.ts';

/** Tells of databases that are loaded and do not go live, one after the other pass. */
export interface OverdueBook {
  note(
    database: string,
    store: RecordStore,
    attempt: Attempt,
    context: Pick<PassContext, 'log' | 'clock'>,
  ): Promise<void>;
}

export function createOverdueBook(rule: Omit<WaitingRule, 'database'>): OverdueBook {
  const troubles = new Map<string, Trouble>();
  return {
    note: async (database, store, attempt, { log, clock }) => {
      const { waiting: before, ...rest } = await store.read();
      const now = clock.now();
      const waiting = waitingAfter(before, attempt, now, { ...rule, database });
      if (JSON.stringify(waiting) !== JSON.stringify(before))
        await store.write({ ...rest, ...(waiting === undefined ? {} : { waiting }) });
      if (waiting?.overdue !== undefined) {
        const told = { class: 'refused', cause: waiting.why, where: database } as const;
        const { trouble, say } = failed(troubles.get(database), told, clock.monotonic());
        troubles.set(database, trouble);
        if (say !== undefined) log.warning(waiting.overdue + say);
        return;
      }
      troubles.delete(database);
      if (before?.overdue === undefined || attempt.kind !== 'over' || attempt.why === undefined) return;
      const waited = spokenDuration(now.getTime() - Date.parse(before.since));
      log.success(`Database ${database} waits no longer, after ${waited}: ${attempt.why}`);
    },
  };
}
