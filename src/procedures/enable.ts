import type { AgentListsBook } from '../drops/agent-lists-book.ts';
import { toFailure } from '../errors.ts';
import type { Classifier } from '../puppet/classifier.ts';
import { areMade, makeEdits } from '../puppet/group-edits.ts';
import { compilersOf, planDisable, planEnable, type ListsPlan, type Topology } from '../rules/agent-lists.ts';
import { bad, good, note, type Finding } from '../rules/findings.ts';
import { mergeEdits, spokenEdit, turnedRound, type GroupEdit } from '../rules/group-edits.ts';
import type { Group } from '../rules/groups.ts';
import { findNative } from '../rules/native-dr.ts';
import type { Role } from '../rules/role.ts';
import type { Greeting } from '../drops/peer.ts';
import type { Probe, Procedure, ProcedureStep } from './procedure.ts';

export interface ListsParts {
  /** Certname of the other master, in lower case. */
  readonly host: string;
  readonly own: string;
  readonly role: () => Promise<Role>;
  readonly greet: (signal: AbortSignal) => Promise<Pick<Greeting, 'gate'>>;
  readonly classifier: Pick<Classifier, 'groups' | 'update'>;
  readonly lists: AgentListsBook;
}

export interface EnableParts extends ListsParts {
  /** Undefined: not typed. */
  readonly topology: Topology | undefined;
  readonly skipAgentConfig: boolean;
  readonly build: string;
}

export const deployLine =
  "puppet job run --no-enforce-environment --query 'nodes {deactivated is null and expired is null}'";

/** Tells the agents of PE that they may go to the spare when this master does not answer. */
export function enableSpare(parts: EnableParts): Procedure {
  const { host, own, topology = 'mono', skipAgentConfig, build } = parts;
  const plan = (groups: readonly Group[]): ListsPlan =>
    planEnable(groups, { own, spare: host, topology, skipAgentConfig, build });
  return {
    ...{ verb: 'enable', subject: host, title: `Enable ${host}: agents go there when ${own} does not answer` },
    consequences: [
      'Agents ask the masters of these lists in their order. The spare gets the same lists with the node groups, and',
      'they stay as they are when it is promoted.',
    ],
    probes: [
      () => probeRole(parts),
      (signal) => probeSpare(parts, signal),
      (signal) => probeGroups(parts, signal),
      shown(parts, (groups) => plan(groups)),
    ],
    steps: listSteps(parts, (groups) => plan(groups).edits, mergeEdits),
    pointOfNoReturn: 'settle',
    left: () =>
      Promise.resolve([
        `Agents take it with their next run. Those that use cached catalogs (direct Puppet) take it when you type: ${deployLine}`,
        `To see that it works, on any node: puppet agent -t --noop --server_list=${host}`,
        'In puppet.conf of agents, server and ca_server must not stand beside server_list',
      ]),
  };
}

/** Takes that back. */
export function disableSpare(parts: ListsParts): Procedure {
  const { host, own, lists } = parts;
  const plan = async (groups: readonly Group[]): Promise<ListsPlan> => {
    const known = await lists.read();
    return planDisable(groups, { own, spare: host }, known?.host === host ? known.edits : undefined);
  };
  return {
    ...{ verb: 'disable', subject: host, title: `Disable ${host}: agents do not go there any more` },
    consequences: ['What enable wrote is as it was before it; a list that was edited since loses this host alone.'],
    probes: [() => probeRole(parts), () => probeWritten(parts), shown(parts, plan)],
    steps: listSteps(
      parts,
      async (groups) => (await plan(groups)).edits,
      () => [],
    ),
    pointOfNoReturn: 'settle',
    left: () =>
      Promise.resolve([
        `Agents take it with their next run. Those that use cached catalogs (direct Puppet) take it when you type: ${deployLine}`,
      ]),
  };
}

async function probeRole({ role, host, own }: ListsParts): Promise<Finding[]> {
  const now = await role();
  if (now.role !== 'active')
    return [bad(`this master is ${now.role}`, 'Type it on the active: its node groups come to the spare')];
  return host === own ? [bad('that is this master itself', 'Name the other one')] : [];
}

async function probeSpare({ host, greet, lists }: EnableParts, signal: AbortSignal): Promise<Finding[]> {
  const known = await lists.read();
  if (known !== undefined && known.host !== host)
    return [bad(`agents are told of ${known.host}`, `Type first: pe-failover disable ${known.host}`)];
  try {
    const { gate } = await greet(signal);
    if (gate.certname !== host)
      return [bad(`the spare is ${gate.certname}`, `Type: pe-failover enable ${gate.certname}`)];
    if (gate.role === 'passive' && gate.closed === undefined) return [good(`${host} is the spare, and answers`)];
    const says = `${host} is ${gate.role}${gate.closed === undefined ? '' : `: ${gate.closed}`}`;
    return [bad(says, `Look there: pe-failover status`, '--force')];
  } catch (error) {
    signal.throwIfAborted();
    return [bad(`${host} was not heard: ${toFailure(error).message}`, 'Look: pe-failover check', '--force')];
  }
}

async function probeGroups({ classifier, own, topology }: EnableParts, signal: AbortSignal): Promise<Finding[]> {
  const groups = await classifier.groups(signal);
  const native = findNative({ groups, own, databases: false });
  const compilers = compilersOf(groups, own);
  if (topology !== undefined || compilers.length === 0) return native;
  return [
    ...native,
    bad(
      `there are compilers: ${compilers.slice(0, 5).join(', ')}`,
      'Agents should go to these. Add --topology mono-with-compile, or mono if they are none',
    ),
  ];
}

async function probeWritten({ host, lists }: ListsParts): Promise<Finding[]> {
  const known = await lists.read();
  if (known?.host === host) return [good(`enable wrote ${known.edits.length} values`)];
  if (known !== undefined)
    return [bad(`enable wrote for ${known.host}, not for ${host}`, `Type: pe-failover disable ${known.host}`)];
  return [note('enable wrote nothing here: each list that names that host beside this master loses it')];
}

/** The change, before anything is changed. */
function shown({ classifier }: ListsParts, plan: (groups: readonly Group[]) => ListsPlan | Promise<ListsPlan>): Probe {
  return async (signal) => {
    const { edits, left } = await plan(await classifier.groups(signal));
    const lines = edits.length === 0 ? [good('the node groups are like this already')] : [];
    return [...lines, ...edits.map((edit) => note(spokenEdit(edit))), ...left.map((line) => note(line))];
  };
}

type Plan = (groups: readonly Group[]) => readonly GroupEdit[] | Promise<readonly GroupEdit[]>;

/** What stands afterwards as ours. */
type Settle = (standing: readonly GroupEdit[], made: readonly GroupEdit[]) => readonly GroupEdit[];

/** ORDER: what is made is noted first, so that it can be taken back whatever dies. */
function listSteps({ host, classifier, lists }: ListsParts, plan: Plan, settle: Settle): ProcedureStep[] {
  const signal = (): AbortSignal => AbortSignal.timeout(60_000);
  const going = async (): Promise<readonly GroupEdit[] | undefined> => (await lists.read())?.going;
  return [
    {
      name: 'note',
      says: 'note what is there now, to be able to take it back',
      do: async (doing) => lists.begin(host, await plan(await classifier.groups(doing.signal))),
      undo: () => lists.cancel(),
      isDone: async () => (await going()) !== undefined,
    },
    {
      name: 'node groups',
      says: 'change the lists in the node groups',
      do: async (doing) => makeEdits(classifier, (await going()) ?? [], doing.signal),
      undo: async (doing) => takeBack(classifier, (await going()) ?? [], doing.signal),
      isDone: async () => areMade(await classifier.groups(signal()), (await going()) ?? []),
    },
    {
      name: 'settle',
      says: 'keep the note for disable, or remove it',
      do: async () => {
        const known = await lists.read();
        if (known !== undefined) await lists.settle(settle(known.edits, known.going ?? []));
      },
      isDone: async () => (await going()) === undefined,
    },
  ];
}

/** Those alone that were made; what somebody made of them since is his. */
async function takeBack(
  classifier: ListsParts['classifier'],
  made: readonly GroupEdit[],
  signal: AbortSignal,
): Promise<void> {
  const groups = await classifier.groups(signal);
  await makeEdits(classifier, made.filter((edit) => areMade(groups, [edit])).map(turnedRound), signal);
}
