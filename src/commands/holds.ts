import { openHost, openMaster } from '../app.ts';
import { Failure } from '../errors.ts';
import { printable } from '../rules/log-line.ts';
import { askControl } from '../system/control.ts';

/** Lists what the brakes hold, with the difference and what to type. */
export async function holds(root: string): Promise<number> {
  const master = await openMaster(await openHost(root), { stderr: false });
  const kept = await master.spare.holds.list();
  for (const { id, rule, stream, sentence, difference, raisedAt, decision } of kept) {
    console.log(`${id}  ${stream}  ${rule}  since ${raisedAt}  ${decision}`);
    console.log(`  ${printable(sentence)}`);
    for (const line of difference.slice(0, 20)) console.log(`    ${printable(line)}`);
    if (difference.length > 20) console.log(`    ... and ${difference.length - 20} more`);
    console.log(
      `  To let it through, type: pe-failover release ${id}; to keep things as they are: pe-failover discard ${id}`,
    );
  }
  if (kept.length === 0) console.log('Nothing is held.');
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
    (outcome) => `${job}: ${JSON.stringify(outcome)}`,
    (error: unknown) =>
      `It takes effect at the next pass of ${job} (${error instanceof Error ? error.message : String(error)})`,
  );
  console.log(`${decision}: ${printable(hold.sentence)}`);
  console.log(printable(acted));
  return 0;
}
