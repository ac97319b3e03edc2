import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readCrls } from '../../src/system/certificates.ts';
import { createTestCa, type TestCa } from '../stand-in/ca.ts';
import { eventually } from './eventually.ts';
import { openLab } from './lab.ts';
import {
  asMaster,
  caFingerprint,
  installPair,
  keyFile,
  secrets,
  untilAgreed,
  type LabMaster,
  type LabPair,
} from './pair.ts';
import { configurePuppet, provideAlerts, provideConsole, provideDatabase, ssldir, write } from './provision.ts';

/** Two hosts with a CA of files: it is written as puppetserver writes it, and nothing serves it. Ready in seconds. */
export interface LightPair extends LabPair, AsyncDisposable {
  readonly ca: TestCa;
}

const say = (line: string): void => void process.stderr.write(`lab: ${line}\n`);

export const filesOnly = `---
jobs: {nc_dump: {enabled: false}, restore_nc: {enabled: false}}
files: [${secrets}]
retention: {free_space: 10MB}
`;

export interface LightOptions {
  /** Of both masters. */
  readonly configuration?: string;
  /** With pe-rbac, and console services that use it. */
  readonly withConsole?: boolean;
}

/** `name` tells it from other labs on this machine. */
export async function startLightPair(
  name: string,
  { configuration = filesOnly, withConsole = false }: LightOptions = {},
): Promise<LightPair> {
  const lab = await openLab(`test-${name}`, { say });
  try {
    const [hostA, hostB] = [lab.host('mastera'), lab.host('masterb')];
    await Promise.all([hostA.boot(), hostB.boot()]);
    const [a, b] = [asMaster(hostA), asMaster(hostB)];
    for (const master of [a, b]) {
      await configurePuppet(master, master.fqdn);
      await provideAlerts(master);
    }
    const ca = await createTestCa(a.cadir, { name: a.fqdn });
    await ca.signMany(['mastera.lab', 'one.lab', 'two.lab']);
    await write(a, `${secrets}/eyaml`, 'first secret\n', 0o600);
    if (withConsole) await provideServices({ a, b }, ca);
    await installPair({ a, b }, say, { yaml: configuration });
    if (withConsole) await b.sh(`pe-failover adopt ${await caFingerprint(a)}`); // the databases too

    await untilAgreed({ a, b });
    return { lab, a, b, ca, [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose]() };
  } catch (error) {
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}

/** The spare has a certificate of the active's CA already, so its console can start before the CA is there. */
async function provideServices({ a, b }: Pick<LabPair, 'a' | 'b'>, ca: TestCa): Promise<void> {
  await write(a, keyFile, '{"key": "of mastera"}\n', 0o600);
  for (const [master, size] of [
    [a, {}],
    [b, { subjects: 20, tokens: 3 }],
  ] as const) {
    const { key, cert, ca: chain, crl } = await ca.hostCertificate(master.fqdn);
    await write(master, `${ssldir}/private_keys/${master.fqdn}.pem`, key, 0o640);
    await write(master, `${ssldir}/certs/${master.fqdn}.pem`, cert);
    await write(master, `${ssldir}/certs/ca.pem`, chain);
    await write(master, `${ssldir}/crl.pem`, crl);
    await provideDatabase(master, size);
    await provideConsole(master);
  }
}

/** What differs between the CA of the active and what the spare has of it; the spare may have more. */
export function missingOn(spare: LabMaster, active: LabMaster): string[] {
  const missing: string[] = [];
  const signed = (master: LabMaster): string => join(master.cadir, 'signed');
  const there = new Set(readdirSync(signed(spare)));
  for (const name of readdirSync(signed(active))) {
    if (!name.endsWith('.pem') || name === `${spare.fqdn}.pem`) continue;
    const own = readFileSync(join(signed(active), name), 'utf8');
    if (!there.has(name) || readFileSync(join(signed(spare), name), 'utf8') !== own) missing.push(name);
  }
  const lines = new Set(readFileSync(join(spare.cadir, 'inventory.txt'), 'utf8').split('\n'));
  for (const line of readFileSync(join(active.cadir, 'inventory.txt'), 'utf8').split('\n'))
    if (line !== '' && !lines.has(line)) missing.push(`inventory: ${line}`);
  return missing;
}

/** Until the spare has all certificates and revocations of the active. Gives how long it took, in milliseconds. */
export const untilCaEqual = ({ a, b }: LabPair, withinMs = 30_000): Promise<number> => untilSameCa(a, b, withinMs);

export async function untilSameCa(a: LabMaster, b: LabMaster, withinMs: number): Promise<number> {
  const start = performance.now();
  const equal = (): boolean => {
    const missing = missingOn(b, a);
    if (missing.length > 0)
      throw new Error(`missing on ${b.name}: ${missing.slice(0, 5).join(', ')} (${missing.length})`);
    const [listed, live] = [a, b].map(({ cadir }) => readFileSync(join(cadir, 'ca_crl.pem'), 'utf8')) as [
      string,
      string,
    ];
    if (listed !== live) throw new Error(`${describeCrl(a, listed)}, ${describeCrl(b, live)}`);
    return true;
  };
  await eventually(`the CA of ${b.name} is that of ${a.name}`, equal, { withinMs });
  return performance.now() - start;
}

function describeCrl({ name }: LabMaster, text: string): string {
  const [own] = readCrls(Buffer.from(text), name);
  return `CRL ${own?.number} of ${name} has ${own?.revoked.size} entries`;
}
