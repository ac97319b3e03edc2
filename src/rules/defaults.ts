export type Platform = 'pe' | 'puppet' | 'debian';

/** Which platform stands on this machine, by what exists below its root; undefined: none that we know. */
export function detectPlatform(exists: (path: string) => boolean): Platform | undefined {
  if (exists('/opt/puppetlabs/server/pe_build')) return 'pe';
  if (exists('/etc/puppetlabs/puppet') || exists('/etc/puppetlabs/puppetserver')) return 'puppet';
  return exists('/etc/puppet') ? 'debian' : undefined;
}

/** The configuration as if an admin had written every value, in the words of the file. Lists and scalars are replaced, maps merged. */
export function defaultsFor(platform: Platform): Readonly<Record<string, unknown>> {
  return { platform, ...common, ...byPlatform[platform] };
}

const hour = '10 * * * *';
const brake = { percent: 20, least: 10 };

const common = {
  paths: {},
  transfer: { user: 'pe-transfer', connect_timeout: '3s', bandwidth_limit: '0MB' },
  inbox: { size: '50GB', files: 500_000 },
  ssh: { port: 22 },
  ca: { exclude_certs: [], serial_gap: 100_000 },
  files: [],
  brakes: { ca: brake, classifier: brake, databases: { percent: 50, least: 10 }, files: brake },
  freshness: { sync_certs: '15m', sync_files: '15m', nc_dump: '3h', db_dump: '3h' },
  retention: {
    age: '30d',
    nc_dump: 24,
    db_dump: 24,
    replaced: 24,
    max_size: '20GB',
    events: '100MB',
    free_space: '1GB',
  },
  space: { warn_percent: 10, warn_below: '5GB' },
  deadman: { every: '5m', timeout: '10s' },
  web: { page_listen: '127.0.0.1:8186', health_listen: 'off', puppetserver: '127.0.0.1:8140' },
  classifier: { auth: 'certificate', host_map: {}, infrastructure_groups: [] },
  services: { manager: 'systemd', commands: {} },
  remote_role_changes: true,
  witness: {},
  hooks: { timeout: '60s' },
};

const jobs = (enterprise: boolean): Readonly<Record<string, unknown>> => ({
  sync_certs: { enabled: true, every: '5m', timeout: '10m' },
  sync_files: { enabled: true, every: '5m', timeout: '10m' },
  nc_dump: { enabled: enterprise, cron: hour, poll: '60s', min_interval: '0s', timeout: '10m' },
  db_dump: { enabled: true, cron: hour, poll: '15s', min_interval: '0s', timeout: '2h' },
  fetch_made_here: { enabled: true, every: '30m', timeout: '10m' },
  update_passive_ca: { enabled: true, every: '5m', timeout: '10m' },
  update_passive_files: { enabled: true, every: '5m', timeout: '10m' },
  restore_nc: { enabled: enterprise, cron: '0 * * * *', timeout: '30m' },
  restore_dbs: {
    enabled: true,
    cron: '3 * * * *',
    timeout: '4h',
    agent_run_wait: '10m',
    health_wait: '10m',
    staged_limit: '6h',
    jobs: 2,
  },
  sync_puppetdb: { enabled: true, every: '2m', timeout: '1h' },
});

const rbacKeys = '/etc/puppetlabs/console-services/conf.d/secrets/keys.json';

const openSource = {
  jobs: jobs(false),
  postgres: { host: '/var/run/postgresql', port: 5432, run_as: 'postgres', bin: '/usr/bin' },
  databases: [],
};

const byPlatform: Readonly<Record<Platform, Readonly<Record<string, unknown>>>> = {
  pe: {
    jobs: jobs(true),
    postgres: { host: '/tmp', port: 5432, run_as: 'pe-postgres', bin: '/opt/puppetlabs/server/bin' },
    databases: [
      {
        name: 'pe-rbac',
        services: ['pe-console-services'],
        health: ['rbac-service'],
        needs: [rbacKeys],
        switch: 'schedule',
      },
    ],
  },
  puppet: openSource,
  debian: openSource,
};
