import { createHash } from 'node:crypto';

/** To which machine state belongs: a copy of a disk is another one, though it has all keys. */
export interface Machine {
  readonly certname: string;
  /** Made of systemd's machine id, which itself is nobody's business; undefined where there is none. */
  readonly id?: string;
}

export const machineIdOf = (text: string): string | undefined => {
  const id = text.trim();
  return /^[0-9a-f]{32}$/.test(id)
    ? createHash('sha256').update(`pe-failover ${id}`).digest('hex').slice(0, 16)
    : undefined;
};

/** Why the state here is not this machine's own. What either side does not know is not compared. */
export function whyForeign(bound: Machine | undefined, here: Machine): string | undefined {
  if (bound === undefined) return undefined;
  if (bound.certname !== here.certname)
    return `the state here belongs to ${bound.certname}, and this is ${here.certname}`;
  return isOtherId(bound.id, here.id)
    ? `the state here belongs to ${bound.certname} on another machine (machine id of then and now, hashed: ${String(bound.id)}, ${String(here.id)})`
    : undefined;
}

export const isOtherId = (bound: string | undefined, here: string | undefined): boolean =>
  bound !== undefined && here !== undefined && bound !== here;

/** What an admin of a copy does. */
export const foreignHint =
  'If that machine is gone and this one takes its place, type here: pe-failover install, with its arguments of then. If it is still there, this is a copy of its disk: type here: pe-failover uninstall --purge';
