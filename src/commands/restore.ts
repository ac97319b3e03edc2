import { join } from 'node:path';
import type { Master } from '../app.ts';
import { Failure } from '../errors.ts';
import { differenceOf } from '../history-work.ts';
import { carryOutHere } from '../procedure-work.ts';
import type { CarryOutOptions } from '../procedures/carry-out.ts';
import type { Procedure } from '../procedures/procedure.ts';
import { restoreFiles } from '../procedures/restore-files.ts';
import { restoreGroups } from '../procedures/restore-groups.ts';
import { components, type Component } from '../rules/generation.ts';
import type { Generation } from '../rules/history.ts';
import { dropName } from '../rules/manifest.ts';
import { keptName, pickGeneration } from '../rules/pick-generation.ts';
import { classifierOf } from '../surroundings.ts';
import { readRole } from '../system/fact.ts';
import { acquireLock } from '../system/lock.ts';

export interface RestoreAsked {
  readonly at: string;
  readonly component: string;
  readonly stockGroups: boolean;
}

/** Puts an archived generation back on this master. */
export async function restore(
  root: string,
  asked: RestoreAsked,
  options: CarryOutOptions,
  signal: AbortSignal,
): Promise<number> {
  const component = components.find((name) => name === asked.component);
  if (component === undefined || component === 'certs' || component === 'db') throw refusalOf(asked.component);
  return await carryOutHere(root, options, (master) => make(master, component, asked, signal), signal);
}

const refusals: Readonly<Partial<Record<string, { why: string; hint: string }>>> = {
  certs: {
    why: 'serials and revocations never go back: a serial would be given out twice, and who was shut out would be let in',
    hint:
      'A node that lost its certificate gets a new one: on the node, type puppet ssl bootstrap. Files that were replaced ' +
      'on a spare are kept in archive/sync-certs. A whole CA comes back from your own backup of the active',
  },
  db: {
    why: 'this version puts back no database',
    hint:
      "A spare keeps whole dumps, in pg_dump's directory format, in archive/db-dump.NAME: type pg_restore --list on one. " +
      'Load it beside the live database, and rename both while the services of it are stopped',
  },
};

function refusalOf(component: string): Failure {
  const told = refusals[component];
  if (told === undefined)
    return new Failure('usage', 'there is no such component', { where: component, hint: 'Components: nc, files' });
  return new Failure('refused', `${component} cannot be put back`, told);
}

async function make(
  master: Master,
  component: Component,
  { at, stockGroups }: RestoreAsked,
  signal: AbortSignal,
): Promise<Procedure> {
  const { paths, clock } = master;
  const { all, hosts } = await differenceOf(master, signal);
  const generation = pickGeneration(all, { id: at, component });
  const { role } = await readRole(paths.fact);
  const subject = `--at ${keptName(generation)} --component ${component}${stockGroups ? ' --stock-groups' : ''}`;
  const shared = { generation, role: role.role, now: () => clock.now() };
  if (component === 'files') {
    const source = keptFiles(master, generation);
    return restoreFiles({ ...shared, root: paths.root, source, kept: join(paths.archive, 'replaced-files') }, subject);
  }
  return restoreGroups(
    {
      ...{ ...shared, hosts, stockGroups, classifier: classifierOf(master) },
      kept: join(paths.archive, 'replaced-groups'),
      alone: async (work) => {
        await using _lock = await acquireLock(join(paths.locks, 'restore-nc'), 'restore');
        return await work();
      },
    },
    subject,
  );
}

/** Of a drop what it replaced here. */
const keptFiles = ({ paths }: Master, { place, path }: Generation): string =>
  place === undefined ? (path ?? '') : join(paths.archive, 'sync-files', dropName(place));
