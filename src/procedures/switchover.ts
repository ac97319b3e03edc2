import type { Outcome } from '../agent/agent.ts';
import type { Quiet } from '../agent/quiet.ts';
import type { StatusReport } from '../agent/status.ts';
import type { Greeting } from '../drops/peer.ts';
import { Failure, toFailure } from '../errors.ts';
import { bad, good, type Finding } from '../rules/findings.ts';
import { isStale, whyNotTaken } from '../rules/verdict.ts';
import { agreementStep, type AgreementTools } from './agreement.ts';
import type { Doing, Procedure, ProcedureStep } from './procedure.ts';
import { roleSteps, type RoleTools } from './role-steps.ts';

export interface SwitchoverParts {
  readonly role: RoleTools;
  readonly other: SpareSide;
  readonly agreement: AgreementTools;
  report(): Promise<StatusReport>;
  readonly quiet: Quiet;
  /** Of the services that sign, and of the databases that are kept: what is there is made quiet. */
  running(): Promise<readonly string[]>;
  readonly databases: readonly string[];
  /** One pass of a job, by the agent. */
  run(job: string): Promise<Outcome>;
  /** Those that send. */
  readonly jobs: readonly string[];
}

/** The spare, as the active reaches its root. */
export interface SpareSide {
  readonly certname: string;
  greet(signal: AbortSignal): Promise<Greeting>;
  /** What its root finds when it looks at a promotion of itself. */
  look(signal: AbortSignal): Promise<readonly Finding[]>;
  /** It becomes the active; undone there where it does not come to its end. */
  promote(doing: Doing): Promise<void>;
  /** Its root says that it is the spare and stays so, and takes back what it had begun. Throws where it does not. */
  stay(doing: Doing): Promise<void>;
}

/** Active and spare exchange their roles, and nothing is lost. */
export function switchover(parts: SwitchoverParts): Procedure {
  const { role, other, agreement, quiet } = parts;
  const endQuiet = endStep(parts);
  const promoteThere = promoteStep(parts);
  return {
    verb: 'switchover',
    title: `Exchange roles: ${other.certname} becomes the active, ${role.certname} its spare`,
    consequences: [
      `Until ${other.certname} is the active nothing is signed and the databases are read-only: agents and people try again.`,
    ],
    probes: [() => ownFindings(parts), (signal) => spareFindings(parts, signal)],
    steps: [
      quietStep(parts),
      drainStep(parts),
      agreeStep(parts),
      ...roleSteps(role, 'passive'),
      promoteThere,
      endQuiet,
      agreementStep(agreement, other.certname),
    ],
    pointOfNoReturn: endQuiet.name,
    left: async () => [
      ...((await quiet.standing()) === undefined ? [] : ['services here are still quiet: pe-failover switchover']),
      `DNS, virtual addresses and load balancers: agents must reach ${other.certname}`,
      `Code Manager, r10k and their webhooks: code is deployed on ${other.certname} from now on`,
    ],
  };
}

async function ownFindings({ report, role }: SwitchoverParts): Promise<Finding[]> {
  const now = await report();
  if (now.role !== 'active') return [bad(`${role.certname} is ${now.role}`, 'Type it on the active')];
  const findings = [
    now.agent.runs ? good('the agent runs') : bad('the agent does not run', 'Type: systemctl start pe-failover'),
  ];
  for (const component of now.components) {
    const { stream, state, why } = component;
    if (!['applied', 'unchanged', 'staged'].includes(state))
      findings.push(bad(`${stream} is ${state} on the spare: ${why}`, 'See: pe-failover status, on both masters'));
    else if (isStale(component))
      findings.push(bad(`${stream} was not confirmed within its limit`, 'See: pe-failover status'));
    else findings.push(good(`${stream} is ${state} on the spare`));
  }
  return findings;
}

async function spareFindings({ other }: SwitchoverParts, signal: AbortSignal): Promise<readonly Finding[]> {
  try {
    const { gate } = await other.greet(signal);
    const closed = whyNotTaken(gate);
    if (closed !== undefined) return [bad(closed, `See, on ${other.certname}: pe-failover status`)];
    const there = await other.look(signal);
    return there.map((finding) => ({ ...finding, says: spokenThere(other.certname, finding.says) }));
  } catch (error) {
    signal.throwIfAborted();
    const hint = `If it is lost there is nobody to exchange roles with. Look there: systemctl status pe-failover`;
    return [bad(toFailure(error).message, hint)];
  }
}

const spokenThere = (certname: string, says: string): string =>
  says.startsWith(certname) ? says : `${certname}: ${says}`;

/** Gone on with after a death: what comes before the change of the fact was done. */
const isPast = async (role: RoleTools): Promise<boolean> => (await role.readFact()).role.role === 'passive';

function quietStep({ quiet, running, databases, role }: SwitchoverParts): ProcedureStep {
  return {
    name: 'quiet',
    says: 'make this master quiet: stop the services that sign, set the databases read-only',
    isDone: () => isPast(role), // until then, what was started since is stopped again
    do: async ({ tell, signal }) => {
      const units = await running();
      tell(units.length === 0 ? 'no such service runs' : `stops ${units.join(', ')}`);
      await quiet.begin(units, databases, signal);
    },
    undo: ({ signal }) => quiet.end(signal),
  };
}

const drainTries = 40;
const drainPauseMs = 500;

/** Everything that was made before is there. */
const drainStep = (parts: SwitchoverParts): ProcedureStep => ({
  name: 'drain',
  says: `bring everything to ${parts.other.certname}`,
  isDone: () => isPast(parts.role),
  do: async (doing) => {
    for (const job of parts.jobs) await drain(parts, job, doing);
  },
});

/** Twice: what the first pass brought, the second one finds unchanged. */
async function drain({ run, role: { clock } }: SwitchoverParts, job: string, { tell, signal }: Doing): Promise<void> {
  let last: Outcome | undefined;
  for (let tries = 0; tries < drainTries; tries += 1) {
    tell(`${job}${last === undefined ? '' : `: ${last.why}`}`);
    last = await run(job);
    if (last.kind === 'unchanged') return;
    if (last.kind === 'held') break;
    if (last.kind === 'waiting') await clock.sleep(drainPauseMs, signal);
  }
  throw new Failure('refused', `${job} does not come to rest`, {
    why: last?.why ?? 'it was never run',
    hint: 'See: pe-failover status, and on the spare: pe-failover holds',
  });
}

/** By the receipts of the spare's root. */
const agreeStep = ({ report, other, role }: SwitchoverParts): ProcedureStep => ({
  name: 'compare',
  says: `compare: ${other.certname} has the same content of every stream`,
  isDone: () => isPast(role),
  do: async ({ tell, signal }) => {
    for (let tries = 0; ; tries += 1) {
      const { components } = await report();
      const open = components.filter(({ state }) => !['applied', 'unchanged', 'staged'].includes(state));
      if (open.length === 0) return;
      const [first] = open;
      if (tries > drainTries)
        throw new Failure('refused', `the spare has not taken ${first?.stream ?? ''}`, { why: first?.why ?? '' });
      tell(`${first?.stream ?? ''}: ${first?.why ?? ''}`);
      await role.clock.sleep(drainPauseMs, signal);
    }
  },
});

/**
 * INVARIANT: this master becomes the active again only when the root of the other one has said that it stays the spare. What its
 * gate says is not enough: its fact may name the active already, and its agent be dead at this moment.
 */
const promoteStep = ({ other }: SwitchoverParts): ProcedureStep => ({
  name: 'promote there',
  says: `${other.certname} becomes the active`,
  isDone: async () => {
    const greeting = await other.greet(AbortSignal.timeout(15_000)).catch(() => undefined);
    return greeting?.gate.role === 'active';
  },
  do: (doing) => other.promote(doing),
  undo: (doing) => other.stay(doing),
});

const endStep = ({ quiet, role }: SwitchoverParts): ProcedureStep => ({
  name: 'end quiet',
  says: `end the quiet: services of ${role.certname} run again`,
  isDone: async () => (await quiet.standing()) === undefined,
  do: ({ signal }) => quiet.end(signal),
});
