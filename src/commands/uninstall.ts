import { join } from 'node:path';
import { makeChanges, type Change, type Making } from '../agent/change.ts';
import { unlimitUser } from '../agent/own-slice.ts';
import { endUnits, removeUnits } from '../agent/own-units.ts';
import { isThere, keptPlaces, purgeFiles, removeRun } from '../agent/purge.ts';
import { doorRemoved, foreignAccount } from '../agent/removal.ts';
import { webAccountRemoved } from '../agent/web-account.ts';
import { demandRoot, openHost, openMaster, program, type Host } from '../app.ts';
import { Failure, toFailure } from '../errors.ts';
import { endInterruptedWork, interrupted, ownUnitsOf } from '../role-work.ts';
import { counted } from '../rules/spoken.ts';
import { askControl } from '../system/control.ts';
import { listDirectory } from '../system/files.ts';
import { lockHolder } from '../system/lock.ts';
import { ownInPostgres, type OwnInPostgres } from '../surroundings.ts';

export interface UninstallOptions {
  readonly purge: boolean;
  readonly dryRun: boolean;
}

/** Undoes an installation, in its order backwards. Running it again removes what is left; what is not ours is not touched. */
export async function uninstall(
  root: string,
  { purge, dryRun }: UninstallOptions,
  signal: AbortSignal,
  made?: Making['made'],
): Promise<number> {
  demandRoot(root);
  const host = await openHost(root);
  const making: Making = { dryRun, say: (line) => console.log(line), ...(made === undefined ? {} : { made }) };
  const units = ownUnitsOf(host);
  let changed = units === undefined ? 0 : await makeChanges(endUnits(units), making);
  if (!dryRun) await refuseWhileBusy(host, signal);
  changed += await makeChanges([switchesEnded(host, signal)], making);
  const postgres = purge ? await askPostgres(host) : undefined;
  const parts = { ...host, user: host.config.transfer.user };
  const removals = [
    ...(units === undefined ? [] : [...removeUnits(units), ...unlimitUser(units.files)]),
    ...doorRemoved(parts),
    ...(host.system ? webAccountRemoved(host) : []),
    removeRun(host.paths),
    ...(postgres?.own?.changes ?? []),
    ...(purge ? purgeFiles(host.paths) : []),
  ];
  const foreign = await foreignAccount(parts);
  changed += await makeChanges(removals, making);
  if (foreign !== undefined) console.log(`Left: the user ${foreign.name}, who was there before.`);
  if (dryRun) console.log(`${counted(changed, 'change')} would be made. Nothing was done.`);
  else await tellRest(host, changed, purge);
  return tellPostgres(postgres);
}

/** What is removed under a pass would be made again by it, half. */
async function refuseWhileBusy({ paths }: Host, signal: AbortSignal): Promise<void> {
  const silent = await askControl(paths.control, 'status', {}, { signal }).catch((error: unknown) => toFailure(error));
  if (!(silent instanceof Failure) || silent.class !== 'unreachable') {
    const hint = 'End it first, with Ctrl-C or a signal: systemd does not know of it';
    throw new Failure('refused', 'an agent runs here', { where: paths.control, hint });
  }
  for (const name of await listDirectory(paths.locks)) {
    const holder = await lockHolder(join(paths.locks, name));
    if (holder === undefined) continue;
    const why = `process ${holder.pid} (${holder.what}) since ${holder.since}`;
    throw new Failure('refused', 'work of ours goes on', { where: name, why, hint: 'Wait for its end' });
  }
}

const switchesEnded = (host: Host, signal: AbortSignal): Change => ({
  what: 'end the interrupted switch of a database: services that it stopped run again',
  isNeeded: () => interrupted(host),
  make: async () => {
    const master = await openMaster(host, { stderr: false, besideAgent: true });
    try {
      await endInterruptedWork(master, signal);
    } finally {
      await master.log.close();
    }
  },
});

interface Asked {
  readonly own?: OwnInPostgres;
  readonly unreachable?: Failure;
}

async function askPostgres(host: Host): Promise<Asked> {
  try {
    return { own: await ownInPostgres(host) };
  } catch (error) {
    return { unreachable: toFailure(error) };
  }
}

async function tellRest({ paths, system }: Host, changed: number, purge: boolean): Promise<void> {
  if (changed === 0) console.log('Nothing to remove.');
  for (const { what, path } of keptPlaces(paths)) {
    if (await isThere(path)) console.log(`Left: ${what}: ${path}${purge ? '' : ' (removed by --purge)'}`);
  }
  if (await isThere(paths.home)) console.log(`Left: the home ${paths.home}, in which something else lies`);
  if (system) console.log(`Left: the program itself, ${join(program, '../..')}: remove it by hand.`);
  console.log('The CA, node groups and live databases are as they were.');
}

function tellPostgres(asked: Asked | undefined): number {
  const left = asked?.unreachable === undefined ? (asked?.own?.left() ?? []) : [asked.unreachable.message];
  for (const line of left) console.log(`Left in PostgreSQL: ${line}`);
  if (asked?.unreachable === undefined) return left.length === 0 ? 0 : 79;
  console.log(
    'Remove by hand what is there of: databases called NAME_restore_NUMBER_NUMBER or NAME_previous_NUMBER_NUMBER, and the role pe_failover_restore.',
  );
  return 79;
}
