import { certnameOf } from './ca-paths.ts';
import { mostPaths, type DropContent } from './drop-line.ts';
import { momentOf, parseInventoryLine, wholeLines, type InventoryLine } from './inventory.ts';
import { names } from './history.ts';
import { formatSerial } from './serial.ts';
import { counted } from './spoken.ts';

/** What the live CA tells of the past: its inventory, and when its CRL revoked which serial. */
export interface CaPast {
  readonly lines: readonly InventoryLine[];
  /** Serial to milliseconds since the epoch. */
  readonly revoked: ReadonlyMap<bigint, number>;
}

export const caPast = (inventory: string, revoked: ReadonlyMap<bigint, number>): CaPast => ({
  lines: wholeLines(inventory).flatMap((line) => parseInventoryLine(line) ?? []),
  revoked,
});

/** What changed in a CA between two moments, in milliseconds, or by a drop. */
export interface CertificateChanges {
  readonly signed: readonly string[];
  readonly revoked: readonly string[];
  readonly removed: readonly string[];
}

/** Within `(from, to]`: what a drop brought and took, by its list; what was revoked, by the dates in the live CRL. */
export function certificateChanges(
  content: Pick<DropContent, 'files' | 'deleted'>,
  { from, to }: { readonly from: number; readonly to: number },
  past: CaPast,
): CertificateChanges {
  const named = (paths: readonly string[]): string[] =>
    paths
      .filter((path) => path.startsWith('signed/'))
      .map(certnameOf)
      .sort();
  const revoked = revokedWithin(past, from, to);
  const gone = new Set(revoked.map(({ name }) => name));
  return {
    signed: named(content.files.map(({ path }) => path)),
    revoked: revoked.map(({ name }) => name),
    removed: named(content.deleted).filter((name) => !gone.has(name)),
  };
}

export interface Revoked {
  readonly serial: bigint;
  readonly name: string;
  readonly at: number;
}

export function revokedWithin({ lines, revoked }: CaPast, from: number, to: number): Revoked[] {
  const byserial = new Map(lines.map((line) => [line.serial, line.name]));
  return [...revoked]
    .filter(([, at]) => at > from && at <= to)
    .map(([serial, at]) => ({ serial, at, name: byserial.get(serial) ?? `serial ${formatSerial(serial)}` }))
    .sort((a, b) => a.at - b.at);
}

/** The newest certificate of that name that was signed until then, by the inventory; with a minute for two clocks. */
export function serialOf({ lines }: CaPast, name: string, until: number): string {
  const line = lines.findLast((one) => one.name === name && momentOf(one.notBefore) <= until + 60_000);
  return line === undefined ? 'serial not in the inventory' : `serial ${formatSerial(line.serial)}`;
}

/** "2 certificates signed: a, b; 1 revoked: c". */
export function certificatesSummary(
  { signed, revoked, removed }: CertificateChanges,
  counts: { readonly files: number; readonly deleted: number },
  kind: DropContent['kind'],
): string {
  if (kind === 'whole') return `the whole CA, ${counts.files} files${revokedPart(revoked)}`;
  const isCut = counts.files > mostPaths || counts.deleted > mostPaths;
  const least = isCut ? 'at least ' : ''; // of more the book has the first alone
  const parts = [
    ...(signed.length === 0 ? [] : [`${least}${counted(signed.length, 'certificate')} signed: ${names(signed)}`]),
    ...(revoked.length === 0 ? [] : [`${revoked.length} revoked: ${names(revoked)}`]),
    ...(removed.length === 0 ? [] : [`${least}${removed.length} removed: ${names(removed)}`]),
  ];
  return parts.length === 0 ? 'no certificate; other files of the CA' : parts.join('; ');
}

const revokedPart = (revoked: readonly string[]): string =>
  revoked.length === 0 ? '' : `; ${revoked.length} revoked: ${names(revoked)}`;

/** Milliseconds of a date as it stands in a CRL: UTCTime (of this century) or GeneralizedTime; NaN where it is none. */
export function crlMoment(text: string): number {
  const digits = /^(\d{2}|\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (digits === null) return Number.NaN;
  const [, year = '', month, day, hour, minute, second] = digits;
  return Date.parse(`${year.length === 2 ? `20${year}` : year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}
