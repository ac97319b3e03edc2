import { join } from 'node:path';
import type { AcceptedSet } from '../system/accepted-set.ts';
import { readCertificates } from '../system/certificates.ts';
import type { ContentStore } from '../system/content-store.ts';
import { readBytesIfThere } from '../system/files.ts';
import type { LiveCa } from './ca-live.ts';

interface Sides {
  readonly live: LiveCa;
  readonly set: AcceptedSet;
  readonly content: ContentStore;
}

const hint = 'On the active, pe-failover status shows its fingerprint; here, type: pe-failover adopt FINGERPRINT';

/**
 * Why nothing of the active's CA may go live here: there is no CA, or one of another key. INVARIANT: a CA certificate
 * goes live only beside the key that it has had here. Undefined: it is our CA. `arrived`: where a drop's files lie.
 */
export async function foreignCa({ live, set, content }: Sides, arrived?: string): Promise<string | undefined> {
  const here = await readBytesIfThere(live.path('ca_crt.pem'));
  if (here === undefined) return `no CA was adopted here yet. ${hint}`;
  const brought = arrived === undefined ? undefined : await readBytesIfThere(join(arrived, 'ca_crt.pem'));
  const accepted = set.get('ca_crt.pem');
  const theirs = brought ?? (accepted && (await readBytesIfThere(content.path(accepted.sha256))));
  if (theirs === undefined || theirs.equals(here)) return undefined;
  if (isSameKey(here, theirs)) return undefined;
  return `the active's CA is another one, with another key, than the CA here, which stays as it is. ${hint}`;
}

/** Of the issuing certificates, the first of each bundle. One that can't be read is of no key. */
function isSameKey(one: Buffer, other: Buffer): boolean {
  try {
    const [a, b] = [readCertificates(one, 'ca_crt.pem')[0], readCertificates(other, 'ca_crt.pem')[0]];
    return a !== undefined && b !== undefined && a.x509.publicKey.equals(b.x509.publicKey);
  } catch {
    return false;
  }
}
