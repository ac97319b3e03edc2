import type { StatusReport } from '../agent/status.ts';
import { Failure } from '../errors.ts';
import { bad, good, note, type Finding } from '../rules/findings.ts';
import { spokenDuration } from '../rules/spoken.ts';
import { isStale, type ComponentStatus } from '../rules/verdict.ts';
import { oldActiveGone, type OtherSide } from './other-side.ts';
import type { Doing, Procedure, ProcedureStep } from './procedure.ts';
import { roleSteps, type RoleTools } from './role-steps.ts';

export interface PromoteParts {
  readonly role: RoleTools;
  /** Undefined: this master never had another one. */
  readonly other: OtherSide | undefined;
  report(): Promise<StatusReport>;
  /** Its spare from then on, where `other` is not asked. */
  readonly next?: string;
  /** Why the witness forbids it. */
  witness(): Promise<string | undefined>;
  /** Data of an older epoch may be promoted. */
  permitStale(): Promise<void>;
  readonly forceStale: boolean;
  /** Units that serve on an active, and exist here. */
  readonly services: ServiceTools;
}

export interface ServiceTools {
  /** Of them those that do not run. */
  stopped(): Promise<string[]>;
  start(unit: string): Promise<void>;
  /** Waits until all are healthy; what is not, in a sentence. */
  unhealthy(doing: Doing): Promise<string | undefined>;
}

const servicesName = 'start services';

/** A spare becomes the active. */
export function promotion(parts: PromoteParts): Procedure {
  const { role, other, forceStale } = parts;
  const spare = other?.certname ?? parts.next;
  return {
    verb: 'promote',
    title: `Promote ${role.certname}: it becomes the active`,
    consequences:
      spare === undefined ? [] : [`${spare} is let in no more, and becomes its spare once it is demoted there.`],
    probes: promotionProbes(parts),
    steps: [
      ...(forceStale ? [permitStep(parts)] : []),
      ...roleSteps(role, 'active', () => spareFact(role, spare)),
      startStep(parts.services),
      healthStep(parts.services),
    ],
    pointOfNoReturn: servicesName,
    left: () => Promise.resolve(leftToPeople(role.certname, spare)),
  };
}

/** A fact that names a spare already is an admin's word. */
async function spareFact({ fact }: RoleTools, spare: string | undefined): Promise<Record<string, string>> {
  const isNamed = (await fact(spareFactName)) !== undefined;
  return spare === undefined || isNamed ? {} : { [spareFactName]: spare };
}

const spareFactName = 'pe_failover_passive_master';

/** What is looked at before a promotion, whoever asks for it. */
export const promotionProbes = (parts: PromoteParts): Procedure['probes'] => [
  () => roleFindings(parts),
  (signal) => (parts.other === undefined ? Promise.resolve([]) : oldActiveGone(parts.other, signal)),
  () => dataFindings(parts),
  () => witnessFindings(parts),
];

const permitStep = ({ permitStale }: PromoteParts): ProcedureStep => ({
  name: 'permit old data',
  says: 'permit a promotion with data of an older epoch, for an hour',
  isDone: () => Promise.resolve(false),
  do: permitStale,
});

async function roleFindings({ role, report }: PromoteParts): Promise<Finding[]> {
  const { role: is, agent } = await report();
  const settled = await role.settled();
  if (settled === undefined) return [bad('nothing is installed here', 'Type: pe-failover install')];
  if (settled === 'active') return [bad(`${role.certname} is the active`, 'Type: pe-failover status')];
  const runs = agent.runs ? good('the agent runs') : bad('the agent does not run', 'Type: systemctl start pe-failover');
  return [good(`${role.certname} is ${is === 'passive' ? 'the spare' : `${is}, and was the spare`}`), runs];
}

/** What would be lost at most, by what was confirmed. */
async function dataFindings({ report, forceStale }: PromoteParts): Promise<Finding[]> {
  const { components, holds, role } = await report();
  const held = holds.map(({ id, sentence }) =>
    note(`held, and not live then: ${sentence}`, `To decide first, type: pe-failover release ${id}, or discard ${id}`),
  );
  if (role === 'suspended' && !forceStale)
    held.push(note('this master is suspended: the promotion may be refused', 'See: pe-failover status'));
  return [...components.map(dataFinding), ...held];
}

function dataFinding(component: ComponentStatus): Finding {
  const { stream, ageSeconds, state, why, doubt } = component;
  if (ageSeconds === undefined) return note(`${stream}: ${doubt ?? `nothing of it was ever confirmed (${why})`}`);
  const age = spokenDuration(ageSeconds * 1000);
  if (state === 'failed' || state === 'refused') return note(`${stream}: its last drop is ${state}: ${why}`);
  if (isStale(component)) return note(`${stream}: what the active made in the last ${age} may be lost`);
  const waits = state === 'staged' ? '; what is staged goes live first' : '';
  return good(`${stream}: nothing known is missing as of ${age} ago${waits}`);
}

async function witnessFindings({ witness }: PromoteParts): Promise<Finding[]> {
  const why = await witness();
  return why === undefined
    ? []
    : [bad(`the witness forbids it: ${why}`, 'Ask it, or take it out of the configuration')];
}

const startStep = (services: ServiceTools): ProcedureStep => ({
  name: servicesName,
  says: 'start the services of an active that do not run',
  isDone: async () => (await services.stopped()).length === 0,
  do: async ({ tell, signal }) => {
    for (const unit of await services.stopped()) {
      signal.throwIfAborted();
      tell(`starts ${unit}`);
      await services.start(unit);
    }
  },
});

const healthStep = (services: ServiceTools): ProcedureStep => ({
  name: 'health',
  says: 'wait until the services are healthy',
  isDone: () => Promise.resolve(false),
  do: async (doing) => {
    const why = await services.unhealthy(doing);
    if (why !== undefined)
      throw new Failure('incomplete', 'the services are not healthy', {
        why,
        hint: 'This master is the active all the same. Look: systemctl status, and their logs',
      });
  },
});

const leftToPeople = (certname: string, old: string | undefined): string[] => [
  `DNS, virtual addresses and load balancers: agents must reach ${certname}`,
  'Code Manager, r10k and their webhooks: code is deployed here from now on',
  `client tools (puppet-access, puppet-query, bolt) and whatever names ${old ?? 'the old active'}`,
  ...(old === undefined ? [] : [`when ${old} is back, type on it: pe-failover demote`]),
];
