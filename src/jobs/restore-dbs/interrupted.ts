import { recoverDatabase } from '../../puppet/database-switch.ts';
import { eachDatabase } from '../../puppet/each-database.ts';
import type { Outcome } from '../job.ts';
import { createRecordStore } from './record.ts';
import { recoverOne, type SwitchContext } from './switch.ts';
import type { SwitchParts } from './tools.ts';

/**
 * Ends every switch that a crash interrupted, whatever the role is by now: services that were stopped run again, and the database
 * is open. Asks no fence, because an end brings back what served before, or finishes what is live already. Receipts are not
 * written: the next pass of the job does that. One that fails does not stop the others; throws what failed.
 */
export const endInterruptedSwitches = (
  parts: SwitchParts,
  databases: readonly { readonly name: string }[],
  context: Omit<SwitchContext, 'fence'>,
): Promise<Outcome> =>
  eachDatabase(databases, context.signal, async ({ name }) => {
    const store = createRecordStore(parts.stateDirectory, name);
    const ended = await recoverOne(parts, name, store, { ...context, fence: async () => undefined });
    return ended
      ? { kind: 'done', why: 'an interrupted switch was ended' }
      : { kind: 'unchanged', why: 'nothing open' };
  });

/**
 * The part that comes before services start after a reboot: the right database has its name and is open. It starts none, because
 * systemd lets them wait for us. What is left is for `endInterruptedSwitches`.
 */
export const openInterruptedDatabases = (
  {
    admin,
    keyFiles,
    journalOf,
    withServicesLock,
  }: Pick<SwitchParts, 'admin' | 'keyFiles' | 'journalOf' | 'withServicesLock'>,
  databases: readonly { readonly name: string }[],
  signal: AbortSignal,
): Promise<Outcome> =>
  eachDatabase(databases, signal, async ({ name }) => {
    const opened = await withServicesLock(() => recoverDatabase({ admin, keyFiles }, journalOf(name)));
    return opened ? { kind: 'done', why: 'the database is open' } : { kind: 'unchanged', why: 'nothing open' };
  });
