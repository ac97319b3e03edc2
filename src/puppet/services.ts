import type { ServiceManager } from '../system/service-manager.ts';

export type ServicePlatform = 'pe' | 'puppet' | 'debian';

export interface DatabaseUse {
  /** Units that hold connections to the database, in the order to stop them; started the other way round. */
  readonly services: readonly string[];
  /** Keys of the status API that must be `running` again. */
  readonly health: readonly string[];
  /** `promotion`: what uses it acts by itself, and must not do so on a spare. */
  readonly switch: 'schedule' | 'promotion';
  readonly needs: readonly string[];
}

/** Where each key of the status API is asked; what is not named here is the console's. */
const statusPorts: Readonly<Record<string, number>> = {
  'puppetdb-status': 8081,
  'orchestrator-service': 8143,
  'patching-service': 8146,
};

/** The base URLs of the services that tell of these keys; `console`: of the console services. */
export const statusUrls = (host: string, console: string, keys: readonly string[]): string[] => [
  ...new Set(keys.map((key) => (statusPorts[key] === undefined ? console : `https://${host}:${statusPorts[key]}`))),
];

const consoleKeys = '/etc/puppetlabs/console-services/conf.d/secrets/keys.json';
const orchestratorKeys = '/etc/puppetlabs/orchestration-services/conf.d/secrets/keys.json';
const plain = { needs: [], switch: 'schedule' } as const;
const acting = { needs: [], switch: 'promotion' } as const;
const consoleServices = ['pe-console-services'];

const enterprise: Readonly<Record<string, DatabaseUse>> = {
  'pe-rbac': { ...plain, services: consoleServices, health: ['rbac-service'], needs: [consoleKeys] },
  'pe-classifier': { ...plain, services: consoleServices, health: ['classifier-service'] },
  'pe-activity': { ...plain, services: consoleServices, health: ['activity-service'] },
  'pe-puppetdb': { ...plain, services: ['pe-puppetdb'], health: ['puppetdb-status'] },
  'pe-orchestrator': {
    ...acting,
    services: ['pe-orchestration-services'],
    health: ['orchestrator-service'],
    needs: [orchestratorKeys],
  },
  'pe-inventory': { ...acting, services: ['pe-orchestration-services'], health: ['orchestrator-service'] },
  'pe-hac': { ...acting, services: ['pe-host-action-collector'], health: [] },
  'pe-patching': { ...acting, services: ['pe-patching-service'], health: ['patching-service'] },
  'pe-infra-assistant': { ...acting, services: ['pe-infra-assistant'], health: [] },
  'pe-workflow': { ...acting, services: ['pe-workflow-service'], health: [] },
};
const openSource: Readonly<Record<string, DatabaseUse>> = {
  puppetdb: { ...plain, services: ['puppetdb'], health: ['puppetdb-status'] },
};
const unknown: DatabaseUse = { ...plain, services: [], health: [] };

const byPlatform = { pe: enterprise, puppet: openSource, debian: openSource };

/** What uses a database by default; nothing for one that we do not know. */
export const databaseUse = (platform: ServicePlatform, database: string): DatabaseUse =>
  byPlatform[platform][database] ?? unknown;

/** Of these units the ones that run now, in the same order. A unit that this host does not have does not. */
export async function runningOf(manager: ServiceManager, units: readonly string[]): Promise<string[]> {
  const running: string[] = [];
  for (const unit of units) {
    if ((await manager.exists(unit)) && (await manager.isActive(unit))) running.push(unit);
  }
  return running;
}
