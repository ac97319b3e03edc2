import { join } from 'node:path';
import { agentUnit, recoverUnit } from '../rules/own-units.ts';
import { readIfThere, removeIfThere, writeFileAtomic } from '../system/files.ts';
import type { UnitFiles } from '../system/unit-files.ts';
import type { Change } from './change.ts';

export interface OwnUnits {
  readonly files: UnitFiles;
  /** What each should say. */
  readonly texts: Readonly<Record<string, string>>;
}

const names = [recoverUnit, agentUnit];
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
  readonly text: 'current' | 'other' | 'missing';
  readonly enabled: boolean;
  readonly active: boolean;
}

export async function unitStanding(units: OwnUnits): Promise<UnitStanding[]> {
  const { files, texts } = units;
  const standing: UnitStanding[] = [];
  for (const unit of names) {
    const found = await readIfThere(pathOf(units, unit));
    const text = found === undefined ? 'missing' : found === texts[unit] ? 'current' : 'other';
    standing.push({ unit, text, enabled: await files.isEnabled(unit), active: await files.isActive(unit) });
  }
  return standing;
}

/**
 * The files, known to systemd; nothing is enabled or started. ORDER: an agent that runs by another text is stopped before the
 * text changes, so that whoever is killed in between leaves one that is to be started, not one that runs by the old text.
 */
export function placeUnits(units: OwnUnits, mayRestart: boolean): Change[] {
  const { files, texts } = units;
  const written = new Set<string>();
  const stop: Change = {
    what: `stop ${agentUnit}, to start it as its new text says`,
    isNeeded: async () => (await differs(units, agentUnit)) && (await files.isActive(agentUnit)),
    make: () => files.stop(agentUnit),
  };
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
  return [...(mayRestart ? [stop] : []), ...names.map(write), reload];
}

/** What starts at boot, and the agent now. */
export function startUnits(units: OwnUnits): Change[] {
  const { files } = units;
  const enable = (unit: string): Change => ({
    what: `enable ${unit}`,
    isNeeded: async () => !(await files.isEnabled(unit)),
    make: () => files.enable(unit),
  });
  const start: Change = {
    what: `start ${agentUnit}`,
    isNeeded: async () => !(await files.isActive(agentUnit)) || (await differs(units, agentUnit)),
    make: () => files.start(agentUnit),
  };
  return [...names.map(enable), start];
}

/** The agent ends at its next safe point, and starts no more. */
export function endUnits({ files }: Pick<OwnUnits, 'files'>): Change[] {
  const ordered = [...names].reverse();
  return [
    ...ordered.map((unit) => ({
      what: `disable ${unit}`,
      isNeeded: () => files.isEnabled(unit),
      make: () => files.disable(unit),
    })),
    ...ordered.map((unit) => ({
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
