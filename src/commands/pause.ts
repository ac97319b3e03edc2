import { openHost, openMaster, type Master } from '../app.ts';
import { knownPeer } from '../drops/greeter.ts';
import { Failure, toFailure } from '../errors.ts';
import { openOther } from '../order-work.ts';
import { jobNamesOf } from '../pass-work.ts';
import { jobsToPause, readPauseLength, spokenPause, toldPauses } from '../rules/pause.ts';
import { printable } from '../rules/log-line.ts';
import { askControl } from '../system/control.ts';
import { whoTypes } from '../system/operator.ts';
import { createState } from '../system/state.ts';

export interface PauseOrder {
  readonly jobs: readonly string[];
  readonly all: boolean;
  readonly lasting: string | undefined;
  readonly reason: string | undefined;
}

const tellMs = 20_000;

/** Keeps jobs of this master from running for a while. Exit code: 0, or 79 where the other master was not told, or one still runs. */
export async function pause(root: string, order: PauseOrder, signal: AbortSignal): Promise<number> {
  const forMs = readPauseLength(order.lasting ?? '');
  const reason = (order.reason ?? '').trim();
  if (reason === '' || reason.length > 500)
    throw new Failure('usage', '--reason wants a few words on why', {
      hint: 'Type: pe-failover pause --all --for 2h --reason "upgrade"',
    });
  return await onMaster(root, async (master) => {
    const { pauses, clock, log } = master;
    const role = await settledRole(master);
    const jobs = jobsToPause(order.jobs, order.all, jobNamesOf(master, role));
    const [now, by] = [clock.now(), await whoTypes()];
    const until = new Date(now.getTime() + forMs).toISOString();
    const words = { at: now.toISOString(), until, by, reason };
    await pauses.pause(
      role,
      jobs.map((job) => ({ job, ...words })),
    );
    log.forJob('agent').warning(`${jobs.join(', ')}: ${spokenPause(words)}`);
    console.log(printable(`${jobs.join(', ')}: ${spokenPause(words)}.`));
    const [ended, told] = [await endPasses(master, jobs, signal), await tellOther(master, by, signal)];
    console.log('To end it before, type: pe-failover resume');
    return ended && told ? 0 : 79;
  });
}

/** Ends pauses of this master before their end; of all jobs where none is named. Exit code: 0, or 79 where the other master was not told. */
export async function resume(root: string, jobs: readonly string[], signal: AbortSignal): Promise<number> {
  return await onMaster(root, async (master) => {
    const by = await whoTypes();
    const ended = await master.pauses.resume(jobs.length === 0 ? undefined : jobs);
    const names = ended.map(({ job }) => job).join(', ');
    if (names === '') {
      console.log(jobs.length === 0 ? 'Nothing is paused.' : `${jobs.join(', ')}: not paused.`);
      return 0;
    }
    master.log.forJob('agent').success(`Resumed by ${by}: ${names}`);
    console.log(
      `Resumed: ${names}. What was asked for meanwhile runs within 15 s; databases go live at their next minute.`,
    );
    return (await tellOther(master, by, signal)) ? 0 : 79;
  });
}

async function onMaster(root: string, work: (master: Master) => Promise<number>): Promise<number> {
  const master = await openMaster(await openHost(root), { stderr: false, besideAgent: true });
  try {
    return await work(master);
  } finally {
    await master.log.close();
  }
}

async function settledRole({ spare }: Master): Promise<'active' | 'passive'> {
  const role = (await spare.epochs.read())?.settled.role;
  if (role !== undefined) return role;
  throw new Failure('refused', 'this master has no role yet', { hint: 'Type: pe-failover status' });
}

async function endPasses({ paths }: Master, jobs: readonly string[], signal: AbortSignal): Promise<boolean> {
  try {
    const left = (await askControl(paths.control, 'pause', { jobs }, { signal })) as readonly string[];
    for (const job of left) console.log(`${job} still runs: it goes on to its end. See: pe-failover status`);
    return left.length === 0;
  } catch (error) {
    if (toFailure(error).class !== 'unreachable') throw error;
    console.log('No agent runs here: nothing was under way.');
    return true;
  }
}

/** So that its alarm knows. One that cannot be reached raises it: that is what an alarm is for. */
async function tellOther(master: Master, by: string, signal: AbortSignal): Promise<boolean> {
  if ((await knownPeer(createState(master.paths.state))) === undefined) return true;
  const { pauses, clock } = master;
  try {
    await using other = await openOther(master, by);
    const now = clock.now();
    const args = { at: now.toISOString(), pauses: toldPauses(await pauses.standing(), now) };
    await other.give('pause', args, { signal, timeoutMs: tellMs });
    console.log(`${other.certname} knows of it.`);
    return true;
  } catch (error) {
    signal.throwIfAborted();
    console.log(printable(`The other master does not know of it, and will say FAILURE: ${toFailure(error).message}`));
    return false;
  }
}
