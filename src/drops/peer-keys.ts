import { toFailure } from '../errors.ts';
import { saysOfPeer, peerIn } from '../rules/gate.ts';
import { formatPairing, parsePairing, type KnownPeer } from '../rules/pairing.ts';
import {
  forgotten,
  hear,
  oldLogins,
  proofText,
  type KeyWords,
  type NextKeys,
  type PeerState,
} from '../rules/rotation.ts';
import { inTurn } from '../system/in-turn.ts';
import type { JobLog } from '../system/log.ts';
import type { LoginSessions } from '../system/login-sessions.ts';
import { fingerprint, verifySignature } from '../system/sign.ts';
import type { State } from '../system/state.ts';
import type { AuthorizedKeys } from './authorized-keys.ts';
import type { GateFile } from './gate-file.ts';
import { knownPeer } from './greeter.ts';

/** Follows the other master while it changes its keys. `state/peer.json` says first what `authorized_keys` and the gate file then do. */
export interface PeerKeys {
  /** Words that the known master signed; `byNext`: with its next key. */
  hear(words: KeyWords, byNext: boolean): Promise<void>;
  /**
   * Forgets the old keys where the next ones are in use and `mayForget` says so of the time when that was first seen, and lets in
   * just those keys that are known. True when something changed.
   */
  settle(mayForget: (since: string) => Promise<boolean>): Promise<boolean>;
  /** From now on no login of before counts: this master was promoted, and the key of the other one is narrowed. */
  narrowed(): Promise<void>;
  /** Ends what logged in before the old keys were forgotten, or narrowed. */
  endOldSessions(end: LoginSessions['endOld']): Promise<void>;
}

export interface PeerKeysParts {
  readonly state: State;
  readonly keys: AuthorizedKeys;
  readonly gate: GateFile;
  readonly log: JobLog;
  readonly now: () => Date;
  readonly progress?: (point: FollowPoint) => void;
}

/** The points of following, in their order; the last two twice. */
export const followPoints = ['next keys noted', 'next use noted', 'old keys forgotten', 'logins changed'] as const;
export type FollowPoint = (typeof followPoints)[number];

export function createPeerKeys(parts: PeerKeysParts): PeerKeys {
  const turn = inTurn(); // a greeting and a look around may come at once
  return {
    hear: (words, byNext) => turn(() => note(parts, words, byNext)),
    narrowed: () => turn(() => narrowed(parts)),
    endOldSessions: (end) => turn(() => endOldSessions(parts, end)),
    settle: (mayForget) =>
      turn(async () => {
        await forgetWhereUsed(parts, mayForget);
        return await follow(parts);
      }),
  };
}

async function note({ state, log, now, progress }: PeerKeysParts, words: KeyWords, byNext: boolean): Promise<void> {
  const known = await state.read<PeerState>('peer');
  if (known === undefined) return;
  const { next, ...others } = words;
  const proven = next !== undefined && isProven(next, parsePairing(known.line)) ? { next } : {};
  const heard = hear(known, { ...others, ...proven }, byNext, now().toISOString());
  if (heard === known) return;
  await state.write('peer', heard);
  progress?.(heard.used === undefined ? 'next keys noted' : 'next use noted');
  const { certname, signingKey } = parsePairing(heard.next ?? heard.line);
  if (heard.used === undefined)
    log.success(`${certname} changes its keys: those with signing key ${fingerprint(signingKey)} are let in, too`);
}

/** Whoever tells keys must have them, and stay who it is. */
function isProven({ pairing, proof }: NextKeys, known: KnownPeer): boolean {
  try {
    const named = parsePairing(pairing);
    const isExact = formatPairing(named) === pairing && named.certname === known.certname;
    return isExact && verifySignature(named.signingKey, 'message', proofText(pairing), proof);
  } catch (error) {
    if (toFailure(error).class === 'bug') throw error;
    return false;
  }
}

async function forgetWhereUsed(
  { state, log, now, progress }: PeerKeysParts,
  mayForget: (since: string) => Promise<boolean>,
): Promise<void> {
  const known = await state.read<PeerState>('peer');
  if (known?.used === undefined || !(await mayForget(known.used))) return;
  const left = forgotten(known, now());
  await state.write('peer', left);
  progress?.('old keys forgotten');
  const { certname, signingKey } = parsePairing(left.line);
  log.success(
    `${certname} has changed its keys: signing key ${fingerprint(signingKey)}. The old ones get nothing any more`,
  );
}

async function narrowed({ state, now }: PeerKeysParts): Promise<void> {
  const known = await state.read<PeerState>('peer');
  if (known !== undefined) await state.write('peer', { ...known, ends: oldLogins(now()) });
}

async function endOldSessions({ state, now }: PeerKeysParts, end: LoginSessions['endOld']): Promise<void> {
  const known = await state.read<PeerState>('peer');
  if (known?.ends === undefined) return;
  const [before, by] = [new Date(known.ends.before), new Date(known.ends.by)];
  if ((await end(before, now() >= by)) > 0 || now() < before) return;
  const { ends, ...left } = (await state.read<PeerState>('peer')) ?? known; // an admin may have named another one meanwhile
  if (ends?.before === known.ends.before) await state.write('peer', left);
}

// First who may log in, then the gate: what the greeting says to be let in is.
async function follow({ state, keys, gate, progress }: PeerKeysParts): Promise<boolean> {
  const peer = await knownPeer(state);
  const now = await gate.read();
  if (peer === undefined || now?.peer !== peer.certname || saysOfPeer(now, peer)) return false;
  await keys.rewrite(peer);
  await gate.update(() => peerIn(peer));
  progress?.('logins changed');
  return true;
}
