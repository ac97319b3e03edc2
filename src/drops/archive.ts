import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseEpoch, type Epoch } from '../rules/epoch.ts';
import { listDirectory } from '../system/files.ts';

export interface DropPlace {
  readonly epoch: Epoch;
  readonly sequence: number;
}

/** `EPOCH-SEQUENCE`, as drops are named. Undefined: another name. */
export function placeOf(name: string): DropPlace | undefined {
  const match = /^([^-]+)-([1-9]\d{0,14})$/.exec(name);
  const epoch = match === null ? undefined : parseEpoch(String(match[1]));
  return epoch === undefined ? undefined : { epoch, sequence: Number(match?.[2]) };
}

/** In `ready`: anything else there is nobody's, such as what a killed gate left. */
export const isForRoot = (name: string): boolean => name === 'confirm' || placeOf(name) !== undefined;

export const byPlace = (a: DropPlace, b: DropPlace): number =>
  a.epoch.number - b.epoch.number || a.sequence - b.sequence;

/** Keeps the newest archives of a directory. They are named after drops, perhaps with a word behind; all else is left alone. */
export async function pruneArchive(directory: string, keep: number): Promise<void> {
  const drops = (await listDirectory(directory)).flatMap((name) => {
    const place = placeOf(name.replace(/-[a-z]+$/, ''));
    return place === undefined ? [] : [{ name, ...place }];
  });
  drops.sort(byPlace);
  for (const { name } of drops.slice(0, Math.max(0, drops.length - keep))) {
    await rm(join(directory, name), { recursive: true, force: true });
  }
}
