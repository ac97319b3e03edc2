import { join } from 'node:path';
import type { IssuerDecision } from '../rules/crl.ts';
import type { Certificate, Crl } from '../system/certificates.ts';
import { issueCrl } from '../system/crl-issuing.ts';
import type { Exec } from '../system/exec.ts';
import { keyOfCa, type LiveCa } from './ca-live.ts';

/** Read, verified lists of each side, and the serials that a released hold lets go. */
export interface CrlSources {
  readonly incoming: readonly Crl[];
  readonly accepted: readonly Crl[];
  readonly forgiven: ReadonlySet<bigint>;
}

export interface CrlIssuing {
  readonly live: Pick<LiveCa, 'path'>;
  readonly authorities: readonly Certificate[];
  readonly archive: string;
  readonly exec: Exec;
  readonly signal: AbortSignal;
}

/** Each issuer's list as decided. Bytes of the active go live unchanged where nothing must be merged. */
export async function bundleOf(
  issuing: CrlIssuing,
  { incoming, accepted, forgiven }: CrlSources,
  live: readonly Crl[],
  decisions: readonly IssuerDecision[],
): Promise<string> {
  const parts: string[] = [];
  for (const { issuer, use, number } of decisions) {
    const of = (crls: readonly Crl[]): Crl | undefined => crls.find((crl) => crl.issuer === issuer);
    const entries = [of(accepted), of(live), of(incoming)].flatMap((crl) => [...(crl?.revoked ?? [])]);
    const union = new Map(entries.filter(([serial]) => !forgiven.has(serial)));
    const chosen = use === 'live' ? of(live) : of(incoming);
    const pem = use === 'union' ? await reissue(issuing, issuer, number, union) : (chosen ?? of(accepted))?.pem;
    if (pem !== undefined) parts.push(`${pem.trim()}\n`);
  }
  return parts.join('');
}

function reissue(
  { live, authorities, archive, exec, signal }: CrlIssuing,
  issuer: string,
  number: bigint,
  revoked: Crl['revoked'],
): Promise<string> {
  const authority = authorities.find(({ subject }) => subject === issuer);
  const certificatePem = authority?.x509.toString() ?? '';
  const keyPath = live.path(keyOfCa);
  return issueCrl(exec, { certificatePem, keyPath, number, revoked, work: join(archive, '.crl') }, signal);
}
