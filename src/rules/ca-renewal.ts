/** What a rule needs to know of one certificate of `ca_crt.pem`. */
export interface CaCertificateFacts {
  readonly name: string;
  readonly fingerprint: string;
  /** Names of subject and issuer, and the public key, as any text that is the same for the same. */
  readonly subject: string;
  readonly issuer: string;
  readonly key: string;
  readonly isCa: boolean;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Signed by a certificate of its own bundle. */
  readonly isSigned: boolean;
}

export interface CaRenewal {
  readonly name: string;
  readonly from: { readonly fingerprint: string; readonly notAfter: Date };
  readonly to: { readonly fingerprint: string; readonly notAfter: Date };
}

/** Clocks of two masters differ; a certificate that begins later than this would shut out whoever asks here. */
const skewMs = 3_600_000;

/**
 * The certificates that `after` has anew, where it is the same chain with a longer life: the same names and keys under the same
 * issuers, each signed within the bundle, in force now, and none ending earlier. Undefined: it is another CA, or another chain.
 */
export function caRenewal(
  before: readonly CaCertificateFacts[],
  after: readonly CaCertificateFacts[],
  now: Date,
): CaRenewal[] | undefined {
  if (before.length === 0 || before.length !== after.length) return undefined;
  const renewals: CaRenewal[] = [];
  const left = [...after];
  for (const from of before) {
    const at = left.findIndex((to) => isSameAuthority(from, to));
    const [to] = at < 0 ? [] : left.splice(at, 1);
    if (to === undefined) return undefined;
    if (to.fingerprint === from.fingerprint) continue;
    if (!isInForce(to, now) || to.notAfter < from.notAfter) return undefined;
    renewals.push({ name: from.name, from, to });
  }
  return renewals;
}

const isSameAuthority = (from: CaCertificateFacts, to: CaCertificateFacts): boolean =>
  from.subject === to.subject && from.key === to.key && from.issuer === to.issuer;

const isInForce = ({ isCa, isSigned, notBefore, notAfter }: CaCertificateFacts, now: Date): boolean =>
  isCa && isSigned && notBefore.getTime() <= now.getTime() + skewMs && notAfter > now;

/** The line for the log, where something was renewed. */
export function renewalSentence(renewals: readonly CaRenewal[]): string {
  const shown = ({ fingerprint, notAfter }: CaRenewal['from']): string =>
    `${fingerprint} (until ${notAfter.toISOString().slice(0, 10)})`;
  const pairs = renewals.map(({ name, from, to }) => `${name}: ${shown(from)} -> ${shown(to)}`);
  return `The CA certificate was renewed with its key, and is live here: ${pairs.join('; ')}`;
}
