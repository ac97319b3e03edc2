import { openHost, openMaster, jobConfig, type Host, type Master } from '../app.ts';
import { Failure } from '../errors.ts';
import type { Outcome } from '../agent/agent.ts';
import { createExpectationBook } from '../drops/expected-deletions.ts';
import { knownPeer } from '../drops/greeter.ts';
import { passOf } from '../pass-work.ts';
import { previewNcDump } from '../role-work.ts';
import { classifierOf } from '../surroundings.ts';
import { readExpectation } from '../rules/expected-deletions.ts';
import { printable } from '../rules/log-line.ts';
import { counted } from '../rules/spoken.ts';
import { readRole } from '../system/fact.ts';
import { createState } from '../system/state.ts';

const exitCodes: Readonly<Record<Outcome['kind'], number>> = { done: 0, unchanged: 0, waiting: 75, held: 76 };

export interface RunOptions {
  readonly dryRun: boolean;
  /** How many certificates will go, as it was typed. */
  readonly expectDeletions: string | undefined;
  /** For how long. */
  readonly lasting: string | undefined;
}

/** One pass of a job, by the agent where one runs, else here: under the same lock. Prints the outcome. */
export async function runJob(root: string, job: string, options: RunOptions, signal: AbortSignal): Promise<number> {
  const host = await openHost(root);
  jobConfig(host.config, job);
  if (options.dryRun) return await preview(host, job, signal);
  await announce(host, job, options);
  const outcome = await passOf(host, job, signal);
  console.log(`${job}: ${outcome.kind}: ${printable(outcome.why)}`);
  return exitCodes[outcome.kind];
}

/** Tells the spare with the next drops that a mass clean is meant. */
async function announce(host: Host, job: string, { expectDeletions, lasting }: RunOptions): Promise<void> {
  if (expectDeletions === undefined && lasting === undefined) return;
  if (job !== 'sync-certs' || expectDeletions === undefined)
    throw new Failure('usage', '--expect-deletions and --for belong together, and to sync-certs', {
      hint: 'Type: pe-failover run sync-certs --expect-deletions 500 --for 1h',
    });
  const expected = readExpectation(expectDeletions, lasting, host.clock.now());
  const { role } = await readRole(host.paths.fact);
  if (role.role !== 'active')
    throw new Failure('refused', 'only an active announces deletions', {
      why: `this master is ${role.role}`,
      hint: 'Type it on the active. What is held on a spare is let through there: pe-failover holds',
    });
  const master = await openMaster(host, { stderr: false });
  await createExpectationBook(createState(host.paths.state)).announce(expected);
  await master.log.close();
  const { count, until } = expected;
  console.log(
    count === 0 ? 'No deletions are expected.' : `Up to ${counted(count, 'deletion')} expected until ${until}.`,
  );
}

/** Prints what a pass would exchange, and touches nothing. */
async function preview(host: Host, job: string, signal: AbortSignal): Promise<number> {
  if (job !== 'nc-dump') throw new Failure('usage', '--dry-run is for nc-dump alone');
  const master: Master = await openMaster(host, { stderr: false });
  const peer = await knownPeer(createState(host.paths.state));
  if (peer === undefined)
    throw new Failure('refused', 'the spare is not known yet', { hint: 'Type: pe-failover run sync-files' });
  const pairs = [
    { active: master.certname, passive: peer.certname },
    ...Object.entries(host.config.classifier.host_map).map(([active, passive]) => ({ active, passive })),
  ];
  for (const { path, old, new: now } of await previewNcDump(classifierOf(master), pairs, signal))
    console.log(`${path}: ${old} -> ${now}`);
  await master.log.close();
  return 0;
}
