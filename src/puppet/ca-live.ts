import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure, isErrno } from '../errors.ts';
import { certnameOf, kindOf } from '../rules/ca-paths.ts';
import type { AcceptedEntry } from '../system/accepted-set.ts';
import { certificateProblem, createCrlReader, crlProblem, isKeyOf, readCertificates } from '../system/certificates.ts';
import type { Certificate, Crl, CrlReader } from '../system/certificates.ts';
import { readBytesIfThere, readIfThere, sha256File } from '../system/files.ts';
import { inParallel } from '../system/in-parallel.ts';

/** The live CA directory, read as far as it is asked. */
export interface LiveCa {
  readonly cadir: string;
  path(name: string): string;
  /** sha256 of those of these paths that are there. What has size, time and mode of its entry is not read again. */
  hashes(paths: readonly string[], entry: (path: string) => AcceptedEntry | undefined): Promise<Map<string, string>>;
  /** The CA's own certificates: whom certificates and CRLs must be signed by. */
  authorities(): Promise<Certificate[]>;
  crls(): Promise<Crl[]>;
  readonly readCrls: CrlReader;
  text(name: string): Promise<string>;
  /** Whether the key of an authority lies here. */
  hasKeyOf(authority: Certificate): Promise<boolean>;
}

export const keyOfCa = 'ca_key.pem';

export function openLiveCa(cadir: string): LiveCa {
  const path = (name: string): string => join(cadir, name);
  const readCrls = createCrlReader();
  return {
    cadir,
    path,
    readCrls,
    hashes: async (paths, entry) => {
      const found = new Map<string, string>();
      await inParallel(paths, 16, async (name) => {
        const sha256 = await hashOf(path(name), entry(name));
        if (sha256 !== undefined) found.set(name, sha256);
      });
      return found;
    },
    authorities: async () => {
      const pem = await readBytesIfThere(path('ca_crt.pem'));
      if (pem === undefined) throw notAdopted(cadir);
      return readCertificates(pem, path('ca_crt.pem'));
    },
    crls: async () => {
      const pem = await readBytesIfThere(path('ca_crl.pem'));
      return pem === undefined ? [] : readCrls(pem, path('ca_crl.pem'));
    },
    text: async (name) => (await readIfThere(path(name))) ?? '',
    hasKeyOf: async (authority) => {
      const pem = await readBytesIfThere(path(keyOfCa));
      return pem !== undefined && isKeyOf(pem, authority);
    },
  };
}

/** The live CRLs, where an unreadable file counts as none: it is replaced. */
export const liveLists = (live: LiveCa): Promise<Crl[]> => live.crls().catch(() => []);

/** Why the content of a file may not go live as this path, or undefined. */
export async function contentProblem(
  path: string,
  source: string,
  authorities: readonly Certificate[],
  readCrls: CrlReader,
): Promise<string | undefined> {
  const kind = kindOf(path);
  if (kind !== 'certificate' && kind !== 'crl' && path !== 'infra_crl.pem') return undefined;
  const pem = (await readBytesIfThere(source)) ?? Buffer.alloc(0);
  try {
    if (kind !== 'certificate')
      return readCrls(pem, path)
        .map((crl) => crlProblem(crl, authorities))
        .find(Boolean);
    const [certificate, ...more] = readCertificates(pem, path);
    if (certificate === undefined) return 'it holds no certificate';
    if (more.length > 0) return `it holds ${more.length + 1} certificates`;
    if (certificate.commonName !== certnameOf(path)) return `it is of ${certificate.commonName ?? 'nobody'}`;
    return certificateProblem(certificate, authorities);
  } catch (error) {
    if (error instanceof Failure) return error.what;
    throw error;
  }
}

async function hashOf(path: string, entry: AcceptedEntry | undefined): Promise<string | undefined> {
  try {
    const stat = await lstat(path, { bigint: true });
    if (!stat.isFile()) return undefined;
    const same = entry !== undefined && entry.mtimeNs !== 0n && entry.mtimeNs === stat.mtimeNs;
    return same && entry.size === Number(stat.size) ? entry.sha256 : await sha256File(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

const notAdopted = (cadir: string): Failure =>
  new Failure('config', 'this master has no CA yet', { where: cadir, hint: 'Type: pe-failover adopt FINGERPRINT' });
