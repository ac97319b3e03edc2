import { join } from 'node:path';
import { openHost, openMaster, type Master } from '../app.ts';
import { Failure, toFailure } from '../errors.ts';
import { jobNamesOf } from '../pass-work.ts';
import { counted } from '../rules/spoken.ts';
import { listDirectory } from '../system/files.ts';
import { acquireLock, lockHolder } from '../system/lock.ts';
import { whoTypes } from '../system/operator.ts';
import { metByUpgrade } from '../surroundings.ts';

const pauseHint = 'Type: pe-failover pause --all --for 4h --reason "upgrade"';
const cleanHint = 'Type: pe-failover check --before-upgrade --clean';

/**
 * Whether an upgrade of PostgreSQL or of Puppet Enterprise meets nothing of ours; exit code 0, or 2. `clean`: drops what is
 * loaded beside the live databases. Nothing is lost: the drops that it came from are loaded again after `resume`.
 */
export async function checkBeforeUpgrade(root: string, clean: boolean): Promise<number> {
  const master = await openMaster(await openHost(root), { stderr: false, besideAgent: true });
  try {
    if (clean) await cleanUp(master);
    const problems = [
      ...(await openJournals(master)),
      ...(await runningJobs(master)),
      ...(await unpaused(master)),
      ...(await databases(master)),
    ];
    for (const { message } of problems) console.log(`PROBLEM  ${message}`);
    if (problems.length === 0) console.log('Nothing of pe-failover is in the way of an upgrade.');
    else console.log(`${counted(problems.length, 'problem')} found.`);
    return problems.length === 0 ? 0 : 2;
  } finally {
    await master.log.close();
  }
}

async function openJournals({ paths }: Master): Promise<Failure[]> {
  const names = (await listDirectory(paths.journal)).filter((name) => name.endsWith('.jsonl'));
  return names.map((name) => {
    const hint =
      name === 'procedure.jsonl' ? 'Type the interrupted command again' : 'Type: systemctl start pe-failover';
    return new Failure('refused', 'something was interrupted, or goes on', { where: join(paths.journal, name), hint });
  });
}

async function runningJobs(master: Master): Promise<Failure[]> {
  const running: Failure[] = [];
  for (const job of [...jobNamesOf(master, 'active'), ...jobNamesOf(master, 'passive')]) {
    const holder = await lockHolder(join(master.paths.locks, job));
    if (holder === undefined) continue;
    running.push(new Failure('refused', `${job} runs now`, { hint: pauseHint }));
  }
  return running;
}

/** What runs loads the next drop beside the live database at once. */
async function unpaused(master: Master): Promise<Failure[]> {
  const role = (await master.spare.epochs.read())?.settled.role;
  if (role === undefined) return [];
  const paused = new Set((await master.pauses.standing()).map(({ job }) => job));
  const jobs = jobNamesOf(master, role).filter((job) => !paused.has(job));
  if (jobs.length === 0) return [];
  return [new Failure('refused', 'these jobs are not paused', { why: jobs.join(', '), hint: pauseHint })];
}

async function databases(master: Master): Promise<Failure[]> {
  try {
    const { ours, others } = await metByUpgrade(master);
    return [
      ...ours.map(({ name, isClosed }) => {
        const why = isClosed ? 'it allows no connections, and pg_upgrade refuses that' : 'it is being loaded';
        return new Failure('refused', `the database ${name} is ours`, { why, hint: cleanHint });
      }),
      ...others.map(
        (name) =>
          new Failure('refused', `the database ${name} allows no connections`, {
            why: 'it is not ours, and pg_upgrade refuses it',
            hint: 'Ask who closed it',
          }),
      ),
    ];
  } catch (error) {
    return [toFailure(error)];
  }
}

async function cleanUp(master: Master): Promise<void> {
  const [first] = [...(await openJournals(master)), ...(await unpaused(master))];
  if (first !== undefined) throw first;
  await using _lock = await acquireLock(join(master.paths.locks, 'restore-dbs'), 'check --before-upgrade --clean');
  const { ours, drop } = await metByUpgrade(master);
  const by = await whoTypes();
  for (const { name } of ours) {
    await drop(name);
    console.log(`Dropped ${name}. What it came from is loaded again after: pe-failover resume`);
    master.log.forJob('restore-dbs').success(`Dropped ${name} before an upgrade, by ${by}`);
  }
}
