import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomInt, webcrypto } from 'node:crypto';
import { appendFile, chmod, mkdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readCertificates, readCrls } from '../../src/system/certificates.ts';

x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);

/** A real CA that writes as puppetserver does: temporary name and rename, `NAME123tmp`; the inventory appended in place. */
export interface TestCa {
  readonly directory: string;
  /** serial, inventory, signed, then the request goes. Returns the serial. The same name again: a renewal. */
  sign(name: string, at?: Date): Promise<bigint>;
  /** `at`: the moment of signing; the certificate begins a day before, as puppetserver makes it. */
  signMany(names: readonly string[], at?: Date): Promise<bigint[]>;
  /** Changes ca_crl.pem and nothing else. */
  revoke(name: string): Promise<void>;
  revokeSerials(serials: readonly bigint[]): Promise<void>;
  /** Revokes, then removes the certificate. */
  clean(name: string): Promise<void>;
  certificatePath(name: string): string;
  /** For TLS of stand-in services: PEM. */
  hostCertificate(
    certname: string,
    altNames?: readonly string[],
  ): Promise<{ key: string; cert: string; ca: string; crl: string }>;
}

export interface TestCaOptions {
  readonly name: string;
}

/** Makes a whole CA directory: root, intermediate, empty lists, no certificates. */
export async function createTestCa(directory: string, { name }: TestCaOptions): Promise<TestCa> {
  await mkdir(join(directory, 'signed'), { recursive: true });
  await mkdir(join(directory, 'requests'), { recursive: true });
  const [root, issuing] = [rsaKey(), rsaKey()];
  const rootName = `CN=Puppet Root CA: ${name}`;
  const caName = `CN=Puppet CA: ${name}`;
  const rootCert = await makeCertificate({
    subject: rootName,
    issuer: rootName,
    serial: 1n,
    subjectKey: root.publicKey,
    signer: root.privateKey,
    isCa: true,
  });
  const caCert = await makeCertificate({
    subject: caName,
    issuer: rootName,
    serial: 2n,
    subjectKey: issuing.publicKey,
    signer: root.privateKey,
    isCa: true,
  });
  const rootCrl = await makeCrl(rootName, root.privateKey, 0n, new Map());
  const caCrl = await makeCrl(caName, issuing.privateKey, 0n, new Map());
  const write = async (file: string, content: string, mode: number): Promise<void> => {
    await writeFile(join(directory, file), content);
    await chmod(join(directory, file), mode);
  };
  await write('ca_crt.pem', caCert + rootCert, 0o644);
  await write('ca_crl.pem', caCrl + rootCrl, 0o644);
  await write('ca_key.pem', issuing.privateKey, 0o640);
  await write('ca_pub.pem', issuing.publicKey, 0o644);
  await write('root_key.pem', root.privateKey, 0o640);
  await write('infra_crl.pem', caCrl + rootCrl, 0o644);
  await write('infra_inventory.txt', '', 0o644);
  await write('infra_serials', '', 0o644);
  await write('inventory.txt', '', 0o644);
  await write('serial', '0003', 0o644);
  return openTestCa(directory);
}

/** A CA over a directory that is there, such as the copy on a spare: it signs with the same key. */
export async function openTestCa(directory: string): Promise<TestCa> {
  const at = (...parts: string[]): string => join(directory, ...parts);
  const key = await readFile(at('ca_key.pem'), 'utf8');
  const [authority] = readCertificates(await readFile(at('ca_crt.pem')), 'ca_crt.pem');
  const caName = authority?.x509.subject ?? '';
  const host = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const hostKey = host.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const replace = async (path: string, content: string, mode: number): Promise<void> => {
    const temporary = `${path}${randomInt(1e9)}${randomInt(1e9)}tmp`;
    await writeFile(temporary, content);
    await chmod(temporary, mode);
    await rename(temporary, path);
  };
  const issue = (name: string, serial: bigint, further: Partial<CertificateRequest> = {}) =>
    makeCertificate({
      ...{ subject: `CN=${name}`, issuer: caName, serial, subjectKey: hostKey, signer: key, isCa: false },
      ...further,
    });
  const publish = async (name: string, serial: bigint, pem: string, begin = notBefore): Promise<void> => {
    await replace(at('serial'), hex(serial + 1n), 0o644);
    await appendFile(at('inventory.txt'), inventoryLine(name, serial, begin));
    await replace(at('signed', `${name}.pem`), pem, 0o644);
    await rm(at('requests', `${name}.pem`), { force: true });
  };
  const nextSerial = async (): Promise<bigint> => BigInt(`0x${await readFile(at('serial'), 'utf8')}`);
  const signMany = async (names: readonly string[], at?: Date): Promise<bigint[]> => {
    const begin = at === undefined ? notBefore : new Date(Math.floor(at.getTime() / 1000 - 86_400) * 1000);
    const first = await nextSerial();
    const ready = await Promise.all(
      names.map(async (name, n) => [name, first + BigInt(n), await issue(name, first + BigInt(n), { begin })] as const),
    );
    for (const [name, serial, pem] of ready) await publish(name, serial, pem, begin);
    return ready.map(([, serial]) => serial);
  };
  const revokeSerials = async (serials: readonly bigint[]): Promise<void> => {
    const [own, ...others] = readCrls(await readFile(at('ca_crl.pem')), 'ca_crl.pem');
    const revoked = new Map(own?.revoked);
    for (const serial of serials) revoked.set(serial, '261121000000Z');
    const pem = await makeCrl(caName, key, (own?.number ?? 0n) + 1n, revoked);
    await replace(at('ca_crl.pem'), pem + others.map((crl) => `${crl.pem}\n`).join(''), 0o644);
  };
  const certificatePath = (name: string): string => at('signed', `${name}.pem`);
  const serialOf = async (name: string): Promise<bigint> =>
    readCertificates(await readFile(certificatePath(name)), name)[0]?.serial ?? 0n;
  const revoke = async (name: string): Promise<void> => revokeSerials([await serialOf(name)]);
  return {
    directory,
    sign: async (name, at) => (await signMany([name], at))[0] ?? 0n,
    signMany,
    revoke,
    revokeSerials,
    clean: async (name) => {
      await revoke(name);
      await unlink(certificatePath(name));
    },
    certificatePath,
    hostCertificate: async (certname, altNames = []) => {
      const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
      const serial = await nextSerial();
      const publicPem = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
      const cert = await issue(certname, serial, { subjectKey: publicPem, altNames: [certname, ...altNames] });
      await publish(certname, serial, cert);
      return {
        key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
        cert,
        ca: await readFile(at('ca_crt.pem'), 'utf8'),
        crl: await readFile(at('ca_crl.pem'), 'utf8'),
      };
    },
  };
}

const hex = (serial: bigint): string => serial.toString(16).toUpperCase().padStart(4, '0');
const inventoryLine = (name: string, serial: bigint, begin: Date): string =>
  `0x${hex(serial)} ${begin.toISOString().slice(0, 19)}UTC 2031-11-20T00:00:00UTC /CN=${name}\n`;

function rsaKey(): { privateKey: string; publicKey: string } {
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    privateKey: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKey: pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
}

const rsaSha256 = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
const notBefore = new Date('2026-11-20T00:00:00Z');
const notAfter = new Date('2031-11-20T00:00:00Z');

const publicKeys = new Map<string, Promise<webcrypto.CryptoKey>>();

async function importPublicKey(pem: string): Promise<webcrypto.CryptoKey> {
  const known = publicKeys.get(pem);
  if (known !== undefined) return known;
  const key = createPublicKey(pem);
  const der = new Uint8Array(key.export({ type: 'spki', format: 'der' }));
  const algorithm = key.asymmetricKeyType === 'ec' ? { name: 'ECDSA', namedCurve: 'P-256' } : rsaSha256;
  const imported = webcrypto.subtle.importKey('spki', der, algorithm, true, ['verify']);
  publicKeys.set(pem, imported);
  return imported;
}

const signingKeys = new Map<string, Promise<webcrypto.CryptoKey>>();

async function signingKey(pem: string): Promise<webcrypto.CryptoKey> {
  const known = signingKeys.get(pem);
  if (known !== undefined) return known;
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  const key = webcrypto.subtle.importKey('pkcs8', new Uint8Array(der), rsaSha256, false, ['sign']);
  signingKeys.set(pem, key);
  return key;
}

interface CertificateRequest {
  readonly subject: string;
  readonly issuer: string;
  readonly serial: bigint;
  readonly subjectKey: string;
  readonly signer: string;
  readonly isCa: boolean;
  readonly begin?: Date;
  readonly altNames?: readonly string[];
}

async function makeCertificate(request: CertificateRequest): Promise<string> {
  const { subject, issuer, serial, subjectKey, signer, isCa, begin = notBefore, altNames = [] } = request;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: evenHex(serial),
    subject,
    issuer,
    notBefore: begin,
    notAfter,
    signingAlgorithm: rsaSha256,
    publicKey: await importPublicKey(subjectKey),
    signingKey: await signingKey(signer),
    extensions: [
      new x509.BasicConstraintsExtension(isCa, undefined, true),
      ...(isCa ? [await x509.SubjectKeyIdentifierExtension.create(await importPublicKey(subjectKey))] : []),
      ...(altNames.length === 0
        ? []
        : [new x509.SubjectAlternativeNameExtension(altNames.map((value) => ({ type: 'dns' as const, value })))]),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}

async function makeCrl(
  issuer: string,
  key: string,
  number: bigint,
  revoked: ReadonlyMap<bigint, string>,
): Promise<string> {
  const digits = evenHex(number);
  const value = Buffer.from(`02${(digits.length / 2).toString(16).padStart(2, '0')}${digits}`, 'hex');
  const crl = await x509.X509CrlGenerator.create({
    issuer,
    thisUpdate: notBefore,
    nextUpdate: notAfter,
    entries: [...revoked.keys()].map((serial) => ({ serialNumber: evenHex(serial), revocationDate: notBefore })),
    extensions: [new x509.Extension('2.5.29.20', false, value)],
    signingAlgorithm: rsaSha256,
    signingKey: await signingKey(key),
  });
  const body = Buffer.from(crl.rawData)
    .toString('base64')
    .replaceAll(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN X509 CRL-----\n${body}\n-----END X509 CRL-----\n`;
}

// DER integers are signed: a leading zero byte where the first bit is set.
function evenHex(value: bigint): string {
  const digits = value.toString(16);
  const even = digits.length % 2 === 0 ? digits : `0${digits}`;
  return parseInt(even.slice(0, 2), 16) >= 0x80 ? `00${even}` : even;
}
