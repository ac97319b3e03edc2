import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openTestCa } from '../stand-in/ca.ts';
import { untilClean } from './death.ts';
import { eventually } from './eventually.ts';
import { createGroups, untilGroupsEqual } from './groups.ts';
import { untilSameCa } from './light-pair.ts';
import { count } from './numbers.ts';
import { secrets, type LabMaster, type LabPair } from './pair.ts';
import { consoleUnit, psql, rbac } from './provision.ts';

/** A kind of change that the spare has to follow. */
export interface Operation {
  /** Which sends it, */
  readonly sender: string;
  /** which makes it live, in journalled steps, */
  readonly job: string;
  /** and where. */
  readonly doneBy: keyof Sides;
  /** Another change each time. */
  change(sides: Sides, n: number): Promise<void>;
  untilThere(sides: Sides): Promise<unknown>;
}

/** Who is what at that moment. */
export interface Sides {
  readonly active: LabMaster;
  readonly spare: LabMaster;
}

export const sidesOf = ({ a, b }: Pick<LabPair, 'a' | 'b'>): Sides => ({ active: a, spare: b });

let changes = 0;
export const nextChange = ({ change }: Operation, sides: Sides): Promise<void> => change(sides, (changes += 1));

const secret = (master: LabMaster, name: string): string => join(master.path(secrets), name);
const roles = (master: LabMaster): Promise<string> =>
  psql(master, rbac, 'SELECT id, display_name, description FROM roles ORDER BY id');

export const certificates: Operation = {
  sender: 'sync-certs',
  job: 'update-passive-ca',
  doneBy: 'spare',
  change: async ({ active }, n) => {
    const ca = await openTestCa(active.cadir);
    await ca.signMany([`stays-${n}.lab`, `goes-${n}.lab`]);
    await ca.clean(`goes-${n}.lab`);
  },
  untilThere: ({ active, spare }) => untilSameCa(active, spare, 60_000),
};

export const files: Operation = {
  sender: 'sync-files',
  job: 'update-passive-files',
  doneBy: 'spare',
  change: async ({ active }, n) => {
    rmSync(secret(active, `new-${n - 1}`), { force: true });
    await writeFile(secret(active, 'eyaml'), `secret ${n}\n`, { mode: 0o600 });
    await writeFile(secret(active, `new-${n}`), `new ${n}\n`, { mode: 0o600 });
  },
  untilThere: ({ active, spare }) => {
    const text = (master: LabMaster): string => readFileSync(secret(master, 'eyaml'), 'utf8');
    return eventually('the secrets are there', () => text(spare) === text(active), { withinMs: 60_000 });
  },
};

export const databases: Operation = {
  sender: 'db-dump',
  job: 'restore-dbs',
  doneBy: 'spare',
  change: async ({ active }, n) =>
    void (await psql(active, rbac, `INSERT INTO roles (display_name) VALUES ('role ${n} ${Date.now()}')`)),
  untilThere: ({ active, spare }) =>
    eventually('the roles are there', async () => (await roles(active)) === (await roles(spare)), {
      withinMs: 120_000,
      everyMs: 300,
    }),
};

export const groups: Operation = {
  sender: 'nc-dump',
  job: 'restore-nc',
  doneBy: 'spare',
  change: ({ active }, n) => createGroups(active, `made at ${Date.now()}`, n, n),
  untilThere: ({ active, spare }) => untilGroupsEqual(active, spare),
};

/** What agents that came to the spare left there. */
const madeThere: Operation = {
  sender: 'greet-spare',
  job: 'fetch-made-here',
  doneBy: 'active',
  change: async ({ active, spare }, n) => {
    const ca = await openTestCa(spare.cadir);
    await ca.signMany([`there-${n}.lab`, `gone-${n}.lab`]);
    await ca.clean(`gone-${n}.lab`);
    await compareNow(spare);
    await active.sh('pe-failover run fetch-made-here >/dev/null 2>&1 &'); // as its next greeting would, in half a minute
  },
  untilThere: async ({ active, spare }) => {
    const made = (master: LabMaster): string[] =>
      readdirSync(join(master.cadir, 'signed')).filter((name) => name.startsWith('there-'));
    const has = async (): Promise<boolean> => {
      if (made(spare).every((name) => made(active).includes(name))) return true;
      await compareNow(spare); // again: what runs there may have kept it from being done
      return false;
    };
    await eventually('the active has what the spare made', has, { withinMs: 120_000, everyMs: 5_000 });
    await untilSameCa(active, spare, 60_000);
  },
};

/** What a whole compare finds after five minutes is found at once. */
const compareNow = (spare: LabMaster): Promise<string> =>
  spare.sh('pe-failover run update-passive-ca || true', { timeoutMs: 60_000 });

/** What the spare made comes first: until the active has its revocations, their lists differ. */
export const operations: readonly Operation[] = [madeThere, certificates, files, databases, groups];

/** What runs on a spare whatever happened. */
export const unitsOfSpare = [consoleUnit, 'postgresql@15-main', 'pe-failover'];

/** What the spare alone does, and a promotion or a stop of its agent comes into. */
export const ofTheSpare: readonly Operation[] = [certificates, files, databases];

/** Counts a death, and names it when what follows fails. */
export async function surviving(death: string, live: () => Promise<void>): Promise<void> {
  count('deaths tried');
  try {
    await live();
  } catch (cause) {
    throw new Error(`did not survive ${death}`, { cause });
  }
  count('deaths survived');
  process.stderr.write(`lab: survived ${death}\n`);
}

/** All is there, and nothing is left over on the spare. */
export async function untilWhole(sides: Sides, operation: Operation): Promise<void> {
  await operation.untilThere(sides);
  await untilClean(sides.spare, unitsOfSpare);
}
