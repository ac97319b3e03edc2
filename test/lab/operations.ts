import { readFileSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openTestCa } from '../stand-in/ca.ts';
import { eventually } from './eventually.ts';
import { untilSameCa } from './light-pair.ts';
import { secrets, type LabMaster } from './pair.ts';
import { psql, rbac } from './provision.ts';

/** Something that the spare does in journalled steps. */
export interface Operation {
  readonly job: string;
  /** Something on the active that the spare has to follow, another one each time. */
  change(n: number): Promise<void>;
  /** Until the spare has what the active has. */
  untilThere(): Promise<unknown>;
}

/** Who is what at that moment. */
export interface Sides {
  readonly active: LabMaster;
  readonly spare: LabMaster;
}

const secret = (master: LabMaster, name: string): string => join(master.path(secrets), name);
const roles = (master: LabMaster): Promise<string> =>
  psql(master, rbac, 'SELECT id, display_name, description FROM roles ORDER BY id');

let changes = 0;
export const nextChange = ({ change }: Operation): Promise<void> => change((changes += 1));

/** The CA first. */
export const operationsOf = (sides: () => Sides): readonly [Operation, Operation, Operation] => [
  {
    job: 'update-passive-ca',
    change: async (n) => {
      const ca = await openTestCa(sides().active.cadir);
      await ca.signMany([`stays-${n}.lab`, `goes-${n}.lab`]);
      await ca.clean(`goes-${n}.lab`);
    },
    untilThere: () => {
      const { active, spare } = sides();
      return untilSameCa(active, spare, 60_000);
    },
  },
  {
    job: 'update-passive-files',
    change: async (n) => {
      const { active } = sides();
      rmSync(secret(active, `new-${n - 1}`), { force: true });
      await writeFile(secret(active, 'eyaml'), `secret ${n}\n`, { mode: 0o600 });
      await writeFile(secret(active, `new-${n}`), `new ${n}\n`, { mode: 0o600 });
    },
    untilThere: () => {
      const { active, spare } = sides();
      const text = (master: LabMaster): string => readFileSync(secret(master, 'eyaml'), 'utf8');
      return eventually('the secrets are there', () => text(spare) === text(active), { withinMs: 60_000 });
    },
  },
  {
    job: 'restore-dbs',
    change: async (n) =>
      void (await psql(sides().active, rbac, `INSERT INTO roles (display_name) VALUES ('role ${n} ${Date.now()}')`)),
    untilThere: () => {
      const { active, spare } = sides();
      return eventually('the roles are there', async () => (await roles(active)) === (await roles(spare)), {
        withinMs: 120_000,
        everyMs: 300,
      });
    },
  },
];
