// A pair of agents with a PostgreSQL each, of which databases alone travel, and a service on the spare that uses one.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { ServiceCommands } from '../../src/system/service-manager.ts';
import { createState } from '../../src/system/state.ts';
import { createAgentPair, type AgentMaster, type AgentPair } from './agents.ts';
import { endAll, serviceCommands, servicePid } from './database-service.ts';
import { digestsOfDatabase } from './database-spare.ts';
import { endProcesses, toolsOn, type Process } from './hunted.ts';
import { untilNothingIsLeft } from './nothing-left.ts';
import { pathsBelow } from './pair.ts';
import { buildRbac } from './pe-rbac.ts';
import { startCluster, type Cluster } from './postgres-cluster.ts';

export interface DatabasePair extends AgentPair {
  /** PostgreSQL of the active, and of the spare. */
  readonly active: Cluster;
  readonly passive: Cluster;
  readonly service: string;
  /** Another row on the active. */
  change(): Promise<void>;
  /** Until the spare has it live. */
  arrives(timeoutMs?: number): Promise<void>;
  /** Until nothing is left of any work: both databases are alone, open and the same, and the service runs. */
  untilWell(): Promise<void>;
}

export const synced = /db_dump\.sh ---> \[SUCCESS\] Completed sync of database: pe-rbac/;

export interface DatabaseLimits {
  readonly dump?: string;
  readonly restore?: string;
}

/** Its start waits while `held` is there, and fails then, once there is `hold`. */
const held = `if [ -e "$0/hold" ]; then mv "$0/hold" "$0/held"; while [ -e "$0/held" ]; do sleep 0.05; done; exit 1; fi; exec "$@"`;

function commandsOf(service: string, socket: string): ServiceCommands {
  const commands = serviceCommands(service, socket, 'pe-rbac');
  return { ...commands, start: ['/bin/sh', '-c', held, service, ...commands.start] };
}

const off = ['sync_certs', 'update_passive_ca', 'fetch_made_here', 'sync_files', 'update_passive_files'];

function configure(
  { root, certname, cadir }: AgentMaster,
  cluster: Cluster,
  service: string,
  limits: DatabaseLimits,
): void {
  const path = join(root, 'etc/puppetlabs/pe_failover/pe_failover.yaml');
  const port = Number(/port: (\d+)/.exec(readFileSync(path, 'utf8'))?.[1]);
  const { socket, bin, runAs } = cluster;
  const config = {
    platform: 'puppet',
    certname,
    ssh: { port },
    paths: { cadir },
    jobs: {
      ...Object.fromEntries(off.map((job) => [job, { enabled: false }])),
      db_dump: { poll: '500ms', ...(limits.dump === undefined ? {} : { timeout: limits.dump }) },
      restore_dbs: {
        cron: '* * * * * *',
        health_wait: '5s',
        ...(limits.restore === undefined ? {} : { timeout: limits.restore }),
      },
    },
    postgres: { host: socket, bin, ...(runAs === undefined ? {} : { run_as: runAs }) },
    databases: [{ name: 'pe-rbac', services: ['console'] }],
    services: { manager: 'commands', commands: { console: commandsOf(service, socket) } },
  };
  writeFileSync(path, JSON.stringify(config));
}

export async function createDatabasePair(limits: DatabaseLimits = {}, tokens = 10_000): Promise<DatabasePair> {
  const [active, passive] = await Promise.all([startCluster(), startCluster()]);
  await Promise.all([
    buildRbac(active, 'pe-rbac', { tokens }),
    buildRbac(passive, 'pe-rbac', { subjects: 10, tokens: 5 }),
  ]);
  const pair = await createAgentPair();
  const service = mkdtempSync(join(tmpdir(), 'pe-failover-console-'));
  configure(pair.a, active, service, limits);
  configure(pair.b, passive, service, limits);
  await createState(pathsBelow(pair.b.root).state).write('adopted', { at: new Date().toISOString() });
  const [file = '', ...words] = commandsOf(service, passive.socket).start;
  execFileSync(file, words);
  let changes = 0;
  const isLive = async (): Promise<boolean> => {
    const newest = `SELECT FROM roles WHERE display_name = 'change ${changes}'`;
    return changes === 0 || (await passive.sql('pe-rbac', newest)).length > 0;
  };
  return {
    ...pair,
    active,
    passive,
    service,
    change: async () => {
      changes += 1;
      await active.sql('pe-rbac', `INSERT INTO roles (display_name) VALUES ('change ${changes}')`);
    },
    arrives: async (timeoutMs = 60_000) => {
      do await pair.b.says(/restore_dbs\.sh ---> \[SUCCESS\] Completed restore of database pe-rbac/, timeoutMs);
      while (!(await isLive()));
    },
    untilWell: () => untilWell(pair, [active, passive], service),
    [Symbol.asyncDispose]: async () => {
      await pair[Symbol.asyncDispose]();
      for (const { socket } of [active, passive])
        for (const tool of ['pg_dump', 'pg_restore'] as const) endProcesses(toolsOn(socket, tool));
      endAll(service);
      await Promise.all([active.stop(), passive.stop()]);
      rmSync(service, { recursive: true, force: true });
    },
  };
}

async function untilWell(pair: AgentPair, clusters: readonly Cluster[], service: string): Promise<void> {
  const isExpected = ({ command }: Process): boolean =>
    /\/postgres -D |^postgres: /.test(command) || command.includes(` serve ${service} `);
  const places = clusters.map(({ socket }) => socket);
  await untilNothingIsLeft(pair, { places, isExpected });
  for (const cluster of clusters) {
    const names = `SELECT datname, datallowconn FROM pg_database WHERE datname LIKE 'pe-rbac%'`;
    expect(await cluster.sql('postgres', names)).toEqual([{ datname: 'pe-rbac', datallowconn: true }]);
  }
  const [active, passive] = await Promise.all(clusters.map((cluster) => digestsOfDatabase(cluster, 'pe-rbac')));
  expect(passive).toEqual(active);
  expect(servicePid(service)).toBeGreaterThan(0);
}
