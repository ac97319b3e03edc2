import { Failure } from '../errors.ts';
import { compareEpochs, formatEpoch, isEpoch, type Epoch } from './epoch.ts';
import { isQuota, type Quota } from './inbox-quota.ts';
import { isKeysId, keysId, linesOf, type KnownPeer } from './pairing.ts';

/** What the receiver goes by; signed by root, written at each transition. */
export interface Gate {
  readonly format: 1;
  readonly role: 'active' | 'passive' | 'suspended';
  readonly certname: string;
  readonly epoch: Epoch;
  /** The peer's certname, where one is known. */
  readonly peer?: string;
  /** The key with which the peer's root signs, base64 DER: known together with `peer`. */
  readonly peerKey?: string;
  /** While the peer changes its keys: the other one with which it may sign. */
  readonly nextPeerKey?: string | undefined;
  /** Ids of the peer's keys that are let in: a connection that logged in with others gets nothing. */
  readonly logins?: readonly string[];
  /** ISO 8601. */
  readonly since: string;
  /** sha256 of the fact file's text that this role was judged from: any edit closes the gate until it is judged anew. */
  readonly fact: string;
  /** Why nothing is taken in for now. */
  readonly closed?: string;
  /** How much the inbox may hold. */
  readonly quota?: Quota;
  /** Id of the machine to which this state belongs: the gate of a copy answers nobody. */
  readonly machine?: string;
}

/** The caller's connection logged in when its key was narrowed, or with a key that is known no more: a new login may be let in. */
export class StaleLogin extends Failure {
  constructor(why: string, where?: string) {
    super('refused', 'refused', { why, ...(where === undefined ? {} : { where }) });
  }
}

/** In the inbox: the last caller who claimed to be active while this master is. */
export const rivalName = 'rival.json';

export type Entry =
  { readonly open: true } | { readonly open: false; readonly class: 'refused' | 'latched'; readonly why: string };

const refused = (why: string): Entry => ({ open: false, class: 'refused', why });
const latched = (why: string): Entry => ({ open: false, class: 'latched', why });

export const noRoleYet = 'this master has no role yet: on it, type: pe-failover install';

/** May this caller write now? `factSha256` is of the fact file as it is at this moment; undefined: it cannot be read. */
export function judgeEntry(
  gate: Gate | undefined,
  factSha256: string | undefined,
  caller: { peer: string; epoch: Epoch },
): Entry {
  if (gate === undefined) return refused(noRoleYet);
  const order = compareEpochs(caller.epoch, gate.epoch);
  const both = `your epoch is ${formatEpoch(caller.epoch)}, mine is ${formatEpoch(gate.epoch)}`;
  if (order === 'lower')
    return latched(`${both}: ${gate.certname} was promoted after you. ${wayOut(order, gate.role)}`);
  if (order === 'conflict')
    return latched(`${both}: both masters were promoted without knowing of each other. ${wayOut(order, gate.role)}`);
  if (gate.role === 'active') return refused(`${gate.certname} is active itself (${both})`);
  if (gate.role === 'suspended') return refused(`${gate.certname} is suspended: its fact file names no role`);
  if (gate.closed !== undefined) return refused(`${gate.certname} is closed: ${gate.closed}`);
  if (factSha256 === undefined)
    return refused(
      `the fact file of ${gate.certname} cannot be read at this moment: it is missing, or was just made anew`,
    );
  if (factSha256 !== gate.fact)
    return refused(`the fact file of ${gate.certname} was just edited: its new role is not settled yet`);
  if (gate.peer !== undefined && gate.peer !== caller.peer)
    return refused(`${gate.certname} takes drops from ${gate.peer}, not from ${caller.peer}`);
  return { open: true };
}

/** What a gate file says of the other master. */
export const peerIn = (peer: KnownPeer | undefined): Pick<Gate, PeerField> =>
  peer === undefined
    ? {}
    : {
        peer: peer.certname,
        peerKey: peer.signingKey,
        nextPeerKey: peer.next?.signingKey,
        logins: linesOf(peer).map(keysId),
      };

type PeerField = 'peer' | 'peerKey' | 'nextPeerKey' | 'logins';

/** Whether a gate file says just this of the other master. */
export function saysOfPeer(gate: Gate, peer: KnownPeer): boolean {
  const words = peerIn(peer);
  return (
    (['peer', 'peerKey', 'nextPeerKey'] as const).every((name) => gate[name] === words[name]) &&
    String(gate.logins) === String(words.logins)
  );
}

/** Those with which the peer may sign its requests. */
export const peerKeysOf = ({ peerKey, nextPeerKey }: Gate): string[] =>
  [peerKey, nextPeerKey].filter((key) => key !== undefined);

/** The same, of an earlier gate file. */
export const peerOfGate = (gate: Gate | undefined): Pick<Gate, PeerField> => ({
  ...(gate?.peer === undefined ? {} : { peer: gate.peer }),
  ...(gate?.peerKey === undefined ? {} : { peerKey: gate.peerKey }),
  ...(gate?.nextPeerKey === undefined ? {} : { nextPeerKey: gate.nextPeerKey }),
  ...(gate?.logins === undefined ? {} : { logins: gate.logins }),
});

/** What an overtaken active's admin does; `role`: what the other master is now. */
export function wayOut(order: 'lower' | 'conflict', role: Gate['role']): string {
  if (order === 'conflict')
    return 'Demote both, then promote the one whose data you want: set pe_failover_mode: passive in both fact files, then active in one';
  if (role === 'active') return 'Demote this one: set pe_failover_mode: passive in its fact file';
  return 'To go on with this one as the active, set pe_failover_mode: passive in its fact file, and active again once status says passive';
}

/** Both say that they are active, and neither is older: an admin must demote one. */
export const isRival = (gate: Gate | undefined, caller: Epoch): boolean =>
  gate?.role === 'active' && compareEpochs(caller, gate.epoch) !== 'lower';

/** Throws `bad-data`. */
export function parseGate(value: unknown): Gate {
  if (isGate(value)) return value;
  throw new Failure('bad-data', 'gate refused', { why: 'it is malformed' });
}

export function isGate(value: unknown): value is Gate {
  if (typeof value !== 'object' || value === null) return false;
  const gate = value as Partial<Record<keyof Gate, unknown>>;
  const optionalText = (field: unknown): boolean => field === undefined || typeof field === 'string';
  return (
    gate.format === 1 &&
    ['active', 'passive', 'suspended'].some((role) => role === gate.role) &&
    typeof gate.certname === 'string' &&
    typeof gate.since === 'string' &&
    typeof gate.fact === 'string' &&
    isEpoch(gate.epoch) &&
    optionalText(gate.peer) &&
    optionalText(gate.peerKey) &&
    optionalText(gate.nextPeerKey) &&
    (gate.logins === undefined || isLogins(gate.logins)) &&
    optionalText(gate.closed) &&
    optionalText(gate.machine) &&
    (gate.quota === undefined || isQuota(gate.quota))
  );
}

const isLogins = (value: unknown): boolean =>
  Array.isArray(value) && value.every((id) => typeof id === 'string' && isKeysId(id));
