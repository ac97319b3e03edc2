import type { Epoch } from './epoch.ts';

export const components = ['nc', 'certs', 'db', 'files'] as const;
export type Component = (typeof components)[number];

export function componentOf(stream: string): Component {
  if (stream === 'nc-dump') return 'nc';
  if (stream === 'sync-certs') return 'certs';
  return stream === 'sync-files' ? 'files' : 'db';
}

/** How a drop is named on the command line: `3-17`, number of its epoch and sequence. */
export const dropId = ({ epoch, sequence }: { readonly epoch: Epoch; readonly sequence: number }): string =>
  `${epoch.number}-${sequence}`;

/** The same of what has a time for a name: `20261126T223000`. */
export const timeId = (at: string): string => at.replaceAll(/[-:]|\.\d+|Z/g, '');

/** A time as it stands in file names: without colons. */
export const timeInName = (at: Date): string => at.toISOString().replaceAll(':', '');

/** The file of a tree that was live until then; `before`: what replaced it. */
export const treeName = (at: Date, before?: string): string =>
  `groups-${timeInName(at)}${before === undefined ? '' : `-before-${before}`}.json`;

export interface NamedTime {
  /** ISO 8601. */
  readonly at: string;
  /** What came in its place: a drop, or `restore-GENERATION`. */
  readonly before?: string;
  /** Of a database. */
  readonly of?: string;
}

/** Reads what a kept generation is called: `groups-TIME-before-DROP.json`, `TIME`, `TIME-before-restore-3-17`, `TIME-NAME`. */
export function readNamedTime(name: string): NamedTime | undefined {
  const pattern =
    /^(?:groups-)?(\d{4}-\d\d-\d\dT)(\d\d)(\d\d)([\d.]+Z)(?:-before-(.+?))?(?:-of-([a-z0-9_-]+))?(?:\.json)?$/;
  const [, day = '', hours = '', minutes = '', rest = '', before, of] = pattern.exec(name) ?? [];
  if (day === '') return undefined;
  return {
    at: `${day}${hours}:${minutes}:${rest}`,
    ...(before === undefined ? {} : { before }),
    ...(of === undefined ? {} : { of }),
  };
}
