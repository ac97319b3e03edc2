import { Failure, toFailure } from '../errors.ts';
import type { Step } from '../system/journal.ts';
import { quoteName, type Session } from '../system/postgres.ts';
import { carryOver } from './database-belongings.ts';
import { findDatabase } from './database-facts.ts';
import { dropDatabase, endSessions } from './database-staging.ts';
import type { Standing } from './database-standing.ts';
import type { SwitchArgs, SwitchTools } from './database-switch.ts';
import { waitHealthy } from './health.ts';

const startName = 'start services';
const healthName = 'healthy as before';

/** Steps that judge the new database: where one of them fails, the old one comes back. */
export const judgingSteps: readonly string[] = [startName, healthName];

/**
 * The steps to the new database. ORDER: what takes long or may be refused comes before the services stop; the rights of the
 * new database are complete before it gets the name; the agent may run again only when nothing of ours is stopped.
 */
export function forwardSteps(tools: SwitchTools, standing: Standing, args: SwitchArgs): Step[] {
  const { staging, database } = args;
  return [
    disableAgentRuns(tools, args),
    {
      name: 'carry over',
      do: () => standing.use((session) => carryOver(session, database, staging)),
      isDone: never,
    },
    { name: 'tell who asks', do: () => tools.note.begin(database), isDone: never },
    { ...stopServices(tools, args, 'stop services'), undo: () => startServices(tools, args) },
    {
      name: 'place key files',
      do: () => tools.keyFiles.place(args.needs),
      undo: () => tools.keyFiles.putBack(args.needs),
      isDone: never,
    },
    {
      ...close(standing, args, 'close', tools.fence),
      undo: () => standing.use((session) => reopen(session, args, args.oldOid)),
    },
    {
      name: 'swap',
      do: async () => {
        await tools.fence();
        await standing.use((session) => swap(session, args, args.freshOid, args.staging, args.previous));
      },
      undo: () => standing.use((session) => swapBack(session, args)),
      isDone: () => hasOid(standing, database, args.freshOid),
    },
    startStep(tools, args, startName),
    {
      name: healthName,
      do: () => demandHealth(tools, args),
      isDone: never,
    },
    ...ending(tools, standing, args, args.previous, args.oldOid),
  ];
}

/** The steps back to the old database: always gone to their end. */
export function backSteps(tools: SwitchTools, standing: Standing, args: SwitchArgs): Step[] {
  return [
    stopServices(tools, args, 'stop services again'),
    { name: 'put key files back', do: () => tools.keyFiles.putBack(args.needs), isDone: never },
    close(standing, args, 'close again', async () => undefined),
    {
      name: 'swap back',
      do: () => standing.use((session) => swapBack(session, args)),
      isDone: () => hasOid(standing, args.database, args.oldOid),
    },
    {
      name: 'open again',
      do: () => standing.use((session) => reopen(session, args, args.oldOid)),
      isDone: never,
    },
    startStep(tools, args, 'start services again'),
    {
      name: 'look at health',
      do: async () => {
        const why = await unhealthyNow(tools, args);
        if (why !== undefined) tools.log.failure(`Not healthy with the old database ${args.database} either: ${why}`);
      },
      isDone: never,
    },
    ...ending(tools, standing, args, args.staging, args.freshOid),
  ];
}

const never = async (): Promise<boolean> => false;

/** What agents are told while a database is switched, and what ours is known by. */
const message = ({ database }: SwitchArgs): string => `pe-failover: restoring database ${database}`;

function disableAgentRuns({ agentRuns, limits, leaving }: SwitchTools, args: SwitchArgs): Step {
  return {
    name: 'disable agent runs',
    do: async () => {
      await agentRuns.disable(message(args));
      const isIdle = await agentRuns.untilIdle(limits.agentRunMs, leaving);
      leaving.throwIfAborted(); // the last moment at which nothing has to be started again
      if (isIdle) return;
      const why = `a Puppet agent run did not end within ${limits.agentRunMs / 1000} s`;
      const hint = "Look whether it hangs: ps -ef | grep 'puppet agent'";
      throw new Failure('refused', 'switch put off', { where: args.database, why, hint });
    },
    undo: () => agentRuns.enable(message(args)),
    isDone: never,
  };
}

function stopServices({ services, log }: SwitchTools, { ran }: SwitchArgs, name: string): Step {
  return {
    name,
    do: async () => {
      for (const unit of ran) {
        if (!(await services.isActive(unit))) continue;
        log.success(`Attempting to stop service ${unit}...`);
        await services.stop(unit);
        log.success(`Completed stop on service ${unit}`);
      }
    },
    isDone: async () => (await stillActive(services, ran)).length === 0,
  };
}

const startStep = (tools: SwitchTools, args: SwitchArgs, name: string): Step => ({
  name,
  do: () => startServices(tools, args),
  isDone: async () => (await stillActive(tools.services, args.ran)).length === args.ran.length,
});

async function stillActive(services: SwitchTools['services'], units: readonly string[]): Promise<string[]> {
  const active: string[] = [];
  for (const unit of units) if (await services.isActive(unit)) active.push(unit);
  return active;
}

// Every service gets its start; the first that fails is told.
async function startServices({ services }: SwitchTools, { ran }: SwitchArgs): Promise<void> {
  let first: unknown;
  for (const unit of [...ran].reverse()) {
    try {
      if (!(await services.isActive(unit))) await services.start(unit);
    } catch (error) {
      first ??= error;
    }
  }
  if (first !== undefined) throw toFailure(first);
}

function close(
  standing: Standing,
  { database, staging, previous }: SwitchArgs,
  name: string,
  fence: () => Promise<void>,
): Step {
  return {
    name,
    do: async () => {
      await fence();
      await standing.use(async (session) => {
        await session.query(`ALTER DATABASE ${quoteName(database)} ALLOW_CONNECTIONS false`);
        await endSessions(session, [database, staging, previous]);
      });
    },
    isDone: never,
  };
}

/** Both renames, and the new one open, in one transaction: for others there is no moment without the database. */
async function swap(
  session: Session,
  { database }: SwitchArgs,
  oid: number,
  from: string,
  aside: string,
): Promise<void> {
  const found = await findDatabase(session, from);
  if (found?.oid !== oid) {
    const why = `${from} has OID ${found?.oid ?? 'none'}, expected was ${oid}`;
    throw new Failure('dependency', 'cannot swap databases', { where: database, why });
  }
  await endSessions(session, [database, from]);
  const rename = (a: string, b: string): string => `ALTER DATABASE ${quoteName(a)} RENAME TO ${quoteName(b)}`;
  const open = `ALTER DATABASE ${quoteName(database)} ALLOW_CONNECTIONS true`;
  await session.query([rename(database, aside), rename(from, database), open].join('; '));
}

/** Makes the old database live again where the new one is: nothing else has happened. */
export async function swapBack(session: Session, args: SwitchArgs): Promise<void> {
  if ((await findDatabase(session, args.database))?.oid !== args.freshOid) return;
  await session.query(`ALTER DATABASE ${quoteName(args.database)} ALLOW_CONNECTIONS false`);
  await swap(session, args, args.oldOid, args.previous, args.staging);
}

export async function reopen(session: Session, { database }: SwitchArgs, oid: number): Promise<void> {
  const live = await findDatabase(session, database);
  if (live?.oid === oid && !live.open)
    await session.query(`ALTER DATABASE ${quoteName(database)} ALLOW_CONNECTIONS true`);
}

const hasOid = (standing: Standing, name: string, oid: number): Promise<boolean> =>
  standing.use(async (session) => (await findDatabase(session, name))?.oid === oid);

const leavingMs = 20_000;

/** Shorter than a pass that is being left may take: then the switch is judged, and agents may run again. */
async function unhealthyNow(tools: SwitchTools, { healthy }: SwitchArgs): Promise<string | undefined> {
  const { health, clock, limits, leaving } = tools;
  const [tooLong, over] = [new AbortController(), new AbortController()];
  const end = (): void =>
    void clock.sleep(limits.leavingMs ?? leavingMs, over.signal).then(
      () => tooLong.abort(),
      () => undefined,
    );
  if (leaving.aborted) end();
  leaving.addEventListener('abort', end, { once: true });
  try {
    return await waitHealthy(health, healthy, { withinMs: limits.healthyMs, clock, signal: tooLong.signal });
  } finally {
    leaving.removeEventListener('abort', end);
    over.abort();
  }
}

async function demandHealth(tools: SwitchTools, args: SwitchArgs): Promise<void> {
  const why = await unhealthyNow(tools, args);
  if (why === undefined) return;
  const waited = `after ${tools.limits.healthyMs / 1000} s`;
  throw new Failure('bad-data', 'not healthy with the new database', {
    where: args.database,
    why: `${waited}: ${why}`,
  });
}

/** The agent may run again, and the database that lost is dropped: by its OID, whatever has its name by now. */
function ending(tools: SwitchTools, standing: Standing, args: SwitchArgs, name: string, oid: number): Step[] {
  return [
    { name: 'enable agent runs', do: () => tools.agentRuns.enable(message(args)), isDone: never },
    {
      name: 'drop the other',
      do: async () => {
        await standing.use(async (session) => {
          if ((await findDatabase(session, name))?.oid === oid) await dropDatabase(session, name);
        });
        await tools.keyFiles.forget(args.needs);
      },
      isDone: never,
    },
  ];
}
