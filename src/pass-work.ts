import type { Outcome } from './agent/agent.ts';
import { runOnce } from './agent/role-session.ts';
import { foreignState, openMaster, type Host, type Master } from './app.ts';
import { Failure } from './errors.ts';
import { settingsOf, workOf } from './role-work.ts';
import { foreignHint } from './rules/machine.ts';
import { askControl } from './system/control.ts';
import { readRole } from './system/fact.ts';

/** One pass of a job, by the agent where one runs, else here: under the same lock. */
export const passOf = async (host: Host, job: string, signal: AbortSignal): Promise<Outcome> =>
  (await byAgent(host, job, signal)) ?? (await byHand(host, job, signal));

async function byAgent({ paths }: Host, job: string, signal: AbortSignal): Promise<Outcome | undefined> {
  try {
    return (await askControl(paths.control, 'run', { job }, { signal })) as Outcome;
  } catch (error) {
    if (error instanceof Failure && error.class === 'unreachable' && error.what === 'no agent runs') return undefined;
    throw error;
  }
}

async function byHand(host: Host, name: string, signal: AbortSignal): Promise<Outcome> {
  const master = await openMaster(host, { stderr: true, besideAgent: true });
  const fact = await readRole(host.paths.fact);
  const known = await master.spare.epochs.read();
  if (known === undefined || fact.role.role === 'suspended')
    throw new Failure('refused', 'this master has no role', { hint: 'Type: pe-failover status' });
  const foreign = await foreignState(master);
  if (foreign !== undefined) throw new Failure('refused', 'no job runs here', { why: foreign, hint: foreignHint });
  if (known.settled.role !== fact.role.role)
    throw new Failure('refused', 'the role is about to change', {
      hint: 'Start the agent: systemctl start pe-failover',
    });
  const work = await workOf(master, fact.role.role, known.seen, fact);
  try {
    const job = work.jobs.find((one) => one.name === name);
    if (job === undefined)
      throw new Failure('usage', `${name} does not run on this ${fact.role.role}`, {
        why: `it runs ${work.jobs.map((one) => one.name).join(', ')}`,
      });
    return await runOnce(master.session, work, job, signal);
  } finally {
    await work.close();
    await master.log.close();
  }
}

/** What runs in a role, by name. */
export function jobNamesOf(master: Master, role: 'active' | 'passive'): string[] {
  const { enabled } = settingsOf(master);
  return roleJobs[role].filter((name) => enabled(name));
}

const roleJobs = {
  active: ['sync-certs', 'sync-files', 'nc-dump', 'db-dump', 'fetch-made-here'],
  passive: ['update-passive-ca', 'update-passive-files', 'restore-nc', 'restore-dbs'],
} as const;
