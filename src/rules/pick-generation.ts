import { Failure } from '../errors.ts';
import type { Component } from './generation.ts';
import type { Generation } from './history.ts';
import { names } from './history.ts';

export interface Asked {
  readonly id: string;
  readonly component: Component;
  /** Name of a database. */
  readonly database?: string | undefined;
}

/**
 * The generation that was typed: `3-17`, `17` (of the newest epoch that has it), a drop's whole name, that of its file, or the
 * beginning of a time.
 * `all` has the newest first. Throws `usage` where none or several fit.
 */
export function pickGeneration(all: readonly Generation[], { id, component, database }: Asked): Generation {
  const among = all.filter(
    (one) => one.component === component && (database === undefined || one.stream === `db-dump.${database}`),
  );
  const fits = fitting(among, id);
  const [first, second] = fits;
  if (first === undefined) {
    const some =
      among.length === 0
        ? 'none is kept'
        : `there are ${names(
            among.map((one) => one.id),
            among.length,
            5,
          )}`;
    throw new Failure('usage', 'there is no such generation', {
      where: `${component} ${id}`,
      why: some,
      hint: `Type: pe-failover history --component ${component}`,
    });
  }
  if (second === undefined) return first;
  const isOfSeveral = new Set(fits.map(({ stream }) => stream)).size > 1;
  throw new Failure('usage', 'several generations fit', {
    where: `${component} ${id}`,
    why: names(fits.map((one) => (isOfSeveral ? `${one.stream} ${one.id}` : one.id))),
    hint: isOfSeveral ? 'Name the database: --db NAME' : 'Type more of its name',
  });
}

function fitting(among: readonly Generation[], id: string): readonly Generation[] {
  const same = among.filter((one) => one.id === id || nameOf(one) === id || keptName(one) === id);
  if (same.length > 0) return same;
  if (/^\d{1,7}$/.test(id)) {
    const numbered = among.filter(({ place }) => place?.sequence === Number(id));
    const newest = Math.max(...numbered.map(({ place }) => place?.epoch.number ?? 0));
    return numbered.filter(({ place }) => place?.epoch.number === newest);
  }
  return among.filter((one) => one.place === undefined && id.length >= 4 && one.id.startsWith(id));
}

/** What its file or directory is called: while an open journal names it so, it is not pruned. */
export const keptName = ({ path, id }: Generation): string => path?.split('/').at(-1) ?? id;

const nameOf = ({ place }: Generation): string | undefined =>
  place === undefined ? undefined : `${place.epoch.number}.${place.epoch.id}-${place.sequence}`;
