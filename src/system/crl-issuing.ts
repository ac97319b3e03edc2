import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError, type Exec } from './exec.ts';

export interface CrlIssue {
  /** PEM of the issuing CA's certificate, and the path of its key (never its content). */
  readonly certificatePem: string;
  readonly keyPath: string;
  readonly number: bigint;
  /** Serial to revocation time, as a CRL holds it. */
  readonly revoked: ReadonlyMap<bigint, string>;
  readonly days?: number;
  /** A directory of its own: what a killed predecessor left there goes first, all of it goes at the end. */
  readonly work: string;
}

/** Signs a CRL with the openssl program. Returns PEM. Reasons of revocation are not carried over. */
export async function issueCrl(exec: Exec, issue: CrlIssue, signal?: AbortSignal): Promise<string> {
  const { work } = issue;
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true, mode: 0o700 });
  try {
    await Promise.all([
      writeFile(join(work, 'index.txt'), indexOf(issue.revoked)),
      writeFile(join(work, 'crlnumber'), `${evenHex(issue.number)}\n`),
      writeFile(join(work, 'ca.pem'), issue.certificatePem),
      writeFile(join(work, 'openssl.cnf'), configuration),
    ]);
    const args = [
      'ca',
      '-gencrl',
      '-config',
      'openssl.cnf',
      '-cert',
      'ca.pem',
      '-keyfile',
      issue.keyPath,
      '-out',
      'crl.pem',
    ];
    const days = ['-crldays', String(issue.days ?? 1825)];
    await exec({
      file: 'openssl',
      args: [...args, ...days],
      cwd: work,
      timeoutMs: 60_000,
      ...(signal ? { signal } : {}),
    });
    return await readFile(join(work, 'crl.pem'), 'latin1');
  } catch (error) {
    if (error instanceof CommandError) throw error.toFailure('the CRL could not be signed');
    throw error;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

// openssl's own database of certificates; only state, revocation time and serial count here.
function indexOf(revoked: ReadonlyMap<bigint, string>): string {
  const lines: string[] = [];
  for (const [serial, when] of revoked)
    lines.push(`R\t491231235959Z\t${when}\t${evenHex(serial)}\tunknown\t/CN=revoked\n`);
  return lines.join('');
}

const evenHex = (value: bigint): string => {
  const digits = value.toString(16).toUpperCase();
  return digits.length % 2 === 0 ? digits : `0${digits}`;
};

const configuration = `[ca]
default_ca = here
[here]
database = index.txt
crlnumber = crlnumber
default_md = sha256
unique_subject = no
crl_extensions = extensions
[extensions]
authorityKeyIdentifier = keyid
`;
