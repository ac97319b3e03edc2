import { openHost, openMaster, type Host } from '../app.ts';
import { Failure, toFailure } from '../errors.ts';
import { jobNamesOf, passOf } from '../pass-work.ts';
import { reportOf } from '../role-work.ts';
import { exitCodeOf, notApplied, type Applied } from '../rules/applied.ts';
import { printable } from '../rules/log-line.ts';
import { whoTypes } from '../system/operator.ts';
import { readRole } from '../system/fact.ts';

/**
 * On a spare: makes live what was delivered, databases included, without waiting for their minute. What waits for a promotion
 * by design goes on waiting. The exit code is that of the worst outcome.
 */
export async function applyNow(root: string, jobs: readonly string[], signal: AbortSignal): Promise<number> {
  const host = await openHost(root);
  const names = await begin(host, jobs);
  const applied: Applied[] = [];
  for (const job of names) {
    signal.throwIfAborted();
    const one = await apply(host, job, signal);
    applied.push(one);
    console.log(printable(`${one.kind.padEnd(9)} ${job}: ${one.why}`));
  }
  await tellStreams(host);
  return exitCodeOf(applied);
}

async function begin(host: Host, jobs: readonly string[]): Promise<readonly string[]> {
  const { role } = await readRole(host.paths.fact);
  if (role.role !== 'passive')
    throw new Failure('refused', 'only a spare applies what an active sent', {
      why: `this master is ${role.role}`,
      hint: 'To send at once what an active has, type there: pe-failover run JOB',
    });
  const master = await openMaster(host, { stderr: false, besideAgent: true });
  const own = jobNamesOf(master, 'passive');
  const wrong = jobs.find((name) => !own.includes(name));
  if (wrong === undefined)
    master.log.forJob('agent').success(`What was delivered is applied now, by ${await whoTypes()}`);
  await master.log.close();
  if (wrong === undefined) return jobs.length === 0 ? own : own.filter((name) => jobs.includes(name));
  throw new Failure('usage', 'no such job applies anything here', { where: wrong, hint: `Jobs: ${own.join(', ')}` });
}

async function apply(host: Host, job: string, signal: AbortSignal): Promise<Applied> {
  try {
    const { kind, why } = await passOf(host, job, signal);
    return { job, kind, why };
  } catch (error) {
    signal.throwIfAborted();
    return notApplied(job, toFailure(error));
  }
}

/** What is live now of each stream, by the receipts. */
async function tellStreams(host: Host): Promise<void> {
  const master = await openMaster(host, { stderr: false, besideAgent: true });
  const { components } = await reportOf(master, undefined);
  await master.log.close();
  console.log('');
  for (const { stream, state, why, applied } of components) {
    const live = applied === undefined ? 'nothing of it went live here yet' : `live since ${applied}`;
    console.log(printable(`${stream.padEnd(20)} ${state}: ${why} (${live})`));
  }
}
