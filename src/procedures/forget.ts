import type { LocalAgent } from '../agent/local-agent.ts';
import type { AgentListsBook } from '../drops/agent-lists-book.ts';
import type { Greeting } from '../drops/peer.ts';
import type { ForgottenSpare, SpareTraces } from '../drops/spare-traces.ts';
import { Failure, toFailure } from '../errors.ts';
import { makeEdits } from '../puppet/group-edits.ts';
import type { HostCertificates } from '../puppet/host-certificate.ts';
import type { Classifier } from '../puppet/classifier.ts';
import { planDisable, planRemoval } from '../rules/agent-lists.ts';
import { bad, good, note, type Finding } from '../rules/findings.ts';
import { isSamePlace, spokenEdit, type GroupEdit } from '../rules/group-edits.ts';
import type { Group } from '../rules/groups.ts';
import type { Role } from '../rules/role.ts';
import type { Procedure, ProcedureStep } from './procedure.ts';

export interface ForgetParts {
  /** As it was typed, in lower case. */
  readonly host: string;
  /** Certname of this master. */
  readonly own: string;
  readonly traces: SpareTraces;
  readonly role: () => Promise<Role>;
  /** Throws where it does not answer. */
  readonly greet: (signal: AbortSignal) => Promise<Pick<Greeting, 'gate'>>;
  readonly agent: LocalAgent;
  /** Ends what it has logged in with here; nobody new logs in any more. */
  readonly shutOut: () => Promise<void>;
  readonly isShutOut: () => Promise<boolean>;
  /** Of PE. */
  readonly groups?: { readonly classifier: Pick<Classifier, 'groups' | 'update'>; readonly lists: AgentListsBook };
  /** Asked for with `--clean-certificate`. */
  readonly certificate?: HostCertificates;
  /** What such a host has on its disk, as an admin finds it there. */
  readonly secrets: readonly string[];
}

/** Takes everything of a spare that is gone out of its active. */
export function forgetSpare(parts: ForgetParts): Procedure {
  const { host, groups, certificate } = parts;
  const steps = [noteStep(parts), factStep(parts), keysStep(parts), acknowledgedStep(parts)];
  return {
    ...{ verb: 'forget', subject: host, title: `Forget ${host}: a spare that is gone for good` },
    consequences: [
      'Nothing is sent to it any more, and nothing is taken from it. To have it as a spare again, it is installed anew.',
      'What this master keeps for itself stays: its archive, its CA, its databases.',
    ],
    probes: [() => probeRole(parts), (signal) => probeAlive(parts, signal), (signal) => probeTraces(parts, signal)],
    steps: [
      ...steps,
      ...(groups === undefined ? [] : [groupsStep(parts, groups)]),
      ...(certificate === undefined ? [] : [certificateStep(parts, certificate)]),
      endStep(parts),
    ],
    pointOfNoReturn: 'acknowledged',
    left: () => Promise.resolve(leftOf(parts)),
  };
}

async function probeRole({ own, host, role }: ForgetParts): Promise<Finding[]> {
  const now = await role();
  if (now.role !== 'active') return [bad(`this master is ${now.role}`, 'Type it on the active')];
  return host === own ? [bad('that is this master itself', 'Name the spare that is gone')] : [];
}

async function probeAlive({ host, traces, greet }: ForgetParts, signal: AbortSignal): Promise<Finding[]> {
  if ((await traces.spareCalled(host)) === undefined) return [];
  try {
    const { gate } = await greet(signal);
    const hint = `To end its service, type on ${host}: pe-failover uninstall --purge; then type this again`;
    return [bad(`${host} is alive: it answers, and is ${gate.role}`, hint, '--force')];
  } catch (error) {
    signal.throwIfAborted();
    const { why, message } = toFailure(error);
    return [good(`${host} does not answer: ${why ?? message}`)];
  }
}

async function probeTraces(parts: ForgetParts, signal: AbortSignal): Promise<Finding[]> {
  const { host, traces, certificate } = parts;
  const spare = await traces.spareCalled(host);
  const name = spare ?? host;
  const found: Finding[] = [];
  if (spare !== undefined) found.push(note(`${name} is the spare that this master knows: ${await inFacts(traces)}`));
  const [edits, trouble] = await lookUp(parts, name, signal);
  for (const edit of edits) found.push(note(`node group ${spokenEdit(edit)}`));
  if (certificate !== undefined && (await certificate.isThere(name)))
    found.push(note(`the certificate of ${name} is revoked and removed`));
  if (found.length === 0 && trouble === undefined)
    return [bad(`nothing here names ${host}`, 'See which spare there is: pe-failover status')];
  return trouble === undefined ? found : [...found, trouble];
}

const inFacts = async (traces: SpareTraces): Promise<string> =>
  [...(await traces.facts()), 'its keys', 'what it has acknowledged'].join(', ');

async function lookUp(
  { groups, own }: ForgetParts,
  name: string,
  signal: AbortSignal,
): Promise<[GroupEdit[], Finding | undefined]> {
  if (groups === undefined) return [[], undefined];
  try {
    const written = await groups.lists.read();
    return [editsFor(await groups.classifier.groups(signal), { own, name }, written), undefined];
  } catch (error) {
    signal.throwIfAborted();
    const says = `the node groups cannot be read, and may name it: ${toFailure(error).message}`;
    return [[], note(says, 'The rest is done all the same')];
  }
}

/** What `enable` wrote for it is as it was before; of all other lists, and pins, it is taken out. */
function editsFor(
  tree: readonly Group[],
  { own, name }: { readonly own: string; readonly name: string },
  written: Awaited<ReturnType<AgentListsBook['read']>>,
): GroupEdit[] {
  const restored = written?.host === name ? planDisable(tree, { own, spare: name }, written.edits).edits : [];
  const removed = planRemoval(tree, name).filter((edit) => !restored.some((one) => isSamePlace(one, edit)));
  return [...restored, ...removed];
}

const noteStep = ({ host, traces }: ForgetParts): ProcedureStep => ({
  name: 'note',
  says: 'note what is known of it, to be able to take it back',
  do: () => traces.note.write(host),
  undo: () => traces.note.remove(),
  isDone: async () => (await traces.note.read())?.host === host,
});

/** Of the steps below: nothing to do where the host is not the spare of now. */
async function spareNote({ traces }: ForgetParts): Promise<(ForgottenSpare & { readonly spare: string }) | undefined> {
  const known = await traces.note.read();
  return known?.spare === undefined ? undefined : { ...known, spare: known.spare };
}

const factStep = (parts: ForgetParts): ProcedureStep => ({
  name: 'fact',
  says: 'take it out of the fact: this master goes on as an active without a spare',
  do: () => parts.traces.unsetFacts(),
  undo: async () => {
    const known = await spareNote(parts);
    if (known !== undefined) await parts.traces.setFactsAgain(known);
  },
  isDone: async () => (await spareNote(parts)) === undefined || (await parts.traces.facts()).length === 0,
});

const keysStep = (parts: ForgetParts): ProcedureStep => ({
  name: 'keys',
  says: 'forget its keys, and end its connections: it is let in no more',
  do: async (doing) => {
    const { traces, agent, shutOut } = parts;
    const runs = await agent.untilIdle(doing);
    await traces.forgetKeys();
    await shutOut();
    if (runs) await agent.closeGate(doing);
    else await traces.closeGate();
  },
  undo: async () => {
    const known = await spareNote(parts);
    if (known === undefined) return;
    await parts.traces.knowAgain(known);
    await parts.agent.reload();
  },
  isDone: async () => {
    if ((await spareNote(parts)) === undefined) return true;
    const { traces, isShutOut } = parts;
    return !(await traces.isKnown()) && (await isShutOut()) && (await traces.gateNames()) === undefined;
  },
});

const acknowledgedStep = (parts: ForgetParts): ProcedureStep => ({
  name: 'acknowledged',
  says: 'forget what it has acknowledged: the next spare gets everything',
  do: () => parts.traces.forgetAcknowledged(),
  isDone: async () => (await spareNote(parts)) === undefined || !(await parts.traces.hasAcknowledged()),
});

function groupsStep(parts: ForgetParts, { classifier, lists }: NonNullable<ForgetParts['groups']>): ProcedureStep {
  const { host, own, traces } = parts;
  const pending = async (signal: AbortSignal): Promise<GroupEdit[]> => {
    const name = (await traces.note.read())?.spare ?? host;
    return editsFor(await classifier.groups(signal), { own, name }, await lists.read());
  };
  return {
    name: 'node groups',
    says: 'take it out of the node groups: pins, and the lists of where agents go',
    do: async ({ signal }) => {
      await allTheSame('the node groups still name it', signal, async () => {
        await makeEdits(classifier, await pending(signal), signal);
        const name = (await traces.note.read())?.spare ?? host;
        if ((await lists.read())?.host === name) await lists.settle([]);
      });
    },
    isDone: () => Promise.resolve(false), // what it does twice changes nothing
  };
}

function certificateStep({ host, traces }: ForgetParts, certificate: HostCertificates): ProcedureStep {
  const name = async (): Promise<string> => (await traces.note.read())?.spare ?? host;
  return {
    name: 'certificate',
    says: 'revoke and remove its certificate',
    do: async ({ signal }) =>
      allTheSame('its certificate is not revoked', signal, async () => certificate.clean(await name(), signal)),
    isDone: async () => !(await certificate.isThere(await name())),
  };
}

const endStep = ({ traces }: ForgetParts): ProcedureStep => ({
  name: 'end',
  says: 'remove that note',
  do: () => traces.note.remove(),
  isDone: async () => (await traces.note.read()) === undefined,
});

/** A service that is down must not keep a thief in. */
async function allTheSame(what: string, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    signal.throwIfAborted();
    const { message } = toFailure(error);
    throw new Failure('incomplete', what, { why: message, hint: 'Type the same again when that is mended' });
  }
}

function leftOf({ host, certificate, secrets }: ForgetParts): string[] {
  return [
    `If the disk of ${host} still exists, delete what is secret on it:`,
    ...secrets.map((secret) => `on it, ${secret}`),
    `If somebody else may have had that disk, he has the CA's key: make a new CA, and new passwords.`,
    ...(certificate === undefined
      ? [`Its certificate, where it has one, stays valid: pe-failover forget ${host} --clean-certificate`]
      : []),
    `What PuppetDB has of it: puppet node purge ${host}`,
    'Where Puppet writes the fact of this master, take the spare out there, too; and out of DNS and load balancers.',
  ];
}
