import { createHash, createPrivateKey, verify, X509Certificate } from 'node:crypto';
import { Failure } from '../errors.ts';
import { derAt, derChildren, derInteger, derTags, type DerElement } from './der.ts';

/** One X.509 certificate, read. */
export interface Certificate {
  readonly x509: X509Certificate;
  readonly commonName: string | undefined;
  readonly serial: bigint;
  /** sha256 of the DER, lower-case hexadecimal. */
  readonly fingerprint: string;
  /** Names as DER in hexadecimal: equal names are the same bytes. */
  readonly subject: string;
  readonly issuer: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** One certificate revocation list, read and not yet believed. */
export interface Crl {
  /** As DER in hexadecimal: the `subject` of the CA certificate. */
  readonly issuer: string;
  readonly number: bigint | undefined;
  readonly thisUpdate: string;
  /** When the next one is due at the latest: clients refuse an older list. */
  readonly nextUpdate?: string;
  /** Serial to revocation time, both times as they stand in the list (UTCTime or GeneralizedTime). */
  readonly revoked: ReadonlyMap<bigint, string>;
  readonly pem: string;
  readonly signed: { readonly bytes: Uint8Array; readonly algorithm: string; readonly signature: Uint8Array };
}

/** Certificates of a PEM file, in its order. Throws a Failure of class bad-data; `where` names the file. */
export function readCertificates(pem: string | Buffer, where: string): Certificate[] {
  return pemBlocks(pem.toString('latin1'), 'CERTIFICATE', where).map((block) => {
    try {
      return readCertificate(new X509Certificate(block));
    } catch (cause) {
      throw new Failure('bad-data', 'not a certificate', { where, cause });
    }
  });
}

function readCertificate(x509: X509Certificate): Certificate {
  const fields = derChildren(x509.raw, childOf(x509.raw, 0));
  const tagged = fields[0]?.tag === 0xa0 ? 1 : 0; // [0] version
  const name = (n: number): string => hexOf(x509.raw, fields[n + tagged]);
  return {
    x509,
    // node:crypto escapes as in RFC 2253
    commonName: /^CN=(.*)$/m.exec(x509.subject)?.[1]?.replaceAll(/\\(.)/g, '$1'),
    serial: BigInt(`0x${x509.serialNumber}`),
    fingerprint: createHash('sha256').update(x509.raw).digest('hex'),
    issuer: name(2),
    subject: name(4),
    notBefore: momentOf(x509.validFrom),
    notAfter: momentOf(x509.validTo),
  };
}

function momentOf(text: string): Date {
  const moment = new Date(text);
  if (Number.isNaN(moment.getTime())) throw new RangeError('a time is none');
  return moment;
}

/** Why a certificate was not issued by one of these CAs, or undefined. Names and signature; not the dates. */
export function certificateProblem(certificate: Certificate, authorities: readonly Certificate[]): string | undefined {
  const named = authorities.filter(({ subject }) => subject === certificate.issuer);
  if (named.length === 0) return 'it was issued by another CA';
  if (named.some(({ x509 }) => certificate.x509.verify(x509.publicKey))) return undefined;
  return "its signature is not the CA's";
}

/** Whether a private key (PEM) belongs to a certificate. A key that can't be read does not. */
export function isKeyOf(keyPem: string | Buffer, { x509 }: Certificate): boolean {
  try {
    return x509.checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}

/** CRLs of a PEM bundle, in its order. Throws a Failure of class bad-data; `where` names the file. */
export function readCrls(pem: string | Buffer, where: string): Crl[] {
  return pemBlocks(pem.toString('latin1'), 'X509 CRL', where).map((block) => {
    try {
      return readCrl(block);
    } catch (cause) {
      throw new Failure('bad-data', 'not a CRL', { where, cause });
    }
  });
}

export type CrlReader = (pem: Buffer, where: string) => Crl[];

/** Remembers the last few lists: one apply looks at the same bytes several times, and so does the next one. */
export function createCrlReader(remembered = 3): CrlReader {
  const known = new Map<string, Crl[]>();
  return (pem, where) => {
    const key = createHash('sha256').update(pem).digest('hex');
    const lists = known.get(key) ?? readCrls(pem, where);
    known.delete(key);
    known.set(key, lists);
    for (const oldest of [...known.keys()].slice(0, -remembered)) known.delete(oldest);
    return lists;
  };
}

/** Why a CRL is not one of these CAs', or undefined. */
export function crlProblem(crl: Crl, authorities: readonly Certificate[]): string | undefined {
  const named = authorities.filter(({ subject }) => subject === crl.issuer);
  if (named.length === 0) return 'it is of another CA';
  const { bytes, algorithm, signature } = crl.signed;
  const digest = digestOf[algorithm];
  if (digest === undefined) return `its signature algorithm ${algorithm} is unknown`;
  const valid = named.some(({ x509 }) => verify(digest, bytes, x509.publicKey, signature));
  return valid ? undefined : "its signature is not the CA's";
}

// Object identifiers as DER in hexadecimal: RSA and ECDSA with SHA-256, -384, -512.
const digestOf: Readonly<Record<string, string>> = {
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2a8648ce3d040302': 'sha256',
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
};

/*
 * A reader of our own: the libraries build an object for each of 10 elements an entry (seconds and 500 MB for 100,000
 * entries) or refuse such lists. It reads only what the rules ask for; the signature over all of it is node:crypto's.
 */
function readCrl(pem: string): Crl {
  const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64');
  const { list, algorithm, signature } = envelopeOf(der);
  const fields = derChildren(der, list);
  if (fields[0]?.tag === derTags.integer) fields.shift(); // version
  if (hexOf(der, fields[0]) !== hexOf(der, algorithm)) throw new RangeError('two signature algorithms');
  const [, issuer, thisUpdate, ...rest] = fields;
  if (!isTime(thisUpdate)) throw new RangeError('no thisUpdate');
  const nextUpdate = isTime(rest[0]) ? rest.shift() : undefined;
  const entries = rest[0]?.tag === derTags.sequence ? rest.shift() : undefined;
  return {
    issuer: hexOf(der, issuer),
    number: rest[0] === undefined ? undefined : crlNumber(der, rest[0]),
    thisUpdate: textOf(der, thisUpdate),
    ...(nextUpdate === undefined ? {} : { nextUpdate: textOf(der, nextUpdate) }),
    revoked: entries === undefined ? new Map() : revokedOf(der, entries),
    pem,
    signed: {
      bytes: der.subarray(list.start, list.to),
      algorithm: der.toString('hex', ...contentOf(childOf(der, algorithm.start))),
      signature: der.subarray(signature.from + 1, signature.to),
    },
  };
}

// Strict, because the signature covers only the list itself: no other byte may be free to change.
function envelopeOf(der: Buffer): Record<'list' | 'algorithm' | 'signature', DerElement> {
  const outer = derAt(der, 0, der.length);
  const [list, algorithm, signature, ...rest] = derChildren(der, outer);
  if (list === undefined || algorithm === undefined || signature === undefined)
    throw new RangeError('parts are missing');
  const tags = [outer, list, algorithm, signature].map(({ tag }) => tag);
  const { sequence, bitString } = derTags;
  if (tags.join() !== [sequence, sequence, sequence, bitString].join()) throw new RangeError('not a CertificateList');
  if (rest.length > 0 || outer.to !== der.length || der[signature.from] !== 0)
    throw new RangeError('something is left');
  return { list, algorithm, signature };
}

function revokedOf(der: Buffer, entries: DerElement): Map<bigint, string> {
  const revoked = new Map<bigint, string>();
  for (let at = entries.from; at < entries.to;) {
    const entry = derAt(der, at, entries.to);
    const serial = derAt(der, entry.from, entry.to);
    const when = derAt(der, serial.to, entry.to);
    if (!isTime(when)) throw new RangeError('no revocation date');
    revoked.set(derInteger(der, serial), textOf(der, when));
    at = entry.to;
  }
  return revoked;
}

// crlExtensions [0] -> Extensions -> {2.5.29.20, critical?, OCTET STRING {INTEGER}}
function crlNumber(der: Buffer, extensions: DerElement): bigint | undefined {
  for (const extension of derChildren(der, childOf(der, extensions.start))) {
    const parts = derChildren(der, extension);
    const value = parts.at(-1);
    if (hexOf(der, parts[0]) === '0603551d14' && value !== undefined)
      return derInteger(der, derAt(der, value.from, value.to));
  }
  return undefined;
}

const childOf = (bytes: Uint8Array, start: number): DerElement => {
  const outer = derAt(bytes, start, bytes.length);
  return derAt(bytes, outer.from, outer.to);
};
const contentOf = ({ from, to }: DerElement): [number, number] => [from, to];
const isTime = (element: DerElement | undefined): element is DerElement =>
  element?.tag === derTags.utcTime || element?.tag === derTags.generalizedTime;
const textOf = (der: Buffer, { from, to }: DerElement): string => der.toString('latin1', from, to);

function hexOf(bytes: Buffer, element: DerElement | undefined): string {
  if (element === undefined) throw new RangeError('element is missing');
  return bytes.toString('hex', element.start, element.to);
}

function pemBlocks(text: string, label: string, where: string): string[] {
  const blocks: string[] = [];
  const [begin, end] = [`-----BEGIN ${label}-----`, `-----END ${label}-----`];
  for (let at = text.indexOf(begin); at >= 0;) {
    const stop = text.indexOf(end, at);
    if (stop < 0) break;
    blocks.push(text.slice(at, stop + end.length));
    at = text.indexOf(begin, stop);
  }
  if (blocks.length === 0) throw new Failure('bad-data', `no ${label} in the file`, { where });
  return blocks;
}
