import type { AgentView, Outcome } from './agent/agent.ts';
import { createQuiet } from './agent/quiet.ts';
import type { StatusReport } from './agent/status.ts';
import { whyForbidden } from './agent/witness.ts';
import type { Master } from './app.ts';
import { Failure } from './errors.ts';
import type { OtherMaster } from './order-work.ts';
import type { AgreementTools } from './procedures/agreement.ts';
import type { DemoteParts } from './procedures/demote.ts';
import type { OtherSide } from './procedures/other-side.ts';
import type { PromoteParts, ServiceTools } from './procedures/promote.ts';
import type { RoleTools } from './procedures/role-steps.ts';
import type { SpareSide, SwitchoverParts } from './procedures/switchover.ts';
import { waitHealthy } from './puppet/health.ts';
import { runningOf } from './puppet/services.ts';
import { reportOf, settingsOf, streamsOf } from './role-work.ts';
import type { TakenConfirmation } from './rules/confirm.ts';
import { sameEpoch } from './rules/epoch.ts';
import { parseFinding } from './rules/findings.ts';
import { healthOf, postgresOf, puppetserverHealth, serviceManager } from './surroundings.ts';
import { askControl } from './system/control.ts';
import { readOneFact, readRole, withFacts } from './system/fact.ts';
import { readIfThere, writeFileAtomic } from './system/files.ts';
import { knock } from './system/knock.ts';
import { createState } from './system/state.ts';

// What the commands that change roles need of this machine and of the other one.

const askMs = 10_000;

const viewOf = async ({ paths }: Master): Promise<AgentView | undefined> =>
  (await askControl(paths.control, 'status', {}, { signal: AbortSignal.timeout(askMs) }).catch(() => undefined)) as
    AgentView | undefined;

const roleTools = (master: Master): RoleTools => {
  const { certname, paths, clock, spare, published } = master;
  return {
    ...{ certname, factPath: paths.fact, clock },
    readFact: () => readRole(paths.fact),
    fact: (name) => readOneFact(paths.fact, name),
    setFacts: async (facts) =>
      writeFileAtomic(paths.fact, withFacts((await readIfThere(paths.fact)) ?? '', facts, paths.fact), published),
    gate: () => spare.gate.read(),
    settled: async () => (await spare.epochs.read())?.settled.role,
    view: () => viewOf(master),
    reload: async () => {
      await askControl(paths.control, 'reload', {}, { signal: AbortSignal.timeout(askMs) });
    },
  };
};

const agreementTools = ({ clock, spare, paths, ...master }: Master): AgreementTools => ({
  clock,
  streams: async () => {
    const epoch = (await spare.gate.read())?.epoch;
    const states = createState(paths.streams);
    return await Promise.all(
      streamsOf(master).map(async ({ name }) => {
        const last = (await spare.book.all(name)).at(-1);
        const confirmed = await states.read<TakenConfirmation>(`${name}.confirmed`);
        const words = [last?.epoch, confirmed?.epoch].filter((one) => one !== undefined);
        const isOfEpoch = epoch !== undefined && words.some((one) => sameEpoch(one, epoch));
        return { stream: name, state: last?.state ?? 'awaited', isOfEpoch };
      }),
    );
  },
});

const reporting = (master: Master) => async (): Promise<StatusReport> => reportOf(master, await viewOf(master));

const ports = { puppetserver: 8140, console: 4433 };

const otherSide = ({ config }: Master, other: OtherMaster): OtherSide => {
  const knocks = Object.entries(ports).filter(([name]) => name !== 'console' || config.platform === 'pe');
  return {
    certname: other.certname,
    greet: (signal) => other.greet(signal),
    ways: knocks.map(([name, port]) => ({
      name: `its ${name} (port ${port})`,
      ask: (signal) => knock(other.host, port, signal),
    })),
  };
};

const puppetservers = ['pe-puppetserver', 'puppetserver'];

/** Puppet's server, and what uses the databases that are kept. */
const unitsOf = (master: Master): string[] => [
  ...puppetservers,
  ...new Set(settingsOf(master).databases.flatMap(({ services }) => services)),
];

function serviceTools(master: Master): ServiceTools {
  const [manager, { databases }] = [serviceManager(master), settingsOf(master)];
  const stopped = async (): Promise<string[]> => {
    const found: string[] = [];
    for (const unit of unitsOf(master))
      if ((await manager.exists(unit)) && !(await manager.isActive(unit))) found.push(unit);
    return found;
  };
  return {
    stopped,
    start: (unit) => manager.start(unit),
    unhealthy: async ({ tell, signal }) => {
      const keys = [...new Set(databases.flatMap(({ health }) => health))];
      const serving = (await runningOf(manager, puppetservers)).length > 0;
      tell(`asks ${[...keys, ...(serving ? ['puppetserver'] : [])].join(', ')}`);
      const within = { withinMs: master.config.jobs.restore_dbs.health_wait, clock: master.clock, signal };
      const console = keys.length === 0 ? undefined : await waitHealthy(healthOf(master, keys), keys, within);
      const server = serving ? await waitHealthy(puppetserverHealth(master), ['puppetserver'], within) : undefined;
      return [console, server].filter((why) => why !== undefined).join('; ') || undefined;
    },
  };
}

export const promoteParts = (master: Master, other: OtherMaster | undefined, forceStale: boolean): PromoteParts => ({
  role: roleTools(master),
  other: other === undefined ? undefined : otherSide(master, other),
  report: reporting(master),
  witness: () => whyForbidden(master.config.witness, master.exec),
  permitStale: () => master.spare.epochs.permitStale(),
  forceStale,
  services: serviceTools(master),
});

export const demoteParts = (master: Master, other: OtherMaster | undefined): DemoteParts => ({
  role: roleTools(master),
  other: other === undefined ? undefined : otherSide(master, other),
  agreement: agreementTools(master),
});

export const quietOf = (master: Master) =>
  createQuiet({
    state: createState(master.paths.state),
    services: serviceManager(master),
    admin: postgresOf(master),
    now: () => master.clock.now(),
  });

/** The classifier's own database is not listed where it travels through its API. */
const classifierDatabase = 'pe-classifier';

const sending = ['sync-certs', 'sync-files', 'nc-dump', 'db-dump', 'fetch-made-here'];

export function switchoverParts(master: Master, other: OtherMaster): SwitchoverParts {
  const { config } = master;
  const databases = config.databases.map(({ name }) => name);
  const { enabled } = settingsOf(master);
  return {
    role: roleTools(master),
    other: spareSide(other),
    agreement: agreementTools(master),
    report: reporting(master),
    quiet: quietOf(master),
    running: () => runningOf(serviceManager(master), puppetservers),
    databases: config.platform === 'pe' ? [...new Set([...databases, classifierDatabase])] : databases,
    run: async (job) =>
      (await askControl(master.paths.control, 'run', { job }, { signal: AbortSignal.timeout(passMs) })) as Outcome,
    jobs: sending.filter((job) => enabled(job)),
  };
}

const passMs = 2 * 3_600_000;
const promotionMs = 30 * 60_000;

const spareSide = (other: OtherMaster): SpareSide => ({
  certname: other.certname,
  greet: (signal) => other.greet(signal),
  look: async (signal) => {
    const found = await other.give('look-at-promotion', {}, { signal, timeoutMs: 60_000 });
    if (!Array.isArray(found)) throw new Failure('bad-data', 'the spare found nothing that is known here');
    return found.map(parseFinding);
  },
  promote: async ({ tell, signal }) => void (await other.give('promote', {}, { signal, timeoutMs: promotionMs, tell })),
  stay: async ({ tell, signal }) => void (await other.give('stay-spare', {}, { signal, timeoutMs: promotionMs, tell })),
});
