import { Failure } from '../errors.ts';
import { isEpoch, type Epoch } from './epoch.ts';
import { fieldsOf, type Refuse } from './fields.ts';
import { isDigest, isStream } from './manifest.ts';
import { parseKeyWords, type KeyWords } from './rotation.ts';

export interface AcceptedDrop {
  readonly epoch: Epoch;
  readonly sequence: number;
  readonly digest: string;
  /** `at` of the newest confirmation of it that root has taken, as its sender signed it. */
  readonly confirmed?: string;
}

/** What a master tells its peer of itself; signed by its root, and kept beside the gate file. */
export interface Hello extends KeyWords {
  readonly format: 1;
  /** When root signed this, by its own clock. */
  readonly at: string;
  /** Its own pairing line, so that roles can turn round without a second exchange. */
  readonly pairing: string;
  /** The newest drop of each stream that arrived and was judged: what it lacks here is pushed whole. */
  readonly accepted: Readonly<Record<string, AcceptedDrop>>;
  /** By stream: `n` of root's last word, whatever drop that is about. An older version does not say. */
  readonly receipts?: Readonly<Record<string, number>>;
  /** Digest of what this master made itself of the CA, for the other one to ask for; nothing where it made nothing. */
  readonly madeHere?: string;
  /** Asks for the CA with its keys: sha256 of the CA certificate, hexadecimal, as an admin typed it on the spare. */
  readonly adopt?: string;
  /** Bytes of the largest dump that this master has room for, where that is known; an older version does not say. */
  readonly room?: number;
  /** Version of the program that wrote it; an older one does not say. */
  readonly program?: string;
}

/** Of a CA certificate: its sha256, lower-case hexadecimal. */
export const isFingerprint = (text: string): boolean => /^[0-9a-f]{64}$/.test(text);

/** As openssl and people write it, with colons or capitals. Throws `usage`. */
export function normalFingerprint(text: string): string {
  const plain = text
    .replace(/^sha256:/i, '')
    .replaceAll(':', '')
    .toLowerCase();
  if (isFingerprint(plain)) return plain;
  const hint = 'Type on the active: openssl x509 -noout -fingerprint -sha256 -in CADIR/ca_crt.pem';
  throw new Failure('usage', 'not a fingerprint', {
    where: text.slice(0, 100),
    why: '64 hexadecimal digits are expected',
    hint,
  });
}

/** Throws `bad-data`. */
export function parseHello(value: unknown): Hello {
  const refuse = (where: string, why: string): Failure => new Failure('bad-data', 'hello refused', { where, why });
  const field = fieldsOf(value, 'hello', refuse);
  if (field.number('format') !== 1) throw refuse('hello.format', 'is not 1');
  const accepted: Record<string, AcceptedDrop> = {};
  for (const [stream, drop] of Object.entries(field.object('accepted'))) {
    if (!isStream(stream)) continue; // of a newer version
    const inner = fieldsOf(drop, `accepted.${stream}`, refuse);
    const epoch = inner.raw('epoch');
    if (!isEpoch(epoch)) throw refuse(`accepted.${stream}`, 'is malformed');
    accepted[stream] = {
      epoch: { number: epoch.number, id: epoch.id },
      sequence: inner.count('sequence', 0),
      digest: inner.matching('digest', isDigest),
      ...inner.optionalText('confirmed', 40),
    };
  }
  const adopt = field.raw('adopt') === undefined ? {} : { adopt: field.matching('adopt', isFingerprint) };
  const receipts =
    field.raw('receipts') === undefined ? {} : { receipts: parseNumbers(field.object('receipts'), refuse) };
  return {
    format: 1,
    at: field.text('at', 40),
    pairing: field.text('pairing', 20_000),
    accepted,
    ...receipts,
    ...adopt,
    ...field.optionalText('madeHere', 100),
    ...(field.raw('room') === undefined ? {} : { room: field.count('room', 0) }),
    ...parseKeyWords(value, 'hello', refuse),
    ...field.optionalText('program', 40),
  };
}

function parseNumbers(value: Readonly<Record<string, unknown>>, refuse: Refuse): Record<string, number> {
  const field = fieldsOf(value, 'hello.receipts', refuse);
  const known = Object.keys(value).filter(isStream);
  return Object.fromEntries(known.map((stream) => [stream, field.count(stream, 1)]));
}
