import { kindOf } from '../rules/ca-paths.ts';
import { caRenewal, type CaCertificateFacts, type CaRenewal } from '../rules/ca-renewal.ts';
import { certificateProblem, readCertificates } from '../system/certificates.ts';
import { readIfThere } from '../system/files.ts';
import type { CaWish } from './ca-decision.ts';
import type { LiveCa } from './ca-live.ts';

export interface CaComparison {
  /** Of another CA or another chain: path, and what can be read of both. */
  readonly changed: readonly { readonly path: string; readonly from: string; readonly to: string }[];
  readonly renewed: readonly CaRenewal[];
}

/** The CA's own certificate and key as they would go live, beside those that are live. */
export async function compareCa(
  wish: CaWish,
  hashes: ReadonlyMap<string, string>,
  live: LiveCa,
  now: Date,
): Promise<CaComparison> {
  const changed: CaComparison['changed'][number][] = [];
  const renewed: CaRenewal[] = [];
  for (const { path, sha256 } of wish.incoming) {
    if (kindOf(path) !== 'ca' || !hashes.has(path) || hashes.get(path) === sha256) continue;
    const [here, there] = [await textOf(live.path(path)), await textOf(wish.source(path, sha256))];
    const [from, to] = [spoken(path, here), spoken(path, there)];
    if (from === to) continue;
    const renewals = path === 'ca_crt.pem' ? caRenewal(factsOf(here), factsOf(there), now) : undefined;
    if (renewals === undefined) changed.push({ path, from, to });
    else renewed.push(...renewals);
  }
  return { changed, renewed };
}

const textOf = async (path: string): Promise<string> => (await readIfThere(path)) ?? '';

/** Of a bundle that can't be read there is nothing to be known. */
function factsOf(pem: string): CaCertificateFacts[] {
  try {
    const bundle = readCertificates(pem, 'ca_crt.pem');
    return bundle.map((certificate) => ({
      name: certificate.commonName ?? 'unknown CA',
      fingerprint: certificate.fingerprint,
      subject: certificate.subject,
      issuer: certificate.issuer,
      key: certificate.x509.publicKey.export({ type: 'spki', format: 'der' }).toString('hex'),
      isCa: certificate.x509.ca,
      notBefore: certificate.notBefore,
      notAfter: certificate.notAfter,
      isSigned: certificateProblem(certificate, bundle) === undefined,
    }));
  } catch {
    return [];
  }
}

function spoken(path: string, text: string): string {
  if (path !== 'ca_crt.pem') return text.replaceAll(/-----[^-]+-----|\s/g, '').slice(-64);
  const parts = factsOf(text).map(({ name, fingerprint, notAfter }) => {
    return `${name} until ${notAfter.toISOString().slice(0, 10)}, sha256 ${fingerprint}`;
  });
  return parts.length === 0 ? 'unreadable' : parts.join('; ');
}
