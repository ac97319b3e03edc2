import { Failure } from '../errors.ts';
import { fieldsOf, type Refuse } from './fields.ts';
import { isKeysId } from './pairing.ts';

/** What one master tells the other of keys, in its greeting or in a message, signed by its root. */
export interface KeyWords {
  /** The pairing line of the keys that it wants to use, or has just begun to use. */
  readonly next?: NextKeys;
  /** Ids of the keys of the other master that are let in here. An older version does not say. */
  readonly accepts?: readonly string[];
}

export interface NextKeys {
  readonly pairing: string;
  /** Base64: `proofText` of the line, signed by the key that the line names. */
  readonly proof: string;
}

export const proofText = (pairing: string): string => `next ${pairing}`;

/** What an active tells its spare of keys: a signed line, purpose `message`. */
export interface KeyMessage extends KeyWords {
  readonly format: 1;
  readonly kind: 'keys';
  /** Certnames. */
  readonly source: string;
  readonly target: string;
  readonly program?: string;
}

/** `state/peer.json`: the other master, as it introduced itself once, or as an admin named it. */
export interface PeerState {
  readonly line: string;
  /** The line that it told in addition: its keys are let in, too. */
  readonly next?: string;
  /** When it was first seen to sign with the next key, ISO 8601: it will not go back. */
  readonly used?: string;
  /** Lines that it replaced itself: a fact that still has one of them names nobody else. */
  readonly was?: readonly string[];
  /** Until none of these connections is left. */
  readonly ends?: OldLogins;
}

/** Connections that logged in before `before` are ended: once nothing runs in them, and from `by` on whatever does. ISO 8601. */
export interface OldLogins {
  readonly before: string;
  readonly by: string;
}

/** A login that sshd lets in at that moment, by the lines of before, has its process a moment later. */
const loginMs = 5_000;

/** `patienceMs`: how long what runs in such a connection is waited for. What is refused at its end anyway gets a minute. */
export const oldLogins = (at: Date, patienceMs = 60_000): OldLogins => ({
  before: new Date(at.getTime() + loginMs).toISOString(),
  by: new Date(at.getTime() + patienceMs).toISOString(),
});

/** The honest other master may be pushing a dump over a login with its next keys. */
const forgottenPatienceMs = 6 * 3_600_000;

/** Words whose signature and proof were verified. `byNext`: the next key signed them. A line is forgotten only once the next is used. */
export function hear(known: PeerState, { next }: KeyWords, byNext: boolean, at: string): PeerState {
  if (byNext) return known.next !== undefined && known.used === undefined ? { ...known, used: at } : known;
  if (next === undefined || known.used !== undefined) return known;
  return next.pairing === known.line || next.pairing === known.next ? known : { ...known, next: next.pairing };
}

const keptLines = 20;

/** The next keys are in use, and nothing that the old ones signed is on its way any more. */
export function forgotten(known: PeerState, at: Date): PeerState {
  const { line, next, was = [] } = known;
  if (next === undefined || known.used === undefined) return known;
  const kept = [...was.filter((one) => one !== next), line].slice(-keptLines);
  return { line: next, was: kept, ends: oldLogins(at, forgottenPatienceMs) };
}

/** Whether an admin who wrote this line names the one who is known. Any other line is his word that it is somebody else. */
export const isKnownLine = ({ line, next, was = [] }: PeerState, named: string): boolean =>
  [line, next, ...was].includes(named);

/** Whether a fact still shows a line that the named master replaced itself. */
export const isOldLine = (known: PeerState, named: string): boolean =>
  isKnownLine(known, named) && named !== known.line && named !== known.next;

/** `state/rotation.json`: this master changes its keys. Missing: it does not. */
export interface Rotation {
  /**
   * `told`: the other master is told the next keys. `acknowledged`: it lets them in. `switching`: the files are being
   * exchanged. `switched`: the next keys are in use, and the other master still lets the old ones in.
   */
  readonly stage: 'told' | 'acknowledged' | 'switching' | 'switched';
  /** Ids of the keys. */
  readonly from: string;
  readonly to: string;
  /** Since when it stands there, ISO 8601. */
  readonly at: string;
}

/** False: an admin has made other keys since, or moved the next ones away, and no change goes on. `used`: id of the keys in use. */
export function isOfKeys({ stage, from, to }: Rotation, used: string, hasNext: boolean): boolean {
  if (stage === 'switching') return true; // any mixture
  return stage === 'switched' ? used === to : used === from && hasNext;
}

/** How a change of keys stands, for `status`. */
export function spokenRotation({ stage, at }: Rotation): string {
  const stands: Readonly<Record<Rotation['stage'], string>> = {
    told: 'the other master has not said that it lets the next ones in. The old ones stay in use until then',
    acknowledged: 'the next ones come into use between two passes',
    switching: 'the next ones come into use',
    switched: 'the next ones are in use, and the other master has not said that it forgot the old ones',
  };
  return `This master changes them, since ${at}: ${stands[stage]}`;
}

/** What the other master lets in, by its own signed word. INVARIANT: nothing is exchanged before the next keys are let in. */
export function heardAccepts(rotation: Rotation, accepts: readonly string[], at: string): Rotation | 'over' {
  const { stage, from, to } = rotation;
  if (!accepts.includes(to)) return rotation;
  if (stage === 'told') return { ...rotation, stage: 'acknowledged', at };
  return stage === 'switched' && !accepts.includes(from) ? 'over' : rotation;
}

/** Throws what `refuse` makes of a wrong field. */
export function parseKeyWords(value: unknown, where: string, refuse: Refuse): KeyWords {
  const field = fieldsOf(value, where, refuse);
  const parts = field.raw('next') === undefined ? undefined : fieldsOf(field.object('next'), `${where}.next`, refuse);
  const accepts = field.raw('accepts') === undefined ? undefined : field.list('accepts', 10);
  if (accepts?.some((id) => typeof id !== 'string' || !isKeysId(id)) === true)
    throw refuse(`${where}.accepts`, 'is malformed');
  return {
    ...(parts === undefined
      ? {}
      : { next: { pairing: parts.text('pairing', 20_000), proof: parts.text('proof', 400) } }),
    ...(accepts === undefined ? {} : { accepts: accepts.map(String) }),
  };
}

/** Undefined: a message of another kind, of a newer version. Throws `bad-data`. */
export function parseKeyMessage(value: unknown): KeyMessage | undefined {
  const refuse: Refuse = (where, why) => new Failure('bad-data', 'message refused', { where, why });
  const field = fieldsOf(value, 'message', refuse);
  if (field.raw('kind') !== 'keys') return undefined;
  if (field.number('format') !== 1) throw refuse('message.format', 'is not 1');
  return {
    ...{ format: 1, kind: 'keys', source: field.text('source', 255), target: field.text('target', 255) },
    ...parseKeyWords(value, 'message', refuse),
    ...field.optionalText('program', 40),
  };
}
