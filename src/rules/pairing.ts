import { createHash } from 'node:crypto';
import { Failure } from '../errors.ts';

/** What one master must know of the other: one string to copy, an ssh public key whose comment holds the rest. */
export interface Pairing {
  readonly certname: string;
  /** `ssh-ed25519 AAAA...`: the key that pushes. */
  readonly transferKey: string;
  /** Base64 DER: the key that signs. */
  readonly signingKey: string;
  /** `ssh-ed25519 AAAA...`: the key of that master's sshd. */
  readonly hostKey: string;
}

/** The other master. While it changes its keys both lines count: it may use the keys of either. */
export interface KnownPeer extends Pairing {
  readonly next?: Pairing;
}

/** Every line of it that counts, the one in use first. */
export const linesOf = (peer: KnownPeer): readonly Pairing[] => [peer, ...(peer.next === undefined ? [] : [peer.next])];

export const signingKeysOf = (peer: KnownPeer): readonly string[] => linesOf(peer).map(({ signingKey }) => signingKey);

/** Names the two keys of a pairing line, 16 hexadecimal digits. */
export const keysId = ({ transferKey, signingKey }: Pairing): string =>
  createHash('sha256').update(`${transferKey} ${signingKey}`).digest('hex').slice(0, 16);

export const isKeysId = (text: string): boolean => /^[0-9a-f]{16}$/.test(text);

const base64 = /^[A-Za-z0-9+/]{40,4000}={0,2}$/;
const keyType = /^(ssh-ed25519|ecdsa-sha2-nistp256|ecdsa-sha2-nistp384|ecdsa-sha2-nistp521|ssh-rsa)$/;
export const isCertname = (text: string): boolean => /^[a-z0-9][a-z0-9._-]{0,252}$/.test(text) && !text.includes('..');

export function formatPairing(pairing: Pairing): string {
  const hostBlob = pairing.hostKey.split(' ')[1] ?? '';
  return `${pairing.transferKey} pe-failover:${pairing.certname}:${pairing.signingKey}:${hostBlob}`;
}

/** Throws `config` that says where to get a right one. */
export function parsePairing(line: string): Pairing {
  const [type, blob, comment, ...more] = line.trim().split(/[ \t]+/);
  const [mark, certname, signingKey, hostBlob, ...rest] = (comment ?? '').split(':');
  if (type === undefined || !keyType.test(type) || blob === undefined || !base64.test(blob))
    throw refuse('it does not begin with an ssh public key');
  if (mark !== 'pe-failover' || more.length > 0 || rest.length > 0)
    throw refuse('it is a bare ssh key: the part "pe-failover:..." behind it is missing');
  if (certname === undefined || !isCertname(certname)) throw refuse('its certname is malformed');
  if (signingKey === undefined || !base64.test(signingKey)) throw refuse('its signing key is malformed');
  const hostType = hostBlob === undefined || !base64.test(hostBlob) ? undefined : typeInside(hostBlob);
  if (hostBlob === undefined || hostType === undefined) throw refuse('its host key is malformed');
  return { certname, transferKey: `${type} ${blob}`, signingKey, hostKey: `${hostType} ${hostBlob}` };
}

// An ssh key blob begins with the length and the name of its type.
function typeInside(blob: string): string | undefined {
  const bytes = Buffer.from(blob, 'base64');
  const length = bytes.length > 4 ? bytes.readUInt32BE(0) : 0;
  const type = bytes.toString('latin1', 4, 4 + length);
  return keyType.test(type) ? type : undefined;
}

function refuse(why: string): Failure {
  return new Failure('config', 'pairing line refused', {
    why,
    hint: 'On the active, type: pe-failover install --active, and copy the whole line that it prints',
  });
}
