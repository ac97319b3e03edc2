// Where a switch of a database may die, and one that does.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect } from 'vitest';
import { sweepLeftovers } from '../../src/puppet/database-staging.ts';
import { createStanding } from '../../src/puppet/database-standing.ts';
import { switchSteps, type SwitchArgs } from '../../src/puppet/database-switch.ts';
import { switchTools, type SparePlaces } from './database-spare.ts';
import type { Death, Work } from './database-switch-program.ts';
import type { Cluster } from './postgres-cluster.ts';

export const staging = 'pe-rbac_restore_1_1';

/** A live pe-rbac like the database `old`, and beside it a loaded one like `fresh`. Returns the OID of that. */
export async function freshPair(cluster: Cluster, fresh: string): Promise<number> {
  await using session = await cluster.open();
  await sweepLeftovers(session, 'pe-rbac', []);
  await session.query(`DROP DATABASE IF EXISTS "pe-rbac" WITH (FORCE)`);
  await session.query(`CREATE DATABASE "pe-rbac" OWNER "pe-rbac" TEMPLATE "old"`);
  await session.query(`CREATE DATABASE "${staging}" OWNER "pe-rbac" TEMPLATE "${fresh}"`);
  await session.query(`ALTER DATABASE "${staging}" ALLOW_CONNECTIONS false`);
  const [row] = await session.query<{ oid: string }>(`SELECT oid::text FROM pg_database WHERE datname = '${staging}'`);
  return Number(row?.oid);
}

/** Every point of the journal, asked of the steps themselves. */
export function deaths(way: SwitchArgs['way']): Death[] {
  const nowhere: SparePlaces = { socket: '/', bin: '/', runAs: undefined, home: '/', services: {}, database: 'x' };
  const tools = switchTools(nowhere);
  const names = switchSteps(tools, createStanding(tools.admin), { way } as SwitchArgs).map((step) => step.name);
  const before = [...names, 'close'].map((step): Death => ({ way, when: 'before', step }));
  return [...before, ...names.map((step): Death => ({ way, when: 'recorded', step }))];
}

const switching = join(import.meta.dirname, 'database-switch-program.ts');

/** A switch in a process of its own, which is killed on the way. */
export async function dieInSwitch(work: Work): Promise<void> {
  const child = spawn(process.execPath, [switching, JSON.stringify(work)], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  expect({ code, signal }).toEqual({ code: null, signal: 'SIGKILL' });
}
