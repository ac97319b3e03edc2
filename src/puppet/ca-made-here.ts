import { readFile } from 'node:fs/promises';
import { certnameOf } from '../rules/ca-paths.ts';
import { missingLines, wholeLines } from '../rules/inventory.ts';
import type { OwnCertificate, OwnOfCa } from '../rules/made-here.ts';
import { readCertificates, type Certificate } from '../system/certificates.ts';
import type { Drift } from './ca-drift.ts';
import { contentProblem, liveLists, type LiveCa } from './ca-live.ts';

/**
 * What this master's CA has that the active's lacks, for it to adopt. `renewed`: paths of certificates that this master
 * renewed. What is no certificate of this CA, and what is revoked, is left out.
 */
export async function ownOfCa(
  live: LiveCa,
  { own, wish }: Pick<Drift, 'own' | 'wish'>,
  renewed: readonly string[],
): Promise<OwnOfCa> {
  const authorities = await live.authorities();
  const revoked = new Set((await liveLists(live)).flatMap((list) => [...list.revoked.keys()]));
  const certificates: OwnCertificate[] = [];
  for (const path of [...own.certificates, ...renewed].sort()) {
    const certificate = await readOwn(live, path, authorities, revoked);
    if (certificate !== undefined) certificates.push(certificate);
  }
  const accepted = wish.inventoryLines.map((line) => `${line}\n`).join('');
  return {
    certificates,
    inventory: missingLines(accepted, wholeLines(await live.text('inventory.txt'))),
    revocations: own.revocations,
  };
}

async function readOwn(
  live: LiveCa,
  path: string,
  authorities: readonly Certificate[],
  revoked: ReadonlySet<bigint>,
): Promise<OwnCertificate | undefined> {
  const problem = await contentProblem(path, live.path(path), authorities, live.readCrls);
  if (problem !== undefined) return undefined;
  const pem = await readFile(live.path(path), 'latin1');
  const serial = readCertificates(pem, path)[0]?.serial;
  return serial === undefined || revoked.has(serial) ? undefined : { certname: certnameOf(path), pem };
}
