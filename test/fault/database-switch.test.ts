import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sweepLeftovers } from '../../src/puppet/database-staging.ts';
import { recoverDatabase, recoverSwitch } from '../../src/puppet/database-switch.ts';
import { endInterruptedSwitches } from '../../src/jobs/restore-dbs/interrupted.ts';
import { createRecordStore, type Staged } from '../../src/jobs/restore-dbs/record.ts';
import { systemClock } from '../../src/system/clock.ts';
import { createJournal } from '../../src/system/journal.ts';
import { argsFor, digestsOfDatabase, makeSpare, quiet } from '../helpers/database-spare.ts';
import type { Death } from '../helpers/database-switch-program.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { startCluster, type Cluster } from '../helpers/postgres-cluster.ts';
import { deaths, dieInSwitch, freshPair, staging } from '../helpers/switch-deaths.ts';

let cluster: Cluster;
const digest: Record<string, string> = {};

beforeAll(async () => {
  cluster = await startCluster();
  await buildRbac(cluster, 'old', { subjects: 20, tokens: 20 });
  for (const [name, change] of [
    ['new', `INSERT INTO roles (display_name) VALUES ('added')`],
    ['bad', `INSERT INTO roles (display_name) VALUES ('poison')`],
  ] as const) {
    await cluster.sql('postgres', `CREATE DATABASE "${name}" OWNER "pe-rbac" TEMPLATE "old"`);
    await cluster.sql(name, change);
  }
  for (const name of ['old', 'new', 'bad']) digest[name] = (await digestsOfDatabase(cluster, name)).digest;
});
afterAll(() => cluster.stop());

async function killAndRecover(death: Death, fresh: 'new' | 'bad', booted: boolean): Promise<void> {
  const freshOid = await freshPair(cluster, fresh);
  const spare = await makeSpare(cluster, 'pe-rbac');
  try {
    const args = await argsFor(cluster, 'pe-rbac', staging, freshOid);
    const path = join(spare.places.home, 'journal');
    await dieInSwitch({ places: spare.places, args, journal: path, death });
    const journal = createJournal(path);
    if (booted) {
      await recoverDatabase(spare.tools, journal);
      expect((await cluster.sql('pe-rbac', 'SELECT 1')).length).toBe(1);
    }
    const recovery = await recoverSwitch(spare.tools, journal);
    await using session = await cluster.open();
    await sweepLeftovers(session, 'pe-rbac', []);
    const live = (await digestsOfDatabase(cluster, 'pe-rbac')).digest;
    expect(live).toBe(recovery.kind === 'switched' ? digest['new'] : digest['old']);
    const names = await session.query(`SELECT datname, datallowconn FROM pg_database WHERE datname LIKE 'pe-rbac%'`);
    expect(names).toEqual([{ datname: 'pe-rbac', datallowconn: true }]);
    expect((await spare.tools.health.unhealthy(['console'])).size).toBe(0);
    expect(spare.idlePid()).toBeUndefined();
    expect(existsSync(spare.agentLock)).toBe(false);
    expect(await journal.open()).toBeUndefined();
  } finally {
    await spare.stop();
  }
}

describe('a switch killed at any point is finished or undone: one whole database, open, and the services that ran run', () => {
  for (const death of deaths('forward')) {
    test(`killed ${death.when} ${death.step}`, () => killAndRecover(death, 'new', false));
  }
});

describe('a way back killed at any point ends with the old database', () => {
  for (const death of deaths('back')) {
    test(`killed ${death.when} ${death.step}`, () => killAndRecover(death, 'bad', false));
  }
});

describe('an agent that starts in any role ends what was interrupted, and what runs after it serves', () => {
  for (const death of [
    { way: 'forward', when: 'recorded', step: 'close' },
    { way: 'forward', when: 'before', step: 'swap' },
    { way: 'forward', when: 'before', step: 'start services' },
    { way: 'back', when: 'before', step: 'swap back' },
  ] as const) {
    test(`killed ${death.when} ${death.step}`, async () => {
      const bad = death.way === 'back';
      const freshOid = await freshPair(cluster, bad ? 'bad' : 'new');
      const spare = await makeSpare(cluster, 'pe-rbac');
      try {
        const args = await argsFor(cluster, 'pe-rbac', staging, freshOid);
        const path = join(spare.places.home, 'journal');
        await dieInSwitch({ places: spare.places, args, journal: path, death });
        expect(await spare.tools.services.isActive('console')).toBe(false);
        const drop = { stream: args.stream, epoch: args.epoch, sequence: args.sequence, digest: '' };
        const store = createRecordStore(spare.places.home, 'pe-rbac');
        await store.write({ format: 1, staged: { drop } as Staged });
        writeFileSync(`${path}-broken`, 'no journal\n');
        const parts = {
          ...spare.tools,
          journalOf: (name: string) => createJournal(name === 'pe-rbac' ? path : `${path}-${name}`),
          stateDirectory: spare.places.home,
          withServicesLock: <Value>(work: () => Promise<Value>) => work(),
        };
        const databases = ['broken', 'pe-rbac', 'quiet'].map((name) => ({ name }));
        const context = { signal: AbortSignal.timeout(60_000), log: quiet, clock: systemClock };
        await expect(endInterruptedSwitches(parts, databases, context)).rejects.toThrow('journal is unreadable');
        expect(await createJournal(path).open()).toBeUndefined();
        const wanted = death.step === 'start services' ? 'new' : 'old';
        expect((await digestsOfDatabase(cluster, 'pe-rbac')).digest).toBe(digest[wanted]);
        expect(await spare.tools.services.isActive('console')).toBe(true);
        expect(existsSync(spare.agentLock)).toBe(false);
        expect((await store.read()).quarantined?.drop.sequence).toBe(bad ? args.sequence : undefined);
      } finally {
        await spare.stop();
      }
    });
  }
});

describe('after a reboot the database alone is mended first, and the rest later', () => {
  for (const death of [
    { way: 'forward', when: 'before', step: 'swap' },
    { way: 'forward', when: 'before', step: 'start services' },
    { way: 'back', when: 'before', step: 'swap back' },
  ] as const) {
    test(`killed ${death.when} ${death.step}`, () => killAndRecover(death, death.way === 'back' ? 'bad' : 'new', true));
  }
});
