import type { AgentView } from '../agent/agent.ts';
import { Failure } from '../errors.ts';
import type { Gate } from '../rules/gate.ts';
import type { Clock } from '../system/clock.ts';
import type { JudgedFact } from '../system/fact.ts';
import type { Doing, ProcedureStep } from './procedure.ts';

/** This master, as a change of its role needs it. */
export interface RoleTools {
  readonly certname: string;
  readonly factPath: string;
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>;
  readFact(): Promise<JudgedFact>;
  /** One fact of the file, as text. */
  fact(name: string): Promise<string | undefined>;
  setFacts(facts: Readonly<Record<string, string>>): Promise<void>;
  gate(): Promise<Gate | undefined>;
  /** The role that was entered last to its end. */
  settled(): Promise<'active' | 'passive' | undefined>;
  /** Of the agent; undefined: none answers. */
  view(): Promise<AgentView | undefined>;
  /** Has the agent judge the fact anew, though its text is the same. */
  reload(): Promise<void>;
}

type Settled = 'active' | 'passive';
/** What is written into the fact file besides. */
type Facts = () => Promise<Readonly<Record<string, string>>>;

/** The two steps of a change of roles: the fact is written, and the agent follows it through the one table of transitions. */
export const roleSteps = (
  tools: RoleTools,
  role: Settled,
  facts: Facts = () => Promise.resolve({}),
): ProcedureStep[] => [factStep(tools, role, facts), enterStep(tools, role)];

const other = (role: Settled): Settled => (role === 'active' ? 'passive' : 'active');

function factStep(tools: RoleTools, role: Settled, facts: Facts): ProcedureStep {
  const { certname, factPath } = tools;
  return {
    name: `fact ${role}`,
    says: `write pe_failover_mode: ${role} into ${factPath}`,
    isDone: async () => (await tools.readFact()).role.role === role,
    do: async () => tools.setFacts({ pe_failover_mode: role, ...(await facts()) }),
    undo: async (doing) => {
      // A demotion can be taken back by a promotion; a promotion is known to others once it is settled.
      if (role === 'active' && (await tools.settled()) === role)
        throw new Failure('refused', `${certname} is ${role} already`, { why: 'the change of its role is settled' });
      await tools.setFacts({ pe_failover_mode: other(role) });
      await untilEntered(tools, other(role), doing);
    },
  };
}

const enterStep = (tools: RoleTools, role: Settled): ProcedureStep => ({
  name: `enter ${role}`,
  says: `the agent becomes ${role}: what was verified and waits goes live, then the new role is settled`,
  isDone: () => isEntered(tools, role),
  do: (doing) => untilEntered(tools, role, doing),
});

const lookMs = 250;
/** An agent that is being restarted is no dead one. */
const silentMs = 30_000;
/** A transition that fails is tried again every few seconds: so often for the same reason is a reason to say so. */
const troubledMs = 60_000;

async function isEntered(tools: RoleTools, role: Settled): Promise<boolean> {
  const [gate, { sha256 }] = [await tools.gate(), await tools.readFact()];
  return gate?.role === role && gate.closed === undefined && gate.fact === sha256;
}

/** Throws `refused` where the agent suspends itself instead, `dependency` where it does not get on. */
async function untilEntered(tools: RoleTools, role: Settled, { tell, signal }: Doing): Promise<void> {
  const { clock, certname } = tools;
  let [heardAt, troubledAt] = [clock.monotonic(), undefined as number | undefined];
  let isAskedAnew = false;
  for (;;) {
    if (await isEntered(tools, role)) return;
    const [view, now] = [await tools.view(), clock.monotonic()];
    if (view !== undefined) heardAt = now;
    else if (now - heardAt > silentMs)
      throw new Failure('dependency', `the agent of ${certname} does not run`, {
        hint: 'Type: systemctl start pe-failover',
      });
    const { trouble, changing, entered } = view ?? {};
    troubledAt = trouble === undefined ? undefined : (troubledAt ?? now);
    if (trouble !== undefined && troubledAt !== undefined && now - troubledAt > troubledMs)
      throw new Failure('dependency', trouble);
    if (entered?.role === 'suspended' && changing === undefined && (await isJudged(tools))) {
      if (isAskedAnew) throw new Failure('refused', `${certname} does not become ${role}`, { why: entered.why });
      isAskedAnew = true;
      await tools.reload(); // what kept it may be gone: a permit was given, a witness spoke
    }
    const says = trouble ?? changing;
    if (says !== undefined) tell(says);
    await clock.sleep(lookMs, signal);
  }
}

/** Of the fact as it is now, and not of an earlier text. */
async function isJudged(tools: RoleTools): Promise<boolean> {
  return (await tools.gate())?.fact === (await tools.readFact()).sha256;
}
