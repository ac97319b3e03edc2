import { existsSync, readFileSync } from 'node:fs';
import { jobConfig, type Master } from './app.ts';
import type { Config } from './config.ts';
import type { JobSettings } from './jobs/host.ts';
import { databaseUse } from './puppet/services.ts';
import { pathsFor } from './rules/paths.ts';
import { defaultVolatile } from './rules/volatile.ts';

// What the configuration says, as the jobs want it.

/** With whatever root: paths of files that travel are of the machine. */
const { deployedCode } = pathsFor('/', '/run/pe_failover');

export function settingsOf({ config, below }: Pick<Master, 'config' | 'below'>): JobSettings {
  const { sync_certs, sync_files, nc_dump, db_dump, update_passive_ca, update_passive_files, restore_nc, restore_dbs } =
    config.jobs;
  const databases = config.databases.map((database) => withDefaults(config.platform, database));
  return {
    enabled: (job) => jobConfig(config, job).enabled && (config.databases.length > 0 || !databaseJobs.has(job)),
    files: [...config.files, deployedCode],
    sentFiles: [...new Set([...config.files, deployedCode, ...databases.flatMap(({ needs }) => needs)])],
    excludeCerts: config.ca.exclude_certs,
    serialGap: BigInt(config.ca.serial_gap),
    every: {
      syncCerts: sync_certs.every,
      syncFiles: sync_files.every,
      updateCa: update_passive_ca.every,
      updateFiles: update_passive_files.every,
      fetchMadeHere: config.jobs.fetch_made_here.every,
    },
    cron: { ncDump: nc_dump.cron, dbDump: db_dump.cron, restoreNc: restore_nc.cron, restoreDbs: restore_dbs.cron },
    poll: { ncDump: nc_dump.poll, dbDump: db_dump.poll },
    timeout: { dbDump: db_dump.timeout, restoreDbs: restore_dbs.timeout },
    keptTrees: config.retention.nc_dump,
    keptArchives: config.retention.replaced,
    freeSpace: config.retention.free_space,
    hostMap: Object.entries(config.classifier.host_map).map(([active, passive]) => ({ active, passive })),
    furtherInfrastructure: config.classifier.infrastructure_groups,
    databases,
    build: buildOf(below, config.platform),
    parallel: restore_dbs.jobs,
    limits: { agentRunMs: restore_dbs.agent_run_wait, healthyMs: restore_dbs.health_wait },
    stagedLimitMs: restore_dbs.staged_limit,
    brakes: brakesOf(config.brakes),
  };
}

function brakesOf({ ca, classifier, databases, files }: Config['brakes']): JobSettings['brakes'] {
  const limits = ({ percent, least }: Config['brakes']['ca']) => ({ share: percent / 100, atLeast: least });
  return { ca: limits(ca), classifier: limits(classifier), databases: limits(databases), files: limits(files) };
}

const databaseJobs = new Set(['db-dump', 'restore-dbs']);

/** What both masters must have alike for a dump of one to be good on the other. */
function buildOf(below: Master['below'], platform: string): string {
  const file = below('/opt/puppetlabs/server/pe_build');
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : platform;
}

function withDefaults(
  platform: Master['config']['platform'],
  database: Master['config']['databases'][number],
): JobSettings['databases'][number] {
  const use = databaseUse(platform, database.name);
  const or = <T>(own: readonly T[], usual: readonly T[]): readonly T[] => (own.length > 0 ? own : usual);
  return {
    ...database,
    switch: database.switch ?? use.switch,
    services: or(database.services, use.services),
    health: or(database.health, use.health),
    needs: or(database.needs, use.needs),
    volatile: or(database.volatile, defaultVolatile[database.name] ?? []),
  };
}

/** The streams of this pair, with how long each may be silent. */
export function streamsOf({ config }: Pick<Master, 'config'>): { name: string; limitMs: number }[] {
  const { freshness, jobs } = config;
  const streams = [
    { name: 'sync-certs', limitMs: freshness.sync_certs, on: jobs.sync_certs.enabled },
    { name: 'sync-files', limitMs: freshness.sync_files, on: jobs.sync_files.enabled },
    { name: 'nc-dump', limitMs: freshness.nc_dump, on: jobs.nc_dump.enabled },
    ...config.databases.map(({ name }) => ({
      name: `db-dump.${name}`,
      limitMs: freshness.db_dump,
      on: jobs.db_dump.enabled,
    })),
  ];
  return streams.filter(({ on }) => on);
}
