import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { toFailure } from '../errors.ts';
import { mostListed, type CaAudit, type CertificateAudit } from '../rules/audit.ts';
import { certnameOf, kindOf } from '../rules/ca-paths.ts';
import { crlMoment } from '../rules/crl.ts';
import { momentOf, parseInventoryLine, wholeLines, type InventoryLine } from '../rules/inventory.ts';
import { parseSerial } from '../rules/serial.ts';
import { addWeight, formatSetDigest, sumOf } from '../rules/set-digest.ts';
import { readCertificates, type Certificate, type Crl } from '../system/certificates.ts';
import { inParallel } from '../system/in-parallel.ts';
import { openLiveCa } from './ca-live.ts';
import { listCa } from './ca.ts';

/** What was written so short a time ago may still be on its way to the other master. */
const recentMs = 10 * 60_000;

export interface CaAuditOrder {
  /** Names that never travel. */
  readonly excluded: readonly string[];
  readonly now: Date;
  readonly signal: AbortSignal;
}

/** A CA as it lies there. Throws `config` where there is none. */
export async function auditCa(cadir: string, order: CaAuditOrder): Promise<CaAudit> {
  const live = openLiveCa(cadir);
  const authorities = await live.authorities();
  const [first] = authorities;
  const signed = await readSigned(cadir, authorities, order);
  const serial = parseSerial(await live.text('serial'));
  return {
    authorities: authorities.map(describeCertificate),
    hasKey: first !== undefined && (await live.hasKeyOf(first)),
    ...(serial === undefined ? {} : { serial: serial.toString(16) }),
    ...signed,
    inventory: inventoryOf(await live.text('inventory.txt')),
    lists: (await live.crls()).map(listOf),
    justChanged: await hasJustChanged(cadir, order.now),
    excluded: [...order.excluded].slice(0, 10_000),
  };
}

async function hasJustChanged(cadir: string, now: Date): Promise<boolean> {
  const found = await Promise.all(
    ['signed', 'ca_crl.pem'].map((name) => stat(join(cadir, name)).catch(() => undefined)),
  );
  return found.some((one) => one !== undefined && now.getTime() - one.mtimeMs < recentMs);
}

async function readSigned(
  cadir: string,
  authorities: readonly Certificate[],
  { now, signal }: CaAuditOrder,
): Promise<Pick<CaAudit, 'certificates' | 'strange' | 'recent'>> {
  const issuers = new Set(authorities.map(({ subject }) => subject));
  const each: [string, string, string][] = [];
  const strange: { name: string; why: string }[] = [];
  const recent: string[] = [];
  let sum = 0n;
  const { paths } = await listCa(cadir);
  const certificates = paths.filter((path) => kindOf(path) === 'certificate');
  await inParallel(certificates, 16, async (path) => {
    signal.throwIfAborted();
    const name = certnameOf(path);
    const found = await readFile(join(cadir, path)).catch(() => undefined); // cleaned meanwhile
    if (found === undefined) return;
    const sha256 = createHash('sha256').update(found).digest('hex');
    sum = addWeight(sum, sumOf([`${name} ${sha256}`]));
    const read = readOne(found, name, issuers);
    if (typeof read === 'string') strange.push({ name, why: read });
    each.push([name, typeof read === 'string' ? '0' : read.serial.toString(16), sha256.slice(0, 12)]);
    const written = await stat(join(cadir, path)).catch(() => undefined);
    if (written !== undefined && now.getTime() - written.mtimeMs < recentMs) recent.push(name);
  });
  each.sort(([a], [b]) => (a < b ? -1 : 1));
  const listed = each.length <= mostListed ? { each } : {};
  return {
    certificates: { count: each.length, digest: formatSetDigest(sum), ...listed },
    strange: strange.slice(0, 100),
    recent: recent.slice(0, mostListed),
  };
}

/** Why it is none of this CA, or the certificate. Signatures are verified before a file goes live, not here. */
function readOne(pem: Buffer, name: string, issuers: ReadonlySet<string>): Certificate | string {
  try {
    const [certificate] = readCertificates(pem, name);
    if (certificate === undefined) return 'it holds no certificate';
    if (certificate.commonName !== name) return `it is of ${certificate.commonName ?? 'nobody'}`.slice(0, 300);
    return issuers.has(certificate.issuer) ? certificate : 'it was issued by another CA';
  } catch (error) {
    return toFailure(error).what;
  }
}

function inventoryOf(content: string): CaAudit['inventory'] {
  const lines = wholeLines(content);
  const each = lines.flatMap((line) => parseInventoryLine(line) ?? []).map(rowOf);
  const listed = each.length <= mostListed ? { each } : {};
  return { count: each.length, digest: formatSetDigest(sumOf(each.map((row) => row.join(' ')))), ...listed };
}

const rowOf = ({ serial, name, notBefore, notAfter }: InventoryLine): [string, string, number, number] => [
  ...([serial.toString(16), name.slice(0, 255)] as const),
  ...([secondsOf(notBefore), secondsOf(notAfter)] as const),
];

const secondsOf = (moment: string): number => Math.max(0, Math.round(momentOf(moment) / 1000)) || 0;

function listOf({ issuer, number, revoked, nextUpdate }: Crl): CaAudit['lists'][number] {
  const ends = nextUpdate === undefined ? undefined : crlMoment(nextUpdate);
  return {
    issuer,
    revoked: [...revoked.keys()].map((serial) => serial.toString(16)),
    ...(number === undefined ? {} : { number: number.toString(16) }),
    ...(ends === undefined ? {} : { nextUpdate: ends }),
  };
}

/** OID 1.3.6.1.4.1.34380.1.3.39, pp_cli_auth, with its tag and length. */
const ppCliAuth = Buffer.from('060b2b06010401828c4c010327', 'hex');

export function describeCertificate({
  x509,
  fingerprint,
  subject,
  notAfter,
  commonName,
}: Certificate): CertificateAudit {
  const names = (x509.subjectAltName ?? '').split(', ').flatMap((name) => /^DNS:(.+)$/.exec(name)?.[1] ?? []);
  return {
    ...{ name: (commonName ?? '').slice(0, 500), fingerprint, subject, notAfter: notAfter.toISOString() },
    names: names.map((name) => name.toLowerCase().slice(0, 255)).slice(0, 1000),
    ppCliAuth: x509.raw.includes(ppCliAuth),
  };
}
