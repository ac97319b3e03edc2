import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign as signBytes,
  verify as verifyBytes,
  type KeyObject,
} from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Failure } from '../errors.ts';

/** What a signature was made for: one made for a receipt is worth nothing as a gate. */
export type Purpose = 'manifest' | 'gate' | 'receipt' | 'confirm' | 'message' | 'made-here' | 'request';

/** One of them signed. */
export type PublicKeys = string | readonly string[];

export interface Signer {
  /** Base64 of the DER form, as it stands in a pairing line. */
  readonly publicKey: string;
  /** Base64. */
  sign(purpose: Purpose, text: string): string;
}

/** A new signing key: Ed25519, or ECDSA P-256 where FIPS refuses that. PEM, for a file that only root reads. */
export function generateSigningKey(): string {
  return newKey().export({ type: 'pkcs8', format: 'pem' }).toString();
}

function newKey(): KeyObject {
  try {
    return generateKeyPairSync('ed25519').privateKey;
  } catch {
    return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey; // FIPS: the only reason that Ed25519 fails
  }
}

export async function loadSigner(path: string): Promise<Signer> {
  let key: KeyObject;
  try {
    key = createPrivateKey(await readFile(path));
  } catch (cause) {
    throw new Failure('config', 'signing key is missing or unreadable', {
      where: path,
      hint: 'Type: pe-failover install',
      cause,
    });
  }
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64');
  return {
    publicKey,
    sign: (purpose, text) => signBytes(hashOf(key), bytesFor(purpose, text), key).toString('base64'),
  };
}

/** False for a wrong signature and for anything that is no key or no signature at all. */
export function verifySignature(keys: PublicKeys, purpose: Purpose, text: string, signature: string): boolean {
  return [keys].flat().some((key) => isSignedBy(key, purpose, text, signature));
}

function isSignedBy(publicKey: string, purpose: Purpose, text: string, signature: string): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
    return verifyBytes(hashOf(key), bytesFor(purpose, text), key, Buffer.from(signature, 'base64'));
  } catch {
    return false;
  }
}

/** A value and root's signature over its exact text, as one line of JSON that others can hand on verbatim. */
export function seal(signer: Signer, purpose: Purpose, value: unknown): string {
  const body = JSON.stringify(value);
  return JSON.stringify({ body, signature: signer.sign(purpose, body) });
}

/** The value of a sealed line. Throws `bad-data` unless that key, or one of them, signed it for that purpose. */
export function unseal(keys: PublicKeys, purpose: Purpose, line: string): unknown {
  const { body, signature } = parseSealed(line, purpose);
  if (!verifySignature(keys, purpose, body, signature)) {
    throw new Failure('bad-data', `${purpose} refused`, { why: "it does not carry the peer's signature" });
  }
  return parseBody(body, purpose);
}

/** Did that key sign this line for that purpose? Throws `bad-data` for what is no signed line. */
export function isSealedBy(keys: PublicKeys, purpose: Purpose, line: string): boolean {
  const { body, signature } = parseSealed(line, purpose);
  return verifySignature(keys, purpose, body, signature);
}

/** The value of a sealed line whose file only root can write: nothing is verified. */
export function readSealed(line: string, purpose: Purpose): unknown {
  return parseBody(parseSealed(line, purpose).body, purpose);
}

/** The same text, signed by another key of ours. */
export function resealed(signer: Signer, purpose: Purpose, line: string): string {
  const { body } = parseSealed(line, purpose);
  return JSON.stringify({ body, signature: signer.sign(purpose, body) });
}

/** How an admin compares keys by eye: `SHA256:` and base64 without padding, as ssh prints them. */
export const fingerprint = (publicKeyBase64: string): string =>
  `SHA256:${createHash('sha256').update(Buffer.from(publicKeyBase64, 'base64')).digest('base64').replace(/=+$/, '')}`;

function parseSealed(line: string, purpose: Purpose): { body: string; signature: string } {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null && 'body' in value && 'signature' in value) {
      if (typeof value.body === 'string' && typeof value.signature === 'string')
        return { body: value.body, signature: value.signature };
    }
  } catch (cause) {
    throw new Failure('bad-data', `${purpose} refused`, { why: 'it is not JSON', cause });
  }
  throw new Failure('bad-data', `${purpose} refused`, { why: 'it is not a signed line' });
}

function parseBody(body: string, purpose: Purpose): unknown {
  try {
    return JSON.parse(body);
  } catch (cause) {
    throw new Failure('bad-data', `${purpose} refused`, { why: 'its content is not JSON', cause });
  }
}

const hashOf = (key: KeyObject): 'sha256' | null => (key.asymmetricKeyType === 'ec' ? 'sha256' : null);
const bytesFor = (purpose: Purpose, text: string): Buffer => Buffer.from(`pe-failover ${purpose}\n${text}`, 'utf8');
