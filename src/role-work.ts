import { userInfo } from 'node:os';
import { dirname } from 'node:path';
import type { AgentView } from './agent/agent.ts';
import type { RoleWork } from './agent/role-session.ts';
import { answerGreeting, type KeyCareParts } from './agent/key-care.ts';
import { reportStatus, type StatusReport } from './agent/status.ts';
import type { OwnUnits } from './agent/own-units.ts';
import { program, template, type Host, type Master } from './app.ts';
import { knownPeer } from './drops/greeter.ts';
import { pinHostKey } from './drops/known-hosts.ts';
import { sweepOutbox } from './drops/outbox.ts';
import { createSender, type Sender } from './drops/sender.ts';
import type { JobHost } from './jobs/host.ts';
import {
  activeJobs,
  endSwitches,
  forgetRefused,
  interruptedDatabases,
  openDatabases,
  passiveJobs,
} from './jobs/index.ts';
import { createAgentRuns, noAgentRuns } from './puppet/agent-runs.ts';
import type { Epoch } from './rules/epoch.ts';
import { peerIn } from './rules/gate.ts';
import type { Pairing } from './rules/pairing.ts';
import { ownUnits, postgresqlUnits, unitText, webUnit } from './rules/own-units.ts';
import { webUser } from './rules/web-account.ts';
import type { JudgedFact } from './system/fact.ts';
import type { ServiceManager } from './system/service-manager.ts';
import { settingsOf, streamsOf } from './job-settings.ts';
import { createState } from './system/state.ts';
import { createUnitFiles, hasSystemd } from './system/unit-files.ts';
import {
  caOfAgents,
  classifierOf,
  findCadir,
  healthOf,
  postgresAs,
  postgresOf,
  puppetOf,
  restorerRole,
  serviceManager,
  stateDirectory,
} from './surroundings.ts';

export { previewNcDump } from './jobs/index.ts';
export { settingsOf, streamsOf } from './job-settings.ts';

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
  const { paths, exec, certname } = master;
  const cadir = await findCadir(master);
  const admin = postgresOf(master);
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
  const { exec, paths, spare, system } = master;
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
    adopted: async () => (await state.read('adopted')) !== undefined,
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
  const { paths } = master;
  const databases = await interruptedDatabases(paths);
  if (databases.length === 0) return [];
  await openDatabases({ paths, admin: postgresOf(master) }, databases, signal);
  return databases.map(({ name }) => name);
}

/** A content that was refused because it did not load is tried again. */
export const liftRefusal = ({ paths, spare }: Master, stream: string): Promise<void> =>
  forgetRefused(paths.state, spare.holds, stream);

export const interrupted = async ({ paths }: Pick<Host, 'paths'>): Promise<boolean> =>
  (await interruptedDatabases(paths)).length > 0;

async function isRunning(services: ServiceManager, units: readonly string[]): Promise<boolean> {
  for (const unit of units) if ((await services.exists(unit)) && (await services.isActive(unit))) return true;
  return false;
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

function webArguments(host: Host): string[] {
  const { config, certname, paths } = host;
  const { health_listen: listen, puppetserver } = config.web;
  const given = { 'health-listen': listen, puppetserver, certname, ca: caOfAgents(host), notes: paths.web };
  return Object.entries(given).flatMap(([name, value]) => [`--${name}`, value]);
}

/** How this master stands. `view`: of its agent; undefined: none answers. */
export const reportOf = (master: Master, view: AgentView | undefined): Promise<StatusReport> =>
  reportStatus({
    ...{ certname: master.certname, paths: master.paths, spare: master.spare, now: master.clock.now() },
    ...{ rotation: master.ownKeys.rotation, pauses: master.pauses, streams: streamsOf(master), view },
  });
