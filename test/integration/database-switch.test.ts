import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentRuns } from '../../src/puppet/agent-runs.ts';
import { recoverSwitch, switchDatabase } from '../../src/puppet/database-switch.ts';
import { createJournal } from '../../src/system/journal.ts';
import { argsFor, digestsOfDatabase, dumpDatabase, makeSpare, stage } from '../helpers/database-spare.ts';
import { probing } from '../helpers/outage-probe.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { startCluster, type Cluster } from '../helpers/postgres-cluster.ts';

let active: Cluster;
let passive: Cluster;
beforeAll(async () => {
  [active, passive] = await Promise.all([startCluster(), startCluster()]);
  await Promise.all([buildRbac(active, 'pe-rbac', { subjects: 500 }), buildRbac(passive, 'pe-rbac')]);
});
afterAll(async () => {
  await Promise.all([active.stop(), passive.stop()]);
});

test('the spare has the dump live after a switch, with its own rights and settings, and the services that ran run', async () => {
  await passive.sql('postgres', `REVOKE ALL ON DATABASE "pe-rbac" FROM PUBLIC`);
  await passive.sql('postgres', `GRANT CONNECT ON DATABASE "pe-rbac" TO "pe-rbac-write"`);
  await passive.sql('postgres', `ALTER DATABASE "pe-rbac" SET search_path = public, pg_catalog`);
  await passive.sql('postgres', `ALTER ROLE "pe-rbac-write" IN DATABASE "pe-rbac" SET statement_timeout = '77s'`);
  await passive.sql('postgres', `COMMENT ON DATABASE "pe-rbac" IS 'it''s the spare''s'`);
  await passive.sql('postgres', `ALTER DATABASE "pe-rbac" CONNECTION LIMIT 42`);
  const belongings = `SELECT datacl::text, datconnlimit, shobj_description(oid, 'pg_database') AS comment, datallowconn, pg_get_userbyid(datdba) AS owner,
    (SELECT array_agg(coalesce(r.rolname, '-') || s.setconfig::text ORDER BY 1) FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
     WHERE s.setdatabase = d.oid) AS settings FROM pg_database d WHERE datname = 'pe-rbac'`;
  const before = await passive.sql('postgres', belongings);
  const spare = await makeSpare(passive, 'pe-rbac');
  try {
    const pid = spare.consolePid();
    const dumped = await dumpDatabase(active, 'pe-rbac');
    const oid = await stage(passive, dumped, 'pe-rbac', 'pe-rbac_restore_1_1');
    const args = await argsFor(passive, 'pe-rbac', 'pe-rbac_restore_1_1', oid);
    const journal = createJournal(join(spare.places.home, 'journal'));
    const { value } = await probing(passive, () => switchDatabase(spare.tools, journal, args));
    expect(value).toEqual({ kind: 'switched' });
    expect(await digestsOfDatabase(passive, 'pe-rbac')).toEqual(await digestsOfDatabase(active, 'pe-rbac'));
    expect(await passive.sql('postgres', belongings)).toEqual(before);
    expect(spare.consolePid()).toBeDefined();
    expect(spare.consolePid()).not.toBe(pid);
    expect(spare.idlePid()).toBeUndefined();
    expect(await passive.sql('postgres', `SELECT datname FROM pg_database WHERE datname LIKE 'pe-rbac_%'`)).toEqual([]);
    expect(await journal.open()).toBeUndefined();
  } finally {
    await spare.stop();
  }
});

test('goes back to the old database when the services are not healthy with the new one', async () => {
  const spare = await makeSpare(passive, 'pe-rbac');
  try {
    await active.sql('pe-rbac', `INSERT INTO roles (display_name) VALUES ('poison')`);
    const before = await digestsOfDatabase(passive, 'pe-rbac');
    const dumped = await dumpDatabase(active, 'pe-rbac');
    const oid = await stage(passive, dumped, 'pe-rbac', 'pe-rbac_restore_1_2');
    const args = await argsFor(passive, 'pe-rbac', 'pe-rbac_restore_1_2', oid);
    const journal = createJournal(join(spare.places.home, 'journal'));
    const result = await switchDatabase(spare.tools, journal, args);
    expect(result).toMatchObject({ kind: 'went back', why: expect.stringContaining('poisoned') as string });
    expect(await digestsOfDatabase(passive, 'pe-rbac')).toEqual(before);
    expect((await spare.tools.health.unhealthy(['console'])).size).toBe(0);
    expect(await passive.sql('postgres', `SELECT datname FROM pg_database WHERE datname LIKE 'pe-rbac_%'`)).toEqual([]);
    expect(await journal.open()).toBeUndefined();
  } finally {
    await spare.stop();
  }
});

test('when the role is left during the wait for an agent run, nothing was stopped and agents may run', async () => {
  const spare = await makeSpare(passive, 'pe-rbac');
  try {
    const pid = spare.consolePid();
    await writeFile(join(spare.places.home, 'agent_catalog_run.lock'), String(process.pid));
    const dumped = await dumpDatabase(active, 'pe-rbac');
    const oid = await stage(passive, dumped, 'pe-rbac', 'pe-rbac_restore_1_8');
    const args = await argsFor(passive, 'pe-rbac', 'pe-rbac_restore_1_8', oid);
    const journal = createJournal(join(spare.places.home, 'journal'));
    const leaving = new AbortController();
    const { agentRuns } = spare.tools;
    const untilIdle: AgentRuns['untilIdle'] = (...wait) => {
      const waiting = agentRuns.untilIdle(...wait);
      leaving.abort();
      return waiting;
    };
    const limits = { agentRunMs: 600_000, healthyMs: 600_000 };
    const tools = { ...spare.tools, limits, leaving: leaving.signal, agentRuns: { ...agentRuns, untilIdle } };
    await expect(switchDatabase(tools, journal, args)).rejects.toThrow();
    expect(spare.consolePid()).toBe(pid);
    await expect(access(spare.agentLock)).rejects.toThrow('ENOENT');
    expect(await journal.open()).toBeUndefined();
  } finally {
    await spare.stop();
  }
});

test('when the role is left during the wait for health, and they are healthy soon after, the switch is ended before', async () => {
  const spare = await makeSpare(passive, 'pe-rbac');
  try {
    await active.sql('pe-rbac', `DELETE FROM roles WHERE display_name = 'poison'`);
    const dumped = await dumpDatabase(active, 'pe-rbac');
    const oid = await stage(passive, dumped, 'pe-rbac', 'pe-rbac_restore_1_10');
    const args = await argsFor(passive, 'pe-rbac', 'pe-rbac_restore_1_10', oid);
    const journal = createJournal(join(spare.places.home, 'journal'));
    const leaving = new AbortController();
    let asked = 0;
    const unhealthy = async (names: readonly string[]): Promise<ReadonlyMap<string, string>> => {
      leaving.abort();
      asked += 1;
      return asked < 3 ? new Map([['console', 'is starting']]) : spare.tools.health.unhealthy(names);
    };
    const tools = { ...spare.tools, leaving: leaving.signal, health: { unhealthy } };
    await expect(switchDatabase(tools, journal, args)).resolves.toEqual({ kind: 'switched' });
    expect(await journal.open()).toBeUndefined();
    await expect(access(spare.agentLock)).rejects.toThrow('ENOENT');
  } finally {
    await spare.stop();
  }
});

test('when the role is left during the wait for health, the new database is not taken for bad: the next start judges', async () => {
  const spare = await makeSpare(passive, 'pe-rbac');
  try {
    await active.sql('pe-rbac', `DELETE FROM roles WHERE display_name = 'poison'`);
    const dumped = await dumpDatabase(active, 'pe-rbac');
    const oid = await stage(passive, dumped, 'pe-rbac', 'pe-rbac_restore_1_9');
    const args = await argsFor(passive, 'pe-rbac', 'pe-rbac_restore_1_9', oid);
    const journal = createJournal(join(spare.places.home, 'journal'));
    const leaving = new AbortController();
    const unhealthy = async (): Promise<ReadonlyMap<string, string>> => {
      leaving.abort();
      return new Map([['console', 'is starting']]);
    };
    const limits = { ...spare.tools.limits, leavingMs: 100 };
    const tools = { ...spare.tools, limits, leaving: leaving.signal, health: { unhealthy } };
    await expect(switchDatabase(tools, journal, args)).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    expect((await journal.open())?.step).toBe('healthy as before');
    expect(spare.consolePid()).toBeDefined();
    expect(await recoverSwitch(spare.tools, journal)).toMatchObject({ kind: 'switched' });
    expect(await digestsOfDatabase(passive, 'pe-rbac')).toEqual(await digestsOfDatabase(active, 'pe-rbac'));
  } finally {
    await spare.stop();
  }
});

test('a refusal of the fence right before the swap leaves everything as it was', async () => {
  const spare = await makeSpare(passive, 'pe-rbac');
  try {
    await active.sql('pe-rbac', `DELETE FROM roles WHERE display_name = 'poison'`);
    const before = await digestsOfDatabase(passive, 'pe-rbac');
    const dumped = await dumpDatabase(active, 'pe-rbac');
    const oid = await stage(passive, dumped, 'pe-rbac', 'pe-rbac_restore_1_3');
    const args = await argsFor(passive, 'pe-rbac', 'pe-rbac_restore_1_3', oid);
    let asked = 0;
    const fence = async (): Promise<void> => {
      asked += 1;
      if (asked === 2) throw new Error('no longer passive');
    };
    const journal = createJournal(join(spare.places.home, 'journal'));
    await expect(switchDatabase({ ...spare.tools, fence }, journal, args)).rejects.toThrow('no longer passive');
    expect(await digestsOfDatabase(passive, 'pe-rbac')).toEqual(before);
    expect((await spare.tools.health.unhealthy(['console'])).size).toBe(0);
    expect(await journal.open()).toBeUndefined();
  } finally {
    await spare.stop();
  }
});
