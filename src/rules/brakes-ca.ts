import type { IssuerDecision } from './crl.ts';
import { formatSerial } from './serial.ts';
import { isTooMuch, type BrakeLimits } from './brake-limits.ts';
import { counted } from './spoken.ts';

export type CaBrake = 'ca-changed' | 'crl-lost' | 'crl-unmerged' | 'ca-source-empty' | 'certificates-vanish';

/** One thing that does not go live by itself. `difference` is the same for the same cause, so that its hash can name it. */
export interface CaHold {
  readonly rule: CaBrake;
  readonly sentence: string;
  readonly difference: readonly string[];
  /** What of the drop waits; everything else goes live. */
  readonly paths: readonly string[];
  /** Revocations that end here when it is released. */
  readonly serials: readonly bigint[];
}

export interface CaChange {
  /** `ca_crt.pem` and keys that would replace others, and are no renewal: path and readable fingerprints. */
  readonly changedCa: readonly { readonly path: string; readonly from: string; readonly to: string }[];
  readonly crls: readonly (IssuerDecision & { readonly issuerName: string })[];
  /** Certificates of the accepted set, before and after. */
  readonly certificatesBefore: number;
  readonly certificatesAfter: number;
  readonly vanish: VanishFacts;
}

/** Removals of certificates; paths are below signed/. */
export interface VanishFacts {
  /** Those that would be removed now. */
  readonly vanishing: readonly string[];
  /** Of these, the ones that are older than the window. */
  readonly old: readonly string[];
  /** Those that an open hold keeps already. */
  readonly waiting: readonly string[];
  /** How many the active has announced: they count as none. */
  readonly expected: number;
  /** How many old ones vanished on the active in the window until now. */
  readonly before: number;
  /** How many new names came in the window, and are there: who replaces a machine lost none. */
  readonly replaced: number;
}

export const certificateLimits: BrakeLimits = { share: 0.2, atLeast: 10 };

/** The first rules against mirroring a mistake. */
export function brakeCa(change: CaChange, limits: BrakeLimits = certificateLimits): CaHold[] {
  return [caChanged(change), crlLost(change), crlUnmerged(change), vanish(change, limits)].filter(
    (hold) => hold !== undefined,
  );
}

function caChanged({ changedCa }: CaChange): CaHold | undefined {
  if (changedCa.length === 0) return undefined;
  return {
    rule: 'ca-changed',
    sentence: `The active's CA is another one: ${changedCa.map(({ path }) => path).join(', ')} would be replaced`,
    difference: changedCa.flatMap(({ path, from, to }) => [`- ${path}: ${from}`, `+ ${path}: ${to}`]),
    paths: changedCa.map(({ path }) => path),
    serials: [],
  };
}

function crlLost({ crls }: CaChange): CaHold | undefined {
  const losing = crls.filter(({ lost }) => lost.length > 0);
  if (losing.length === 0) return undefined;
  const count = losing.reduce((sum, { lost }) => sum + lost.length, 0);
  return {
    rule: 'crl-lost',
    sentence: `The active's CRL no longer revokes ${counted(count, 'certificate')} that it revoked before`,
    difference: losing.flatMap(({ issuerName, lost }) =>
      lost.map((serial) => `${issuerName}: no longer revoked: 0x${formatSerial(serial)}`),
    ),
    paths: [],
    serials: losing.flatMap(({ lost }) => lost),
  };
}

// Both sides revoked, and the key that could sign the union is not here.
function crlUnmerged({ crls }: CaChange): CaHold | undefined {
  const stuck = crls.filter(({ waiting, lost }) => waiting.length > 0 && lost.length === 0);
  if (stuck.length === 0) return undefined;
  const count = stuck.reduce((sum, { waiting }) => sum + waiting.length, 0);
  return {
    rule: 'crl-unmerged',
    sentence: `${counted(count, 'revocation')} of the active can't be merged with this master's own without the CA key`,
    difference: stuck.flatMap(({ issuerName, waiting, madeHere }) => [
      ...waiting.map((serial) => `${issuerName}: not revoked here: 0x${formatSerial(serial)}`),
      ...madeHere.map((serial) => `${issuerName}: revoked here only: 0x${formatSerial(serial)}`),
    ]),
    paths: [],
    serials: stuck.flatMap(({ madeHere }) => madeHere),
  };
}

/** At once every removal counts; over a window, certificates that were there when it began and that nothing replaced. */
function vanish(
  { certificatesBefore, certificatesAfter, vanish: facts }: CaChange,
  limits: BrakeLimits,
): CaHold | undefined {
  const { vanishing, old, waiting, expected, before, replaced } = facts;
  if (vanishing.length === 0) return undefined;
  const count = counted(vanishing.length, 'certificate');
  if (certificatesAfter === 0) {
    const sentence = `The active has no certificates left: all ${count} would go`;
    return { rule: 'ca-source-empty', sentence, ...removing(vanishing) };
  }
  const rule = 'certificates-vanish';
  if (isTooMuch(vanishing.length - expected, certificatesBefore, limits)) {
    const sentence = `${count} of ${certificatesBefore} vanished on the active`;
    return { rule, sentence, ...removing([...vanishing, ...waiting]) };
  }
  const unexpected = old.length - expected;
  const [gone, all] = [before + unexpected, before + certificatesBefore];
  if (unexpected <= 0 || !isTooMuch(gone - replaced, all, limits)) return undefined;
  const paths = [...old, ...waiting];
  const waits = counted(paths.length, 'removal waits', 'removals wait');
  const sentence = `${counted(gone, 'certificate')} of ${all} vanished on the active within a day; ${waits}`;
  return { rule, sentence, ...removing(paths) };
}

const removing = (paths: readonly string[]) => ({
  difference: paths.map((path) => `removed: ${path}`).sort(),
  paths,
  serials: [],
});
