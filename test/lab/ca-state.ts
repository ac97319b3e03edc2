import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseInventoryLine, wholeLines } from '../../src/rules/inventory.ts';
import { readCertificates, readCrls } from '../../src/system/certificates.ts';
import type { LabMaster } from './pair.ts';

// What nobody may lose of a CA.

const read = (master: LabMaster, name: string): string => readFileSync(join(master.cadir, name), 'utf8');

export const certificatesOn = (master: LabMaster): string[] => readdirSync(join(master.cadir, 'signed')).sort();
export const inventoryOn = (master: LabMaster): string[] => wholeLines(read(master, 'inventory.txt')).sort();
export const revokedOn = (master: LabMaster): bigint[] =>
  readCrls(read(master, 'ca_crl.pem'), master.name)
    .flatMap(({ revoked }) => [...revoked.keys()])
    .sort((one, other) => (one < other ? -1 : 1));

/** Those that are not revoked: nobody needs the others any more. */
function validOn(master: LabMaster): string[] {
  const revoked = new Set(revokedOn(master));
  return certificatesOn(master).filter((name) => {
    const [certificate] = readCertificates(read(master, `signed/${name}`), name);
    return certificate !== undefined && !revoked.has(certificate.serial);
  });
}

export interface CaState {
  readonly certificates: readonly string[];
  readonly inventory: readonly string[];
  readonly revoked: readonly bigint[];
}

export const caStateOf = (master: LabMaster): CaState => ({
  certificates: validOn(master),
  inventory: inventoryOn(master),
  revoked: revokedOn(master),
});

/** Sentences about what this master lacks of that state. */
export function lostOn(master: LabMaster, state: CaState): string[] {
  const now = { ...caStateOf(master), certificates: certificatesOn(master) };
  const own = `${master.fqdn}.pem`;
  return [
    ...state.certificates.filter((name) => name !== own && !now.certificates.includes(name)),
    ...state.inventory.filter((line) => !now.inventory.includes(line)).map((line) => `inventory: ${line}`),
    ...state.revoked.filter((serial) => !now.revoked.includes(serial)).map((serial) => `revocation of ${serial}`),
  ];
}

/** Serials that stand for two names in an inventory. */
export function givenOutTwice(master: LabMaster): string[] {
  const serials = inventoryOn(master).flatMap((line) => parseInventoryLine(line)?.serial ?? []);
  return serials.filter((serial, at) => serials.indexOf(serial) !== at).map(String);
}
