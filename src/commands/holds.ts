import { join } from 'node:path';
import { openHost, openMaster } from '../app.ts';
import { Failure } from '../errors.ts';
import { holdsText } from '../rules/hold-text.ts';
import { printable } from '../rules/log-line.ts';
import { askControl } from '../system/control.ts';

/** Lists what the brakes hold, with the difference and what to type. */
export async function holds(root: string): Promise<number> {
  const master = await openMaster(await openHost(root), { stderr: false });
  const kept = await master.spare.holds.list();
  console.log(holdsText(kept, master.clock.now(), (id) => join(master.paths.holds, `${id}.json`)));
  await master.log.close();
  return 0;
}

const jobOfStream = (stream: string): string =>
  stream === 'sync-certs'
    ? 'update-passive-ca'
    : stream === 'sync-files'
      ? 'update-passive-files'
      : stream === 'nc-dump'
        ? 'restore-nc'
        : 'restore-dbs';

/** Releases or discards a hold, and has the agent act on it at once. */
export async function decideHold(
  root: string,
  id: string,
  decision: 'released' | 'discarded',
  signal: AbortSignal,
): Promise<number> {
  const host = await openHost(root);
  const master = await openMaster(host, { stderr: false });
  const hold = await master.spare.holds.decide(id, decision);
  if (hold === undefined)
    throw new Failure('usage', 'there is no such hold', { where: id, hint: 'Type: pe-failover holds' });
  if (decision === 'released') await master.spare.intake.reopen(hold.drop);
  await master.log.close();
  const job = jobOfStream(hold.stream);
  const acted = await askControl(host.paths.control, 'run', { job }, { signal }).then(
    (outcome) => `${job}: ${spoken(outcome)}`,
    (error: unknown) =>
      `It takes effect at the next pass of ${job} (${error instanceof Error ? error.message : String(error)})`,
  );
  console.log(`${decision}: ${printable(hold.sentence)}`);
  console.log(printable(acted));
  return 0;
}

// Of an agent that may be of another version.
function spoken(outcome: unknown): string {
  const { kind, why } = outcome as Readonly<Record<string, unknown>>;
  return typeof kind === 'string' && typeof why === 'string' ? `${kind}, ${why}` : JSON.stringify(outcome);
}
