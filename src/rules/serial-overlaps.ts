import { parseInventoryLine, momentOf, sameMoment, sameSerialLines, wholeLines } from './inventory.ts';
import { formatSerial, isCounter } from './serial.ts';

/** A certificate as far as it is told apart from another one of its serial. */
export interface Issued {
  readonly serial: bigint;
  readonly name: string;
  /** As in an inventory, or ISO 8601; so is `notAfter`. */
  readonly notBefore: string;
  readonly notAfter: string;
}

/** A serial that was given out twice: what this master knows by it, and what the active does. */
export interface SerialOverlap {
  readonly known: Issued;
  readonly other: Issued;
  /** What the next serial of the active must be at least. */
  readonly raiseTo: bigint;
}

/**
 * What the active gave out with a serial that already belongs to another certificate: lines that are new here (`lines`), and
 * new certificates of which no line tells (`certificates`). What has ended at `now` meets nobody.
 */
export function serialOverlaps(
  inventory: string,
  lines: readonly string[],
  certificates: readonly Issued[],
  now: Date,
): SerialOverlap[] {
  const added = lines.flatMap((line) => parseInventoryLine(line) ?? []);
  if (added.length === 0 && certificates.length === 0) return [];
  const serials = new Set([...added, ...certificates].map(({ serial }) => serial));
  const known = new Map<bigint, Issued[]>(sameSerialLines(inventory, serials));
  const found: Omit<SerialOverlap, 'raiseTo'>[] = [];
  const meet = (other: Issued): void => {
    const namesakes = known.get(other.serial) ?? [];
    if (namesakes.some((one) => isSame(one, other))) return;
    const met = namesakes.find((one) => !isOver(one, now));
    if (met !== undefined && !isOver(other, now)) found.push({ known: met, other });
    known.set(other.serial, [...namesakes, other]);
  };
  for (const line of added) meet(line);
  for (const certificate of certificates) if (known.has(certificate.serial)) meet(certificate);
  if (found.length === 0) return [];
  const raiseTo = aboveAll(inventory, [...added, ...certificates]);
  return found.map((overlap) => ({ ...overlap, raiseTo }));
}

const isOver = ({ notAfter }: Issued, now: Date): boolean => momentOf(notAfter) < now.getTime();

const isSame = (one: Issued, other: Issued): boolean =>
  one.name === other.name && sameMoment(one.notBefore, other.notBefore);

function aboveAll(inventory: string, further: readonly Issued[]): bigint {
  const serials = [...wholeLines(inventory).map(parseInventoryLine), ...further].map((one) => one?.serial ?? 0n);
  return serials.filter(isCounter).reduce((high, serial) => (serial > high ? serial : high), 0n) + 1n;
}

/** The same for the same two certificates. */
export const overlapKey = ({ known, other }: SerialOverlap): string => JSON.stringify([spoken(known), spoken(other)]);

const spoken = ({ serial, name, notBefore }: Issued): string =>
  `0x${formatSerial(serial)} of ${name} (valid from ${notBefore})`;

const shown = 5;

/** What happened, why, and what to type. */
export function overlapSentence(overlaps: readonly SerialOverlap[]): string {
  const pairs = overlaps
    .slice(0, shown)
    .map(({ known, other }) => `${spoken(known)} was given to ${other.name} (valid from ${other.notBefore}), too`);
  const more = overlaps.length > shown ? `, and ${overlaps.length - shown} more` : '';
  const names = overlaps.slice(0, shown).map(({ other }) => other.name);
  const raiseTo = overlaps.reduce((high, one) => (one.raiseTo > high ? one.raiseTo : high), 0n);
  return (
    `The active gave out serials a second time: ${pairs.join('; ')}${more}. A revocation of one revokes both. Its serial ` +
    `counter went back, as after a restored backup. On the active: stop puppetserver, write ${formatSerial(raiseTo)} into ` +
    `"serial" in its CA directory, start it. Then give another certificate to ${names.join(', ')}${more}, without revoking: ` +
    `remove the file in "signed" there, and type on that host: puppet ssl clean; puppet agent -t. ` +
    `"puppetserver ca clean" would revoke both`
  );
}
