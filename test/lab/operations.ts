import { readFileSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openTestCa } from '../stand-in/ca.ts';
import { untilClean } from './death.ts';
import { eventually } from './eventually.ts';
import { createGroups, untilGroupsEqual } from './groups.ts';
import { untilCaEqual, type LightPair } from './light-pair.ts';
import { count } from './numbers.ts';
import { secrets, type LabMaster } from './pair.ts';
import { consoleUnit, psql, rbac } from './provision.ts';

/** A kind of change that the spare has to follow. */
export interface Operation {
  /** Which sends it, */
  readonly sender: string;
  /** which makes it live, */
  readonly job: string;
  /** and where. */
  readonly side: 'a' | 'b';
  /** Something on the active, another one each time. */
  change(pair: LightPair, n: number): Promise<void>;
  untilThere(pair: LightPair): Promise<unknown>;
}

const secret = (master: LabMaster, name: string): string => join(master.path(secrets), name);
const roles = (master: LabMaster): Promise<string> =>
  psql(master, rbac, 'SELECT id, display_name, description FROM roles ORDER BY id');

export const certificates: Operation = {
  sender: 'sync-certs',
  job: 'update-passive-ca',
  side: 'b',
  change: async ({ ca }, n) => {
    await ca.signMany([`stays-${n}.lab`, `goes-${n}.lab`]);
    await ca.clean(`goes-${n}.lab`);
  },
  untilThere: (pair) => untilCaEqual(pair, 60_000),
};

export const files: Operation = {
  sender: 'sync-files',
  job: 'update-passive-files',
  side: 'b',
  change: async ({ a }, n) => {
    rmSync(secret(a, `new-${n - 1}`), { force: true });
    await writeFile(secret(a, 'eyaml'), `secret ${n}\n`, { mode: 0o600 });
    await writeFile(secret(a, `new-${n}`), `new ${n}\n`, { mode: 0o600 });
  },
  untilThere: ({ a, b }) =>
    eventually(
      'the secrets are there',
      () => readFileSync(secret(b, 'eyaml'), 'utf8') === readFileSync(secret(a, 'eyaml'), 'utf8'),
      { withinMs: 60_000 },
    ),
};

export const databases: Operation = {
  sender: 'db-dump',
  job: 'restore-dbs',
  side: 'b',
  change: async ({ a }, n) =>
    void (await psql(a, rbac, `INSERT INTO roles (display_name) VALUES ('role ${n} ${Date.now()}')`)),
  untilThere: ({ a, b }) =>
    eventually('the roles are there', async () => (await roles(a)) === (await roles(b)), {
      withinMs: 120_000,
      everyMs: 300,
    }),
};

export const groups: Operation = {
  sender: 'nc-dump',
  job: 'restore-nc',
  side: 'b',
  change: ({ a }, n) => createGroups(a, `made at ${Date.now()}`, n, n),
  untilThere: untilGroupsEqual,
};

/** What agents that came to the spare left there. */
const madeThere: Operation = {
  sender: 'greet-spare',
  job: 'fetch-made-here',
  side: 'a',
  change: async ({ b }, n) => {
    const ca = await openTestCa(b.cadir);
    await ca.signMany([`there-${n}.lab`, `gone-${n}.lab`]);
    await ca.clean(`gone-${n}.lab`);
  },
  untilThere: async (pair) => {
    // What a whole compare finds after five minutes is found at once.
    await pair.b.sh('pe-failover run update-passive-ca || true', { timeoutMs: 60_000 });
    await untilCaEqual({ lab: pair.lab, a: pair.b, b: pair.a }, 60_000);
    await untilCaEqual(pair, 60_000);
  },
};

/** What the spare made comes first: until the active has its revocations, their lists differ. */
export const operations: readonly Operation[] = [madeThere, certificates, files, databases, groups];

/** What runs on a spare whatever happened. */
export const unitsOfSpare = [consoleUnit, 'postgresql@15-main', 'pe-failover'];

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
export async function untilWhole(pair: LightPair, operation: Operation): Promise<void> {
  await operation.untilThere(pair);
  await untilClean(pair.b, unitsOfSpare);
}
