import { rename } from 'node:fs/promises';
import { isErrno } from '../errors.ts';
import { formatPairing, keysId, type Pairing } from '../rules/pairing.ts';
import { heardAccepts, isOfKeys, proofText, type NextKeys, type Rotation } from '../rules/rotation.ts';
import type { Paths } from '../rules/paths.ts';
import type { Exec } from '../system/exec.ts';
import { readIfThere, removeIfThere, syncDirectory, writeFileAtomic } from '../system/files.ts';
import { generateSigningKey, loadSigner, type Signer } from '../system/sign.ts';
import { createState, type State } from '../system/state.ts';
import { makeTransferKey, readPublicKey } from '../system/transfer-key.ts';

/** This master's two keys, and how they change: `pe-failover rotate-keys` begins it, the agent goes on with it. */
export interface OwnKeys {
  /** Both are of the keys in use: after a switch of the next ones. */
  readonly signer: Signer;
  readonly pairing: Pairing;
  rotation(): Promise<Rotation | undefined>;
  /** Makes the next keys, once; the change that goes on where there is one. */
  begin(exec: Exec): Promise<Rotation>;
  /** For the other master; undefined where no change goes on. */
  next(): Promise<NextKeys | undefined>;
  /** By its signed word the other master lets these keys in. */
  heard(accepts: readonly string[]): Promise<void>;
  /**
   * Takes the next keys into use where the other master lets them in, and goes on with what was interrupted. `signAnew`: all
   * that the old key signed and that may still be read. Nothing may be sent meanwhile.
   */
  switchWhereDue(signAnew: () => Promise<void>): Promise<boolean>;
}

/** The points of a switch, in their order. */
export const switchPoints = [
  'switching',
  'signing key switched',
  'transfer key switched',
  'files switched',
  'signed anew',
  'switched',
] as const;
export type SwitchPoint = (typeof switchPoints)[number];

export interface OwnKeysParts {
  readonly paths: Pick<Paths, 'keys' | 'state'>;
  readonly certname: string;
  readonly hostKeyPath: string;
  readonly now: () => Date;
  readonly progress?: (point: SwitchPoint) => void;
}

interface KeyPair {
  readonly signer: Signer;
  readonly transferKey: string;
}

const installHint = 'Type: pe-failover install';
const sshdHint = 'Is sshd installed? Its host keys are made by: ssh-keygen -A';

/** Throws `config` where nothing is installed. */
export async function openOwnKeys(parts: OwnKeysParts): Promise<OwnKeys> {
  const { paths, certname, now } = parts;
  const state = createState(paths.state);
  const hostKey = await readPublicKey(parts.hostKeyPath, sshdHint);
  const lineOf = (pair: KeyPair): Pairing => ({
    ...{ certname, hostKey, transferKey: pair.transferKey, signingKey: pair.signer.publicKey },
  });
  let used = await loadUsed(paths.keys);
  const rotation = (): Promise<Rotation | undefined> => standing(paths.keys, state, lineOf);
  return {
    ...inUse({ certname, hostKey }, () => used),
    rotation,
    begin: async (exec) => (await rotation()) ?? (await begin(parts, state, lineOf, exec)),
    next: async () => {
      const stage = (await rotation())?.stage;
      if (stage === undefined || stage === 'switching') return undefined;
      return proven(lineOf, stage === 'switched' ? used : await load(paths.keys.next));
    },
    heard: async (accepts) => note(state, await rotation(), accepts, now().toISOString()),
    switchWhereDue: async (signAnew) => {
      const open = await rotation();
      if (open?.stage !== 'acknowledged' && open?.stage !== 'switching') return false;
      await switchKeys(parts, state, open, async () => {
        used = await loadUsed(paths.keys);
        parts.progress?.('files switched');
        await signAnew();
      });
      return true;
    },
  };
}

/** What is handed out once, and follows a switch. */
const inUse = (
  place: Pick<Pairing, 'certname' | 'hostKey'>,
  used: () => KeyPair,
): Pick<OwnKeys, 'signer' | 'pairing'> => ({
  signer: {
    get publicKey() {
      return used().signer.publicKey;
    },
    sign: (purpose, text) => used().signer.sign(purpose, text),
  },
  pairing: {
    ...place,
    get transferKey() {
      return used().transferKey;
    },
    get signingKey() {
      return used().signer.publicKey;
    },
  },
});

async function begin(
  { paths, now }: OwnKeysParts,
  state: State,
  lineOf: (pair: KeyPair) => Pairing,
  exec: Exec,
): Promise<Rotation> {
  const from = keysId(lineOf(await loadUsed(paths.keys)));
  const to = keysId(lineOf(await makeNext(paths.keys, exec)));
  const begun: Rotation = { stage: 'told', from, to, at: now().toISOString() };
  await state.write('rotation', begun);
  return begun;
}

async function switchKeys(
  parts: OwnKeysParts,
  state: State,
  open: Rotation,
  takeIntoUse: () => Promise<void>,
): Promise<void> {
  const at = parts.now().toISOString();
  await state.write('rotation', { ...open, stage: 'switching', at } satisfies Rotation);
  parts.progress?.('switching');
  await exchangeFiles(parts);
  await takeIntoUse();
  parts.progress?.('signed anew');
  await state.write('rotation', { ...open, stage: 'switched', at } satisfies Rotation);
  parts.progress?.('switched');
}

/** By the files, and not by what was read of them before: a command looks while the agent exchanges them. */
async function standing(
  keys: Paths['keys'],
  state: State,
  lineOf: (pair: KeyPair) => Pairing,
): Promise<Rotation | undefined> {
  const read = (): Promise<Rotation | undefined> => state.read<Rotation>('rotation');
  for (let open = await read(); open !== undefined;) {
    const hasNext = !(await isMissing(keys.next.signing));
    if (isOfKeys(open, keysId(lineOf(await loadUsed(keys))), hasNext)) return open;
    const now = await read();
    if (now?.stage === open.stage) return undefined;
    open = now;
  }
  return undefined;
}

async function note(state: State, open: Rotation | undefined, accepts: readonly string[], at: string): Promise<void> {
  if (open === undefined) return;
  const now = heardAccepts(open, accepts, at);
  if (now === 'over') await state.remove('rotation');
  else if (now !== open) await state.write('rotation', now);
}

async function load({ transfer, signing }: Paths['keys']['next']): Promise<KeyPair> {
  return {
    signer: await loadSigner(signing),
    transferKey: await readPublicKey(`${transfer}.pub`, installHint),
  };
}

// In the middle of a switch, or after a killed one, the public key is still to be moved.
async function loadUsed(keys: Paths['keys']): Promise<KeyPair> {
  const isMoving = (await isMissing(`${keys.transfer}.pub`)) && !(await isMissing(`${keys.next.transfer}.pub`));
  const transferKey = await readPublicKey(`${isMoving ? keys.next.transfer : keys.transfer}.pub`, installHint);
  return { signer: await loadSigner(keys.signing), transferKey };
}

const isMissing = async (path: string): Promise<boolean> => (await readIfThere(path)) === undefined;

async function moveIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT')) throw error;
  });
}

function proven(lineOf: (pair: KeyPair) => Pairing, pair: KeyPair): NextKeys {
  const pairing = formatPairing(lineOf(pair));
  return { pairing, proof: pair.signer.sign('message', proofText(pairing)) };
}

// What a killed begin left was told to nobody.
async function makeNext({ next }: Paths['keys'], exec: Exec): Promise<KeyPair> {
  for (const path of [next.transfer, `${next.transfer}.pub`, next.signing]) await removeIfThere(path);
  await makeTransferKey(exec, next.transfer);
  await writeFileAtomic(next.signing, generateSigningKey(), { mode: 0o600 });
  return await load(next);
}

/**
 * The other master lets in either key of both kinds, so any mixture of them is good. INVARIANT: a public key of ssh never lies
 * beside the private key of another pair, because ssh would offer the one and sign with the other.
 */
async function exchangeFiles({ paths: { keys }, progress }: OwnKeysParts): Promise<void> {
  await moveIfThere(keys.next.signing, keys.signing);
  progress?.('signing key switched');
  const isMoved = await isMissing(keys.next.transfer);
  if (!isMoved) await removeIfThere(`${keys.transfer}.pub`);
  await moveIfThere(keys.next.transfer, keys.transfer);
  progress?.('transfer key switched');
  await moveIfThere(`${keys.next.transfer}.pub`, `${keys.transfer}.pub`);
  await syncDirectory(keys.directory);
}
