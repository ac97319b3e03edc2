import { createHash } from 'node:crypto';
import { Failure } from '../errors.ts';
import { createAuthorizedKeys, type AuthorizedKeys } from '../drops/authorized-keys.ts';
import { createBinding } from '../drops/binding.ts';
import { createEpochBook, noEpoch } from '../drops/epoch-book.ts';
import type { Platform } from '../rules/defaults.ts';
import type { Paths } from '../rules/paths.ts';
import { isSamePairing, knownPeer, nameByAdmin } from '../drops/greeter.ts';
import { whyForeign, type Machine } from '../rules/machine.ts';
import { parsePairing, type Pairing } from '../rules/pairing.ts';
import { withFacts } from '../system/fact.ts';
import type { Exec } from '../system/exec.ts';
import { readRole } from '../system/fact.ts';
import { hasOwnership, readIfThere, writeFileAtomic, type Ownership } from '../system/files.ts';
import { generateSigningKey, loadSigner } from '../system/sign.ts';
import { createState } from '../system/state.ts';
import { makeTransferKey, readPublicKey } from '../system/transfer-key.ts';
import type { Change } from './change.ts';
import { factLinked } from './facter-link.ts';
import { directories } from './own-directories.ts';
import { transferAccount } from './transfer-account.ts';
import { webAccount } from './web-account.ts';

export type InstallOrder =
  | {
      readonly role: 'active';
      readonly passiveMaster: string;
      /** The name under which its host key is pinned. */
      readonly alias: string;
      readonly passiveHostKey: string | undefined;
      readonly renewHostKey: boolean;
    }
  | { readonly role: 'passive'; readonly pairingLine: string };

export interface InstallParts {
  readonly paths: Paths;
  readonly exec: Exec;
  /** Makes users and gives files away: root on its own machine only. */
  readonly system: boolean;
  /** Name of the transfer user. */
  readonly user: string;
  /** Its ids; asked again after it was made. */
  readonly transferIds: () => Promise<{ uid: number; gid: number } | undefined>;
  /** The launcher of this program. */
  readonly program: string;
  readonly sampleConfig: string;
  readonly newEpochId: () => string;
  readonly machine: Machine;
  readonly platform: Platform;
}

/** Everything that an installation makes, in order. Running it again changes nothing. */
export function installChanges(parts: InstallParts, order: InstallOrder): Change[] {
  const { paths } = parts;
  return [
    ...(parts.system ? [...transferAccount(parts), ...webAccount(parts)] : []),
    ...directories(parts),
    transferKey(parts),
    signingKey(parts),
    fileIfMissing(paths.config, parts.sampleConfig, 'configuration'),
    ...(order.role === 'active' ? hostKeyPin(parts, order) : []),
    order.role === 'active' ? oldSpareForgotten(parts, order) : activeNamed(parts, order.pairingLine),
    factChange(parts, order),
    ...(parts.platform === 'debian' ? [factLinked(paths)] : []),
    epochChange(parts, order),
    boundToMachine(parts),
    ...(order.role === 'passive' ? [doorOpened(parts, order.pairingLine)] : []),
  ];
}

function transferKey({ exec, paths }: InstallParts): Change {
  const path = paths.keys.transfer;
  const isThere = async (file: string): Promise<boolean> => (await readIfThere(file)) !== undefined;
  return {
    what: `make the transfer key ${path}`,
    isNeeded: async () => !(await isThere(path)) || !(await isThere(`${path}.pub`)),
    make: () => makeTransferKey(exec, path),
  };
}

const signingKey = ({ paths }: InstallParts): Change => ({
  what: `make the signing key ${paths.keys.signing}`,
  isNeeded: async () => (await readIfThere(paths.keys.signing)) === undefined,
  make: () => writeFileAtomic(paths.keys.signing, generateSigningKey(), { mode: 0o600 }),
});

const fileIfMissing = (path: string, content: string, name: string): Change => ({
  what: `write the ${name} ${path}`,
  isNeeded: async () => (await readIfThere(path)) === undefined,
  make: () => writeFileAtomic(path, content, { mode: 0o600 }),
});

function hostKeyPin({ paths }: InstallParts, order: Extract<InstallOrder, { role: 'active' }>): Change[] {
  const { alias, passiveHostKey, renewHostKey } = order;
  if (passiveHostKey === undefined) return [];
  const line = `${alias} ${passiveHostKey}`;
  const pinned = async (): Promise<string | undefined> =>
    ((await readIfThere(paths.keys.knownHosts)) ?? '').split('\n').find((one) => one.startsWith(`${alias} `));
  return [
    {
      what: `pin the host key of ${alias} in ${paths.keys.knownHosts}`,
      isNeeded: async () => {
        const known = await pinned();
        if (known === line) return false;
        if (known === undefined || renewHostKey) return true;
        const hint = `If ${alias} was reinstalled, add --renew-host-key`;
        throw new Failure('config', "the spare's host key is not the pinned one", { where: alias, hint });
      },
      make: () => writeFileAtomic(paths.keys.knownHosts, `${line}\n`, { mode: 0o600 }),
    },
  ];
}

/**
 * Another spare than the known one introduces itself anew: a machine of another host key, or one that an admin says was
 * installed anew. Before the fact is written: as long as that names the old spare, a crash repeats this.
 */
function oldSpareForgotten({ paths }: InstallParts, order: Extract<InstallOrder, { role: 'active' }>): Change {
  const state = createState(paths.state);
  const { passiveMaster, passiveHostKey, renewHostKey } = order;
  const isOther = async (known: Pairing): Promise<boolean> => {
    if (passiveHostKey !== undefined) return renewHostKey || isOtherHostKey(known.hostKey, passiveHostKey);
    const { role } = await readRole(paths.fact);
    return role.role === 'active' && role.passiveMaster !== undefined && role.passiveMaster !== passiveMaster;
  };
  return {
    what: 'forget the spare that was known: the new one introduces itself',
    isNeeded: async () => {
      const known = await knownPeer(state);
      return known !== undefined && (await isOther(known));
    },
    make: () => state.remove('peer'),
  };
}

/** A host has keys of several types, and the line names one of them. */
const isOtherHostKey = (known: string, shown: string): boolean =>
  known !== shown && known.split(' ')[0] === shown.split(' ')[0];

function activeNamed({ paths }: InstallParts, line: string): Change {
  const named = parsePairing(line);
  return {
    what: `remember ${named.certname} as the other master`,
    isNeeded: async () => !isSamePairing(await knownPeer(createState(paths.state)), named),
    make: async () => void (await nameByAdmin(paths, named)),
  };
}

/** The active's key may ask for the gate, and for nothing else. */
function doorOpened(parts: InstallParts, line: string): Change {
  const { paths, program } = parts;
  const active = parsePairing(line);
  const keys = async (): Promise<AuthorizedKeys> => {
    const ownership = await readByGate(parts);
    return createAuthorizedKeys({ path: paths.authorizedKeys, program, root: paths.root, ownership });
  };
  return {
    what: `let ${active.certname} bring drops in: write ${paths.authorizedKeys}`,
    isNeeded: async () => !(await (await keys()).isWritten(active, 'drops')),
    make: async () => void (await (await keys()).write(active, 'drops')),
  };
}

/** The role and its peer are written into the fact; whatever else stands there is left alone. */
function factChange(parts: InstallParts, order: InstallOrder): Change {
  const { fact } = parts.paths;
  const peer: Record<string, string> =
    order.role === 'active'
      ? { pe_failover_passive_master: order.passiveMaster }
      : { pe_failover_key: order.pairingLine };
  const wanted = async (): Promise<string> =>
    withFacts((await readIfThere(fact)) ?? '', { pe_failover_mode: order.role, ...peer }, fact);
  return {
    what: `write pe_failover_mode: ${order.role} into the fact ${fact}`,
    isNeeded: async () =>
      (await readIfThere(fact)) !== (await wanted()) ||
      (parts.system && !(await hasOwnership(fact, await readByGate(parts)))),
    make: async () => writeFileAtomic(fact, await wanted(), await readByGate(parts)),
  };
}

/** Of root's files that the transfer user reads. */
async function readByGate({ system, transferIds }: InstallParts): Promise<Ownership> {
  return system ? { mode: 0o640, uid: 0, gid: (await transferIds())?.gid ?? 0 } : { mode: 0o640 };
}

/** The first active settles epoch 1; a spare begins before all epochs. State that is there is never touched. */
function epochChange({ paths, newEpochId }: InstallParts, order: InstallOrder): Change {
  const state = createState(paths.state);
  const book = createEpochBook(state, () => new Date());
  return {
    what: order.role === 'active' ? 'begin epoch 1 as the active' : 'begin as a spare',
    isNeeded: async () => (await book.read()) === undefined,
    make: () => book.settle(order.role, order.role === 'active' ? { number: 1, id: newEpochId() } : noEpoch),
  };
}

/** A machine that takes the place of another, with a copy of its disk, goes on where that was. */
function boundToMachine({ paths, machine }: InstallParts): Change {
  const binding = createBinding(createState(paths.state));
  return {
    what: `bind the state here to this machine, ${machine.certname}`,
    isNeeded: async () => {
      const bound = await binding.read();
      return bound === undefined || whyForeign(bound, machine) !== undefined;
    },
    make: () => binding.bind(machine),
  };
}

/** This master's own pairing line, once its keys are there. */
export async function ownPairing(paths: Paths, certname: string, hostKeyPath: string): Promise<Pairing> {
  const transfer = await readPublicKey(`${paths.keys.transfer}.pub`, 'Type: pe-failover install');
  const hostKey = await readPublicKey(hostKeyPath, 'Is sshd installed? Its host keys are made by: ssh-keygen -A');
  const signer = await loadSigner(paths.keys.signing);
  return { certname, transferKey: transfer, signingKey: signer.publicKey, hostKey };
}

export const hash8 = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8);
