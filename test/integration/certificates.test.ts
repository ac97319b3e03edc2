import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { certificateProblem, crlProblem, isKeyOf, readCertificates, readCrls } from '../../src/system/certificates.ts';
import { issueCrl } from '../../src/system/crl-issuing.ts';
import { exec } from '../../src/system/exec.ts';
import { createTestCa, type TestCa } from '../stand-in/ca.ts';

let root = '';
let ca: TestCa;
const read = (name: string): Promise<string> => readFile(join(ca.directory, name), 'utf8');
const authorities = async () => readCertificates(await read('ca_crt.pem'), 'ca_crt.pem');

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pe-failover-x509-'));
  ca = await createTestCa(join(root, 'ca'), { name: 'lab' });
});
afterAll(() => rm(root, { recursive: true }));

async function issued(count: number, first = 0x100n, number = 255n) {
  const revoked = new Map(Array.from({ length: count }, (_, n) => [first + BigInt(n), '261121031651Z']));
  const keyPath = join(ca.directory, 'ca_key.pem');
  const [authority] = await authorities();
  return {
    revoked,
    pem: await issueCrl(exec, {
      certificatePem: authority?.x509.toString() ?? '',
      keyPath,
      number,
      revoked,
      work: join(root, 'work'),
    }),
  };
}

test('a bundle is read whole: the issuing CA first, then the root, chained by name and signature', async () => {
  const chain = await authorities();
  expect(chain.map(({ commonName }) => commonName)).toEqual(['Puppet CA: lab', 'Puppet Root CA: lab']);
  for (const certificate of chain) expect(certificateProblem(certificate, chain)).toBeUndefined();
});

test('a CRL that we sign says what it was told, is believed here, and by openssl', async () => {
  const { pem, revoked } = await issued(3, (1n << 120n) + 0x80n);
  const [crl] = readCrls(pem, 'x');
  expect(crl?.revoked).toEqual(revoked);
  expect(crl?.number).toBe(255n);
  if (crl !== undefined) expect(crlProblem(crl, await authorities())).toBeUndefined();
  await writeFile(join(root, 'ours.pem'), pem);
  const args = ['crl', '-in', join(root, 'ours.pem'), '-noout', '-CAfile', join(ca.directory, 'ca_crt.pem')];
  expect((await exec({ file: 'openssl', args, timeoutMs: 10_000 })).stderr).toContain('verify OK');
});

test('a bundle of CRLs is read one by one, each believed by its own issuer only', async () => {
  const crls = readCrls(await read('ca_crl.pem'), 'ca_crl.pem');
  const [issuing, root] = await authorities();
  expect(crls.length).toBe(2);
  expect(crls.map((crl) => crl.issuer)).toEqual([issuing?.subject, root?.subject]);
  for (const crl of crls) expect(crlProblem(crl, await authorities())).toBeUndefined();
  if (crls[0] !== undefined && root !== undefined) expect(crlProblem(crls[0], [root])).toBe('it is of another CA');
});

test('one changed bit anywhere in a CRL is noticed', async () => {
  const { pem } = await issued(2);
  const der = Buffer.from(pem.replaceAll(/-----[^-]+-----/g, ''), 'base64');
  const chain = await authorities();
  for (let at = 0; at < der.length; at += 1) {
    const changed = Buffer.from(der);
    changed[at] = (changed[at] ?? 0) ^ 1;
    expect(problemOf(changed, chain), `bit in byte ${at}`).toBeDefined();
  }
});

function problemOf(der: Buffer, chain: Awaited<ReturnType<typeof authorities>>): string | undefined {
  try {
    const [crl] = readCrls(`-----BEGIN X509 CRL-----\n${der.toString('base64')}\n-----END X509 CRL-----`, 'x');
    return crl === undefined ? 'none' : crlProblem(crl, chain);
  } catch (error) {
    return String(error);
  }
}

test('cut short anywhere, a CRL is bad data and no crash', async () => {
  const { pem } = await issued(2);
  const der = Buffer.from(pem.replaceAll(/-----[^-]+-----/g, ''), 'base64');
  for (let length = 0; length < der.length; length += 1) {
    expect(problemOf(der.subarray(0, length), await authorities())).toContain('not a CRL');
  }
});

test('100,000 revocations are read and verified in well under a second', async () => {
  const { pem } = await issued(100_000);
  const chain = await authorities();
  const start = performance.now();
  const [crl] = readCrls(pem, 'x');
  const problem = crl === undefined ? 'none' : crlProblem(crl, chain);
  expect([crl?.revoked.size, problem]).toEqual([100_000, undefined]);
  expect(performance.now() - start).toBeLessThan(1_000);
});

test('an ECDSA CA signs and is believed as well', async () => {
  const [keyPath, certPath] = [join(root, 'ec.key'), join(root, 'ec.pem')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  const files = ['-nodes', '-keyout', keyPath, '-out', certPath, '-subj', '/CN=CA'];
  await exec({ file: 'openssl', args: ['req', '-x509', ...curve, ...files], timeoutMs: 10_000 });
  const certificatePem = await readFile(certPath, 'utf8');
  const revoked = new Map([[7n, '261121031651Z']]);
  const [crl] = readCrls(
    await issueCrl(exec, { certificatePem, keyPath, number: 1n, revoked, work: join(root, 'work') }),
    'x',
  );
  expect(crl === undefined ? 'none' : crlProblem(crl, readCertificates(certificatePem, certPath))).toBeUndefined();
});

test('the key of a CA is told from another one, and from junk', async () => {
  const [authority] = await authorities();
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  if (authority === undefined) throw new Error('no CA');
  expect(isKeyOf(await read('ca_key.pem'), authority)).toBe(true);
  expect([isKeyOf(other, authority), isKeyOf('junk', authority)]).toEqual([false, false]);
});

test('what is no certificate is bad data that names the file', () => {
  expect(() => readCertificates('junk', '/ca/signed/x.pem')).toThrow('no CERTIFICATE in the file (/ca/signed/x.pem)');
});
