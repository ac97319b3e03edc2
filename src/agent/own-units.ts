import { join } from 'node:path';
import { agentUnit, ownUnits as names, webUnit } from '../rules/own-units.ts';
import { readIfThere, removeIfThere, writeFileAtomic } from '../system/files.ts';
import type { UnitFiles } from '../system/unit-files.ts';
import type { Change } from './change.ts';

export interface OwnUnits {
  readonly files: UnitFiles;
  /** What each should say. */
  readonly texts: Readonly<Record<string, string>>;
  /** Those that the configuration does not ask for: written, but neither enabled nor started. */
  readonly off: readonly string[];
}

/** What runs all the time. */
const lasting = [agentUnit, webUnit];
export const isLasting = (unit: string): boolean => lasting.includes(unit);
const pathOf = ({ files }: Pick<OwnUnits, 'files'>, unit: string): string => join(files.directory, unit);

async function differs(units: OwnUnits, unit: string): Promise<boolean> {
  return (await readIfThere(pathOf(units, unit))) !== units.texts[unit];
}

const isOld = async ({ files }: OwnUnits, unit: string): Promise<boolean> =>
  (await files.isStale(unit)) || !(await files.isKnown(unit));

async function anyOf(test: (unit: string) => Promise<boolean>): Promise<boolean> {
  for (const unit of names) if (await test(unit)) return true;
  return false;
}

export interface UnitStanding {
  readonly unit: string;
  readonly wanted: boolean;
  readonly text: 'current' | 'other' | 'missing';
  readonly enabled: boolean;
  readonly active: boolean;
}

export async function unitStanding(units: OwnUnits): Promise<UnitStanding[]> {
  const { files, texts, off } = units;
  const standing: UnitStanding[] = [];
  for (const unit of names) {
    const found = await readIfThere(pathOf(units, unit));
    const text = found === undefined ? 'missing' : found === texts[unit] ? 'current' : 'other';
    const [enabled, active] = [await files.isEnabled(unit), await files.isActive(unit)];
    standing.push({ unit, wanted: !off.includes(unit), text, enabled, active });
  }
  return standing;
}

/**
 * The files, known to systemd; nothing is enabled or started. ORDER: an agent that runs by another text is stopped before the
 * text changes, so that whoever is killed in between leaves one that is to be started, not one that runs by the old text.
 */
export function placeUnits(units: OwnUnits, mayRestart: boolean): Change[] {
  const { files, texts, off } = units;
  const written = new Set<string>();
  const stop = (unit: string): Change => ({
    what: `stop ${unit}, to start it as its new text says`,
    isNeeded: async () => (await differs(units, unit)) && (await files.isActive(unit)),
    make: () => files.stop(unit),
  });
  const write = (unit: string): Change => ({
    what: `write the unit ${pathOf(units, unit)}`,
    isNeeded: () => differs(units, unit),
    make: async () => {
      await writeFileAtomic(pathOf(units, unit), texts[unit] ?? '', { mode: 0o644 });
      written.add(unit);
    },
  });
  const reload: Change = {
    what: 'have systemd read its units again (systemctl daemon-reload)',
    isNeeded: () =>
      anyOf(async (unit) => written.has(unit) || (await differs(units, unit)) || (await isOld(units, unit))),
    make: () => files.reload(),
  };
  return [...(mayRestart ? lasting.filter((unit) => !off.includes(unit)).map(stop) : []), ...names.map(write), reload];
}

/** What starts at boot, and what runs all the time now; what is not asked for any more ends. */
export function startUnits(units: OwnUnits): Change[] {
  const { files, off } = units;
  const isWanted = (unit: string): boolean => !off.includes(unit);
  const enable = (unit: string): Change => ({
    what: `enable ${unit}`,
    isNeeded: async () => !(await files.isEnabled(unit)),
    make: () => files.enable(unit),
  });
  const start = (unit: string): Change => ({
    what: `start ${unit}`,
    isNeeded: async () => !(await files.isActive(unit)) || (await differs(units, unit)),
    make: () => files.start(unit),
  });
  return [...ended(files, off), ...names.filter(isWanted).map(enable), ...lasting.filter(isWanted).map(start)];
}

/** The agent ends at its next safe point, and starts no more. */
export const endUnits = ({ files }: Pick<OwnUnits, 'files'>): Change[] => ended(files, [...names].reverse());

function ended(files: UnitFiles, units: readonly string[]): Change[] {
  return [
    ...units.map((unit) => ({
      what: `disable ${unit}`,
      isNeeded: () => files.isEnabled(unit),
      make: () => files.disable(unit),
    })),
    ...units.map((unit) => ({
      what: `stop ${unit}`,
      isNeeded: () => files.isActive(unit),
      make: () => files.stop(unit),
    })),
  ];
}

export function removeUnits(units: Pick<OwnUnits, 'files'>): Change[] {
  const { files } = units;
  const isThere = async (unit: string): Promise<boolean> => (await readIfThere(pathOf(units, unit))) !== undefined;
  const removed = new Set<string>();
  const remove = (unit: string): Change => ({
    what: `remove the unit ${pathOf(units, unit)}`,
    isNeeded: () => isThere(unit),
    make: async () => {
      await removeIfThere(pathOf(units, unit));
      removed.add(unit);
    },
  });
  const reload: Change = {
    what: 'have systemd forget them (systemctl daemon-reload)',
    isNeeded: () => anyOf(async (unit) => removed.has(unit) || (await isThere(unit)) || (await files.isStale(unit))),
    make: () => files.reload(),
  };
  return [...names.map(remove), reload];
}
