import { newGroup, rootId, type ApiGroup } from './classifier-model.ts';

/** Parameters by class, with defaults; null: required. */
export type Classes = Record<string, Record<string, unknown>>;

const pinned = (host: string): unknown[] => ['or', ['=', 'name', host]];

/** The groups of a fresh installation on a host: random ids (the root's aside), parameters that name the host. */
export function stockGroups(host: string): ApiGroup[] {
  const root = newGroup({ id: rootId, name: 'All Nodes', rule: ['and', ['~', 'name', '.*']] });
  const environments = newGroup({
    name: 'All Environments',
    environment_trumps: true,
    rule: ['and', ['~', 'name', '.*']],
  });
  const infrastructure = newGroup({ name: 'PE Infrastructure', classes: { puppet_enterprise: hosts(host) } });
  return [
    root,
    environments,
    ...environmentGroups(environments.id),
    infrastructure,
    ...serviceGroups(host, infrastructure.id),
    newGroup({ name: 'PE Patch Management', classes: { pe_patch: {} } }),
  ];
}

const hosts = (host: string): Record<string, unknown> => ({
  certificate_authority_host: host,
  console_host: host,
  database_host: host,
  pcp_broker_host: host,
  puppet_master_host: host,
  puppetdb_host: [host],
  console_port: '443',
});

const environmentGroups = (parent: string): ApiGroup[] => [
  newGroup({ name: 'Production environment', parent, environment_trumps: true, rule: trusted('production') }),
  newGroup({
    name: 'Development environment',
    parent,
    environment: 'development',
    environment_trumps: true,
    rule: trusted('development'),
  }),
  newGroup({ name: 'Agent-specified environment', parent, environment: 'agent-specified', environment_trumps: true }),
  newGroup({
    name: 'Development one-time run exception',
    parent,
    environment: 'agent-specified',
    environment_trumps: true,
    rule: ['and', ['~', ['fact', 'agent_specified_environment'], '.+']],
  }),
];

const trusted = (environment: string): unknown[] => [
  'and',
  ['=', ['trusted', 'extensions', 'pp_environment'], environment],
];

function serviceGroups(host: string, infrastructure: string): ApiGroup[] {
  const profile = (name: string): string => `puppet_enterprise::profile::${name}`;
  const agent = newGroup({
    name: 'PE Agent',
    parent: infrastructure,
    rule: ['and', ['~', ['fact', 'pe_version'], '.+']],
    classes: { [profile('agent')]: {} },
  });
  const master = newGroup({
    name: 'PE Master',
    parent: infrastructure,
    rule: pinned(host),
    classes: {
      pe_repo: {},
      [profile('master')]: {
        classifier_host: [host],
        classifier_port: [4433],
        puppetdb_host: [host],
        puppetdb_port: [8081],
      },
    },
    config_data: { pe_repo: { compile_master_pool_address: host } },
  });
  const service = (name: string, ...classes: string[]): ApiGroup =>
    newGroup({
      name,
      parent: infrastructure,
      rule: pinned(host),
      classes: Object.fromEntries(classes.map((one) => [profile(one), {}])),
    });
  return [
    agent,
    newGroup({
      name: 'PE Infrastructure Agent',
      parent: agent.id,
      rule: pinned(host),
      classes: { [profile('agent')]: { pcp_broker_list: [`${host}:8142`] } },
    }),
    master,
    service('PE Certificate Authority', 'certificate_authority'),
    service('PE Console', 'console'),
    service('PE PuppetDB', 'puppetdb'),
    service('PE Orchestrator', 'orchestrator'),
    service('PE Database', 'database'),
  ];
}

/** Classes of a code base with PE's own modules. */
export const stockClasses = (): Classes => ({
  puppet_enterprise: Object.fromEntries([...Object.keys(hosts('')), 'ha_enabled_replicas'].map((key) => [key, null])),
  pe_repo: { compile_master_pool_address: '' },
  pe_patch: { patch_group: '' },
  ...Object.fromEntries(
    ['certificate_authority', 'console', 'orchestrator', 'database'].map((name) => [
      `puppet_enterprise::profile::${name}`,
      { java_args: {}, replication_mode: 'none' },
    ]),
  ),
  'puppet_enterprise::profile::puppetdb': { java_args: {}, sync_peers: [] },
  'puppet_enterprise::profile::agent': { server_list: [], pcp_broker_list: [], primary_uris: [], master_uris: [] },
  'puppet_enterprise::profile::master': {
    classifier_host: [],
    classifier_port: [],
    puppetdb_host: [],
    puppetdb_port: [],
    r10k_remote: '',
    java_args: {},
    code_manager_auto_configure: false,
    provisioned_replicas: [],
    replication_mode: 'none',
  },
});
