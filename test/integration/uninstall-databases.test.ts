import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { argsFor, makeSpare } from '../helpers/database-spare.ts';
import { command, forgetSpare, installSpare, removeInstalled, spareBelow } from '../helpers/installed-spare.ts';
import { pathsBelow } from '../helpers/pair.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { restoreRole, startCluster, type Cluster } from '../helpers/postgres-cluster.ts';
import { dieInSwitch, freshPair, staging } from '../helpers/switch-deaths.ts';

let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster();
  await installSpare();
  await buildRbac(cluster, 'old', { subjects: 2, tokens: 2 });
});
afterAll(async () => {
  removeInstalled();
  await cluster.stop();
});

async function databases(): Promise<string[]> {
  const rows = await cluster.sql<{ name: string }>(
    'postgres',
    `SELECT datname AS name FROM pg_database WHERE datname LIKE 'pe-rbac%' ORDER BY datname`,
  );
  return rows.map(({ name }) => name);
}

/** A spare that has loaded a drop, and beside it a database of somebody else. */
async function inSpare(
  work: (root: string, spare: Awaited<ReturnType<typeof makeSpare>>) => Promise<void>,
): Promise<void> {
  await freshPair(cluster, 'old');
  await cluster.sql('postgres', 'DROP DATABASE IF EXISTS "pe-rbac_restore_of_mine"');
  await cluster.sql('postgres', 'CREATE DATABASE "pe-rbac_restore_of_mine"');
  const spare = await makeSpare(cluster, 'pe-rbac');
  try {
    const { root } = spareBelow(spare.places);
    writeFileSync(join(pathsBelow(root).state, 'restore-pe-rbac.json'), '{"format":1}\n');
    await work(root, spare);
  } finally {
    forgetSpare(spare.places);
    await spare.stop();
  }
}

it('ends a switch that was killed before it removes anything: the database is whole, its service runs', () =>
  inSpare(async (root, spare) => {
    const [row] = await cluster.sql<{ oid: string }>(
      'postgres',
      `SELECT oid::text FROM pg_database WHERE datname = '${staging}'`,
    );
    const args = { ...(await argsFor(cluster, 'pe-rbac', staging, Number(row?.oid))), healthy: [] };
    const journal = join(pathsBelow(root).journal, 'restore-dbs.pe-rbac.jsonl');
    await dieInSwitch({
      places: spare.places,
      args,
      journal,
      death: { way: 'forward', when: 'recorded', step: 'swap' },
    });
    expect(await spare.tools.services.isActive('console')).toBe(false);
    const { code, output } = command(root, 'uninstall', '--purge');
    expect(code, output).toBe(0);
    expect(output).toContain('end the interrupted switch');
    expect(await spare.tools.services.isActive('console')).toBe(true);
    expect(await databases()).toEqual(['pe-rbac', 'pe-rbac_restore_of_mine']);
  }));

it('drops with --purge the databases that were loaded here and our role, names them, and no other', () =>
  inSpare(async (root) => {
    await cluster.sql(
      'postgres',
      `DO $$ BEGIN CREATE ROLE "${restoreRole}"; EXCEPTION WHEN duplicate_object THEN END $$`,
    );
    expect(command(root, 'uninstall').code).toBe(0);
    expect(await databases()).toContain(staging);
    const { code, output } = command(root, 'uninstall', '--purge');
    expect(code, output).toBe(0);
    expect(output).toContain(`drop the database ${staging}`);
    expect(output).toContain(`drop the role ${restoreRole}`);
    expect(await databases()).toEqual(['pe-rbac', 'pe-rbac_restore_of_mine']);
    expect(await cluster.sql('postgres', `SELECT FROM pg_roles WHERE rolname = '${restoreRole}'`)).toEqual([]);
    expect(existsSync(pathsBelow(root).data)).toBe(false);
  }));

it('says what to remove by hand where PostgreSQL is not there, and leaves a killed switch to be ended', () =>
  inSpare(async (root) => {
    const config = join(root, 'etc/puppetlabs/pe_failover/pe_failover.yaml');
    writeFileSync(
      config,
      `{platform: puppet, certname: masterb.test, paths: {cadir: ${root}/ca}, postgres: {host: /nowhere}}`,
    );
    const journal = join(pathsBelow(root).journal, 'restore-dbs.pe-rbac.jsonl');
    writeFileSync(
      journal,
      `${JSON.stringify({ run: 'x', job: 'x', step: 'close', n: 4, of: 10, args: {}, at: '' })}\n`,
    );
    expect(command(root, 'uninstall', '--purge').code).not.toBe(0);
    expect(existsSync(journal)).toBe(true);
    writeFileSync(journal, '');
    const { code, output } = command(root, 'uninstall', '--purge');
    expect(code, output).toBe(79);
    expect(output).toContain('NAME_restore_NUMBER_NUMBER');
    expect(existsSync(pathsBelow(root).data)).toBe(false);
  }));
