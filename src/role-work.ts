import { userInfo } from 'node:os';
import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { RoleWork } from './agent/role-session.ts';
import { answerGreeting, type KeyCareParts } from './agent/key-care.ts';
import type { OwnUnits } from './agent/own-units.ts';
import type { Config } from './config.ts';
import { jobConfig, program, template, type Host, type Master } from './app.ts';
import { knownPeer } from './drops/greeter.ts';
import { pinHostKey } from './drops/known-hosts.ts';
import { sweepOutbox } from './drops/outbox.ts';
import { createSender, type Sender } from './drops/sender.ts';
export { previewNcDump } from './jobs/index.ts';
import type { JobHost, JobSettings } from './jobs/host.ts';
import { activeJobs, endSwitches, interruptedDatabases, openDatabases, passiveJobs } from './jobs/index.ts';
import { createAgentRuns, noAgentRuns } from './puppet/agent-runs.ts';
import { databaseUse } from './puppet/services.ts';
import type { Epoch } from './rules/epoch.ts';
import { peerIn } from './rules/gate.ts';
import type { Pairing } from './rules/pairing.ts';
import { ownUnits, postgresqlUnits, unitText, webUnit } from './rules/own-units.ts';
import { defaultVolatile } from './rules/volatile.ts';
import { webUser } from './rules/web-account.ts';
import type { JudgedFact } from './system/fact.ts';
import type { ServiceManager } from './system/service-manager.ts';
import { createState } from './system/state.ts';
import { createUnitFiles, hasSystemd } from './system/unit-files.ts';
import {
  caOfAgents,
  classifierOf,
  findCadir,
  healthOf,
  postgresAs,
  puppetOf,
  restorerRole,
  serviceManager,
  stateDirectory,
} from './surroundings.ts';

/** The jobs of a role, made for one epoch, with everything that they need. */
export async function workOf(
  master: Master,
  role: 'active' | 'passive',
  epoch: Epoch,
  fact: JudgedFact,
): Promise<RoleWork> {
  const closing: (() => void)[] = [];
  const host = await jobHost(master, (close) => closing.push(close));
  const sender = role === 'active' ? await openSender(master, epoch, fact, host.settings.build) : undefined;
  const jobs =
    role === 'passive'
      ? passiveJobs(await spareHost(master, host))
      : sender === undefined
        ? []
        : activeJobs(host, sender.sender, sender.host);
  return {
    role,
    epoch,
    jobs,
    fence: () => master.spare.gate.fence(role, epoch),
    close: async () => {
      await sender?.sender.close();
      for (const close of closing) close();
    },
  };
}

/** An active without a spare in its fact sends nothing, and waits. */
async function openSender(
  master: Master,
  epoch: Epoch,
  { role }: JudgedFact,
  build: string,
): Promise<{ sender: Sender; host: string } | undefined> {
  if (role.role !== 'active' || role.passiveMaster === undefined) return undefined;
  await sweepOutbox(master.paths.outbox);
  return { sender: await senderTo(master, role.passiveMaster, epoch, build), host: role.passiveMaster };
}

/** Connections and delivery to the other master, whoever of us is active. */
export async function senderTo(master: Master, name: string, epoch: Epoch, build: string): Promise<Sender> {
  const { config, paths, exec, clock, log, signer, certname } = master;
  const host = config.peer_address ?? name;
  const alias = config.ssh.host_key_alias ?? name;
  const peer = await knownPeer(createState(paths.state));
  if (peer !== undefined) await pinHostKey(paths.keys.knownHosts, alias, peer);
  return createSender({
    paths,
    exec,
    clock,
    log: log.forJob('agent'),
    signer,
    epoch,
    origin: { source: certname, platform: config.platform, build },
    spare: {
      host,
      port: config.ssh.port,
      user: master.system ? config.transfer.user : userInfo().username,
      connectTimeoutSeconds: Math.ceil(config.transfer.connect_timeout / 1000),
      hostKeyAlias: alias,
    },
    bandwidthLimit: Math.round(config.transfer.bandwidth_limit / 1024),
    sockets: master.sockets,
    introduced: (spare) => letAsk(master, spare),
  });
}

/** The spare may ask who we are from now on: before it is promoted, it does. */
async function letAsk({ keys, spare: { gate } }: Master, spare: Pairing): Promise<void> {
  await keys.write(spare, 'hello-only');
  await gate.update(() => peerIn(spare));
}

export const keyCare = (master: Master): KeyCareParts => ({ ...master, log: master.log.forJob('agent') });

async function jobHost(master: Master, onClose: (close: () => void) => void): Promise<JobHost> {
  const { paths, exec, config, certname } = master;
  const cadir = await findCadir(master);
  const admin = postgresAs(master, config.postgres.run_as ?? userInfo().username);
  return {
    paths,
    exec,
    certname,
    settings: settingsOf(master),
    cadir,
    classifier: classifierOf(master),
    admin,
    answerOnKeys: (greeting) => answerGreeting(keyCare(master), greeting),
    onClose,
  };
}

async function spareHost(master: Master, host: JobHost) {
  const { config, exec, paths, spare, system } = master;
  const services = serviceManager(master);
  const state = createState(paths.state);
  return {
    ...host,
    spare,
    restorer: postgresAs(master, restorerRole),
    services,
    agentRuns: system
      ? createAgentRuns({ puppet: puppetOf(master), stateDirectory: await stateDirectory(master) }, exec, master.clock)
      : noAgentRuns,
    health: healthOf(
      master,
      host.settings.databases.flatMap(({ health }) => health),
    ),
    note: master.switchNote,
    mayChown: system,
    isServerStopped: async () => !(await isRunning(services, ['pe-puppetserver', 'puppetserver'])),
    adopted: async () => config.databases.length === 0 || (await state.read('adopted')) !== undefined,
  };
}

/** Ends what a killed agent left half switched, whatever the role is by now: services run again, databases are open. Returns which. */
export async function endInterruptedWork(master: Master, signal: AbortSignal): Promise<string[]> {
  const databases = await interruptedDatabases(master.paths);
  if (databases.length === 0) return [];
  const host = await spareHost(master, await jobHost(master, () => undefined));
  await endSwitches(host, databases, { signal, log: master.log.forJob('restore-dbs'), clock: master.clock });
  return databases.map(({ name }) => name);
}

/** Of that the part which needs no service, no health and no puppet: before services start. */
export async function openInterruptedDatabases(master: Master, signal: AbortSignal): Promise<string[]> {
  const { paths, config } = master;
  const databases = await interruptedDatabases(paths);
  if (databases.length === 0) return [];
  await openDatabases(
    { paths, admin: postgresAs(master, config.postgres.run_as ?? userInfo().username) },
    databases,
    signal,
  );
  return databases.map(({ name }) => name);
}

export const interrupted = async ({ paths }: Pick<Host, 'paths'>): Promise<boolean> =>
  (await interruptedDatabases(paths)).length > 0;

async function isRunning(services: ServiceManager, units: readonly string[]): Promise<boolean> {
  for (const unit of units) if ((await services.exists(unit)) && (await services.isActive(unit))) return true;
  return false;
}

export function settingsOf({ config, below }: Pick<Master, 'config' | 'below'>): JobSettings {
  const { sync_certs, sync_files, nc_dump, db_dump, update_passive_ca, update_passive_files, restore_nc, restore_dbs } =
    config.jobs;
  const databases = config.databases.map((database) => withDefaults(config.platform, database));
  return {
    enabled: (job) => jobConfig(config, job).enabled && (config.databases.length > 0 || !databaseJobs.has(job)),
    files: config.files,
    sentFiles: [...new Set([...config.files, ...databases.flatMap(({ needs }) => needs)])],
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

/** Root's own machine with systemd has units of ours; undefined elsewhere. */
export function ownUnitsOf(host: Host): OwnUnits | undefined {
  if (!host.system || !hasSystemd()) return undefined;
  const words = {
    program: dirname(dirname(program)),
    journal: host.paths.journal,
    postgresql: postgresqlUnits(host.config.platform),
    services: settingsOf(host).databases.flatMap(({ services }) => services),
    sandbox: template('sandbox.conf'),
    files: settingsOf(host).sentFiles,
    web: webArguments(host),
    webUser,
  };
  const texts = ownUnits.map((unit) => [unit, unitText(template(unit), words)] as const);
  const off = host.config.web.health_listen === 'off' ? [webUnit] : [];
  return { files: createUnitFiles(host.exec), texts: Object.fromEntries(texts), off };
}

function webArguments({ config, certname, paths }: Host): string[] {
  const { health_listen: listen, puppetserver } = config.web;
  const given = { 'health-listen': listen, puppetserver, certname, ca: caOfAgents(config), notes: paths.web };
  return Object.entries(given).flatMap(([name, value]) => [`--${name}`, value]);
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
export function streamsOf({ config }: Master): { name: string; limitMs: number }[] {
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
