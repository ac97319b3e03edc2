import { openHost, openMaster, type Master } from '../app.ts';
import { toFailure } from '../errors.ts';
import { endInterruptedWork, openInterruptedDatabases } from '../role-work.ts';

/**
 * Ends a switch of a database that a crash interrupted, without an agent. `beforeServices`: opens the right database only, for the
 * boot, where services wait for this command and therefore cannot be started by it.
 */
export async function recover(root: string, beforeServices: boolean, signal: AbortSignal): Promise<number> {
  const master = await openMaster(await openHost(root), { stderr: false, besideAgent: true });
  try {
    const found = beforeServices ? await untilOpen(master, signal) : await endInterruptedWork(master, signal);
    console.log(said(found, beforeServices));
    return 0;
  } catch (error) {
    master.log.failed('restore-dbs', toFailure(error));
    throw error;
  } finally {
    await master.log.close();
  }
}

const said = (databases: readonly string[], beforeServices: boolean): string => {
  if (databases.length === 0) return 'No switch of a database was interrupted.';
  const what = beforeServices ? 'Open again, for the agent to end its switch' : 'Ended an interrupted switch';
  return `${what}: ${databases.join(', ')}.`;
};

const untilMs = 120_000;
const againMs = 1_000;

/** PostgreSQL may still be replaying its own log. */
async function untilOpen(master: Master, signal: AbortSignal): Promise<string[]> {
  const end = master.clock.monotonic() + untilMs;
  for (;;) {
    try {
      return await openInterruptedDatabases(master, signal);
    } catch (error) {
      const mayPass = ['unreachable', 'dependency', 'refused'].includes(toFailure(error).class);
      if (!mayPass || signal.aborted || master.clock.monotonic() >= end) throw error;
    }
    await master.clock.sleep(againMs, signal);
  }
}
