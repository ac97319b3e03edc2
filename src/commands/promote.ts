import { openHost, openMaster } from '../app.ts';
import { Failure } from '../errors.ts';
import { askControl } from '../system/control.ts';

/** Records that a stale promotion is wanted; the fact decides that there is one. */
export async function promote(root: string, forceStale: boolean, signal: AbortSignal): Promise<number> {
  if (!forceStale) {
    throw new Failure('usage', 'the fact promotes, not this command', {
      hint: 'Set pe_failover_mode: active in the fact file; --force-stale permits it with data of an older epoch',
    });
  }
  const master = await openMaster(await openHost(root), { stderr: false });
  await master.spare.epochs.permitStale();
  await master.log.close();
  const heard = await askControl(master.paths.control, 'reload', {}, { signal }).then(
    () => true,
    () => false,
  );
  const next = heard ? '' : ', and start the agent';
  console.log(
    `Recorded, for an hour. Unless it says so already, set pe_failover_mode: active in ${master.paths.fact}${next}.`,
  );
  return 0;
}
