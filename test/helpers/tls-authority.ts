import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Certificate {
  readonly certPath: string;
  readonly keyPath: string;
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority of a test's own, made with openssl, in a directory that `close` removes. */
export interface TlsAuthority {
  readonly directory: string;
  readonly caPath: string;
  readonly ca: string;
  issue(name: string, altNames?: readonly string[], days?: number): Promise<Certificate>;
  close(): Promise<void>;
}

const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-batch'];

export async function createTlsAuthority(name = 'Puppet CA: test'): Promise<TlsAuthority> {
  const directory = await mkdtemp(join(tmpdir(), 'pe-failover-tls-'));
  const path = (file: string): string => join(directory, file);
  const caPath = path('ca.pem');
  const subject = ['-subj', `/CN=${name}`, '-days', '2'];
  await run('openssl', ['req', '-x509', ...key, ...subject, '-keyout', path('ca-key.pem'), '-out', caPath]);
  let issued = 0;
  const issue = async (certname: string, altNames: readonly string[] = [], days = 2): Promise<Certificate> => {
    const base = path(`${certname}-${(issued += 1)}`);
    const certPath = `${base}.pem`;
    const keyPath = `${base}-key.pem`;
    const alt = [`DNS:${certname}`, ...altNames].join(',');
    await writeFile(`${base}.cnf`, `subjectAltName=${alt}\n`);
    await run('openssl', ['req', ...key, '-subj', `/CN=${certname}`, '-keyout', keyPath, '-out', `${base}.csr`]);
    const signer = [
      '-CA',
      caPath,
      '-CAkey',
      path('ca-key.pem'),
      '-set_serial',
      String(issued + 1),
      '-days',
      String(days),
    ];
    await run('openssl', [
      'x509',
      '-req',
      '-in',
      `${base}.csr`,
      ...signer,
      '-extfile',
      `${base}.cnf`,
      '-out',
      certPath,
    ]);
    const [cert, keyText] = await Promise.all([readFile(certPath, 'utf8'), readFile(keyPath, 'utf8')]);
    return { certPath, keyPath, cert, key: keyText };
  };
  const close = (): Promise<void> => rm(directory, { recursive: true, force: true });
  return { directory, caPath, ca: await readFile(caPath, 'utf8'), issue, close };
}
