import { createHash } from 'node:crypto';
import { chmod, lstat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Failure } from '../errors.ts';
import { createEpochBook, noEpoch } from '../drops/epoch-book.ts';
import type { Paths } from '../rules/paths.ts';
import { setFacts } from '../rules/fact-text.ts';
import { isSamePairing, knownPeer, nameByAdmin } from '../drops/greeter.ts';
import { parsePairing, type Pairing } from '../rules/pairing.ts';
import type { Exec } from '../system/exec.ts';
import { openHostileTree } from '../system/beneath.ts';
import { readRole } from '../system/fact.ts';
import { ensureDirectory, readIfThere, writeFileAtomic, type Ownership } from '../system/files.ts';
import { generateSigningKey, loadSigner } from '../system/sign.ts';
import { createState } from '../system/state.ts';

/** One thing that an installation makes so, if it is not so already. */
export interface Change {
  /** As the admin reads it: "make /var/lib/pe_failover (0710)". */
  readonly what: string;
  isNeeded(): Promise<boolean>;
  make(): Promise<void>;
}

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
  readonly sampleConfig: string;
  readonly newEpochId: () => string;
}

/** Everything that an installation makes, in order. Running it again changes nothing. */
export function installChanges(parts: InstallParts, order: InstallOrder): Change[] {
  const { paths } = parts;
  return [
    ...(parts.system ? [transferUser(parts)] : []),
    ...directories(paths).map((directory) => directoryChange(parts, directory)),
    transferKey(parts),
    signingKey(parts),
    fileIfMissing(paths.config, parts.sampleConfig, 'configuration'),
    ...(order.role === 'active' ? hostKeyPin(parts, order) : []),
    order.role === 'active' ? oldSpareForgotten(parts, order) : activeNamed(parts, order.pairingLine),
    factChange(parts, order),
    epochChange(parts, order),
  ];
}

interface Directory {
  readonly path: string;
  readonly mode: number;
  readonly owner: 'root' | 'root:transfer' | 'transfer';
}

const streamsOfInbox = ['sync-certs', 'sync-files', 'nc-dump'];

/** The gate (transfer user) writes into the inbox alone, and reads what root put into state for it. */
function directories(paths: Paths): Directory[] {
  const rootOnly = [
    paths.streams,
    paths.locks,
    paths.holds,
    paths.journal,
    paths.outbox,
    paths.taken,
    paths.archive,
    paths.store,
    paths.keyFiles,
    paths.work,
  ];
  const inbox = ['', '/messages', ...streamsOfInbox.flatMap((stream) => [`/${stream}`, `/${stream}/ready`])];
  return [
    { path: dirname(paths.config), mode: 0o700, owner: 'root' },
    { path: paths.keys.directory, mode: 0o700, owner: 'root' },
    { path: dirname(paths.fact), mode: 0o755, owner: 'root' },
    { path: dirname(paths.events), mode: 0o700, owner: 'root' },
    { path: paths.data, mode: 0o710, owner: 'root:transfer' },
    { path: paths.state, mode: 0o710, owner: 'root:transfer' },
    { path: paths.receipts, mode: 0o750, owner: 'root:transfer' },
    ...inbox.map((name) => ({ path: `${paths.inbox}${name}`, mode: 0o700, owner: 'transfer' as const })),
    ...rootOnly.map((path) => ({ path, mode: 0o700, owner: 'root' as const })),
    { path: paths.home, mode: 0o755, owner: 'root' },
  ];
}

/** Where the drops of a stream arrive. */
export const makeInbox = (paths: Paths, stream: string, owner: Omit<Ownership, 'mode'>): Promise<void> =>
  makeInInbox(paths, `${stream}/ready`, { mode: 0o700, ...owner });

/** The transfer user may put a link anywhere below its inbox: nothing is made there by its path. */
async function makeInInbox({ inbox }: Pick<Paths, 'inbox'>, below: string, ownership: Ownership): Promise<void> {
  await using disposing = new AsyncDisposableStack();
  let tree = disposing.use(await openHostileTree(inbox));
  for (const name of below.split('/')) tree = disposing.use(await tree.make(name, ownership));
}

function directoryChange({ paths, ...parts }: InstallParts, { path, mode, owner }: Directory): Change {
  const inInbox = path.startsWith(`${paths.inbox}/`) ? path.slice(paths.inbox.length + 1) : undefined;
  const wanted = async (): Promise<Ownership> => {
    if (!parts.system) return { mode };
    const { uid, gid } = (await parts.transferIds()) ?? { uid: 0, gid: 0 };
    return owner === 'transfer' ? { mode, uid, gid } : { mode, uid: 0, gid: owner === 'root' ? 0 : gid };
  };
  return {
    what: `make ${path} (${mode.toString(8)}, ${owner.replace('transfer', parts.user)})`,
    isNeeded: async () => {
      const [found, { uid, gid }] = [await lstat(path).catch(() => undefined), await wanted()];
      if (found?.isDirectory() !== true || (found.mode & 0o7777) !== mode) return true;
      return (uid !== undefined && found.uid !== uid) || (gid !== undefined && found.gid !== gid);
    },
    make: async () =>
      inInbox === undefined ? ensureDirectory(path, await wanted()) : makeInInbox(paths, inInbox, await wanted()),
  };
}

function transferUser({ exec, paths, user, transferIds }: InstallParts): Change {
  return {
    what: `make the user ${user}, who takes drops in and owns nothing else`,
    isNeeded: async () => (await transferIds()) === undefined,
    make: async () => {
      // A shell, because forced commands run through it; "*" for a password, because sshd refuses a locked account.
      await exec({
        file: 'useradd',
        args: ['--system', '--user-group', '--home-dir', paths.home, '--no-create-home', '--shell', '/bin/sh', user],
        timeoutMs: 30_000,
      });
      await exec({ file: 'usermod', args: ['-p', '*', user], timeoutMs: 30_000 });
    },
  };
}

function transferKey({ exec, paths }: InstallParts): Change {
  const make = (type: readonly string[]): Promise<unknown> =>
    exec({
      file: 'ssh-keygen',
      args: ['-q', ...type, '-N', '', '-C', 'pe-failover', '-f', paths.keys.transfer],
      timeoutMs: 30_000,
    });
  const publicKey = `${paths.keys.transfer}.pub`;
  const isThere = async (path: string): Promise<boolean> => (await readIfThere(path)) !== undefined;
  return {
    what: `make the transfer key ${paths.keys.transfer}`,
    isNeeded: async () => !(await isThere(paths.keys.transfer)) || !(await isThere(publicKey)),
    make: async () => {
      if (await isThere(paths.keys.transfer)) {
        // Killed between the two files: ssh-keygen writes the private key first.
        const { stdout } = await exec({
          file: 'ssh-keygen',
          args: ['-y', '-f', paths.keys.transfer],
          timeoutMs: 30_000,
        });
        return await writeFileAtomic(publicKey, stdout, { mode: 0o644 });
      }
      await make(['-t', 'ed25519']).catch(() => make(['-t', 'ecdsa', '-b', '256'])); // FIPS refuses Ed25519
      await chmod(paths.keys.transfer, 0o600);
    },
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

/** The role and its peer are written into the fact; whatever else stands there is left alone. */
function factChange(parts: InstallParts, order: InstallOrder): Change {
  const { fact } = parts.paths;
  const peer: Record<string, string> =
    order.role === 'active'
      ? { pe_failover_passive_master: order.passiveMaster }
      : { pe_failover_key: order.pairingLine };
  const wanted = async (): Promise<string> =>
    setFacts((await readIfThere(fact)) ?? '', { pe_failover_mode: order.role, ...peer });
  return {
    what: `write pe_failover_mode: ${order.role} into the fact ${fact}`,
    isNeeded: async () => (await readIfThere(fact)) !== (await wanted()),
    make: async () => {
      const gid = parts.system ? (await parts.transferIds())?.gid : undefined;
      await writeFileAtomic(fact, await wanted(), { mode: 0o640, ...(gid === undefined ? {} : { uid: 0, gid }) });
    },
  };
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

/** This master's own pairing line, once its keys are there. */
export async function ownPairing(paths: Paths, certname: string, hostKeyPath: string): Promise<Pairing> {
  const transfer = await readKey(`${paths.keys.transfer}.pub`, 'Type: pe-failover install');
  const hostKey = await readKey(hostKeyPath, 'Is sshd installed? Its host keys are made by: ssh-keygen -A');
  const signer = await loadSigner(paths.keys.signing);
  return { certname, transferKey: transfer, signingKey: signer.publicKey, hostKey };
}

async function readKey(path: string, hint: string): Promise<string> {
  const text = await readIfThere(path);
  if (text === undefined) throw new Failure('config', 'key is missing', { where: path, hint });
  return text.trim().split(' ').slice(0, 2).join(' ');
}

export const hash8 = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8);
