import { chmod, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAgentRuns } from '../../src/puppet/agent-runs.ts';
import { openCapture, type Capture, type DumpDetail } from '../../src/puppet/database-dump.ts';
import { findDatabase } from '../../src/puppet/database-facts.ts';
import { defaultExtensions, stageDatabase } from '../../src/puppet/database-staging.ts';
import type { SwitchArgs, SwitchTools } from '../../src/puppet/database-switch.ts';
import { createKeyFiles } from '../../src/puppet/key-files.ts';
import { defaultVolatile } from '../../src/rules/volatile.ts';
import { exec } from '../../src/system/exec.ts';
import { systemClock } from '../../src/system/clock.ts';
import { createSwitchNote } from '../../src/system/web-notes.ts';
import { createServiceCommands } from '../../src/system/service-manager.ts';
import { endAll, serviceCommands, serviceHealth, servicePid } from './database-service.ts';
import { privateDirectory, restoreRole, type Cluster } from './postgres-cluster.ts';
import { createPostgres } from '../../src/system/postgres.ts';

export const quiet = { success: () => undefined, warning: () => undefined, failure: () => undefined };
export const rbacVolatile = defaultVolatile['pe-rbac'] ?? [];
export const host = { build: '2025.6.0', allowedExtensions: defaultExtensions };

export interface Dumped {
  readonly directory: string;
  readonly detail: DumpDetail;
}

const captureOf = (cluster: Cluster, database: string): Promise<Capture> =>
  openCapture(cluster.admin, {
    database,
    volatile: rbacVolatile,
    timeoutMs: 60_000,
    signal: AbortSignal.timeout(120_000),
  });

export async function dumpDatabase(cluster: Cluster, database: string): Promise<Dumped> {
  await using capture = await captureOf(cluster, database);
  const directory = await privateDirectory(cluster);
  return { directory, detail: (await capture.dump(directory)).detail };
}

export async function digestsOfDatabase(cluster: Cluster, database: string) {
  await using capture = await captureOf(cluster, database);
  return capture.digests;
}

export function stage(
  cluster: Cluster,
  dumped: Dumped,
  database: string,
  name: string,
  furtherExtensions: readonly string[] = [],
): Promise<number> {
  const { admin, restorer } = cluster;
  const allowing = { ...host, allowedExtensions: [...defaultExtensions, ...furtherExtensions] };
  const tools = {
    admin,
    restorer,
    host: allowing,
    parallel: 2,
    timeoutMs: 60_000,
    signal: AbortSignal.timeout(120_000),
  };
  return stageDatabase(tools, { database, name, build: host.build, ...dumped }).then(({ oid }) => oid);
}

/** Where the parts of a spare are: plain data, so that another process can make the same tools. */
export interface SparePlaces {
  readonly socket: string;
  readonly bin: string;
  readonly runAs: string | undefined;
  readonly home: string;
  /** Directory of each service. */
  readonly services: Readonly<Record<string, string>>;
  readonly database: string;
}

export function switchTools({ socket, bin, runAs, home, services, database }: SparePlaces): SwitchTools {
  const place = { host: socket, port: 5432, bin, ...(runAs === undefined ? {} : { runAs }) };
  const commands = Object.entries(services).map(([unit, directory]) => [
    unit,
    serviceCommands(directory, socket, database),
  ]);
  return {
    admin: createPostgres({ ...place, role: 'postgres' }, exec),
    services: createServiceCommands(
      exec,
      Object.fromEntries(commands) as Record<string, ReturnType<typeof serviceCommands>>,
    ),
    agentRuns: createAgentRuns({ puppet: join(home, 'puppet'), stateDirectory: home }, exec, systemClock),
    health: serviceHealth(services),
    keyFiles: createKeyFiles({ root: join(home, 'root'), waiting: join(home, 'waiting'), kept: join(home, 'kept') }),
    note: createSwitchNote({ directory: home, ownership: { mode: 0o600 } }, () => new Date()),
    clock: systemClock,
    log: quiet,
    fence: async () => undefined,
    limits: { agentRunMs: 1000, healthyMs: 400 },
    leaving: new AbortController().signal,
  };
}

export const restoreRoleName = restoreRole;

/** Two services, of which the second is not running, on a database of the cluster. */
export async function makeSpare(cluster: Cluster, database: string) {
  const home = await mkdtemp(join(tmpdir(), 'pe-failover-spare-'));
  const services = { console: await mkdtemp(join(home, 'console-')), idle: await mkdtemp(join(home, 'idle-')) };
  const places: SparePlaces = {
    socket: cluster.socket,
    bin: cluster.bin,
    runAs: cluster.runAs,
    home,
    services,
    database,
  };
  await copyFile(join(import.meta.dirname, '../stand-in/puppet-agent.sh'), join(home, 'puppet'));
  await chmod(join(home, 'puppet'), 0o755);
  const tools = switchTools(places);
  await tools.services.start('console');
  return {
    places,
    tools,
    agentLock: join(home, 'agent_disabled.lock'),
    consolePid: () => servicePid(services.console),
    idlePid: () => servicePid(services.idle),
    stop: async () => {
      await tools.services.stop('console');
      await tools.services.stop('idle');
      const lost = endAll(services.console) + endAll(services.idle);
      await rm(home, { recursive: true, force: true });
      if (lost > 0) throw new Error(`${lost} service(s) ran beside the one that was started`);
    },
  };
}

export async function argsFor(
  cluster: Cluster,
  database: string,
  staging: string,
  freshOid: number,
): Promise<SwitchArgs> {
  await using session = await cluster.open();
  const live = await findDatabase(session, database);
  return {
    way: 'forward', database, oldOid: live?.oid ?? 0, staging, freshOid, previous: `${database}_previous_1_1`, ran: ['console'],
    healthy: ['console'], needs: [], epoch: { number: 1, id: '00c0ffee00c0ffee' }, sequence: 1, stream: `db-dump.${database}`,
  }; // prettier-ignore
}
