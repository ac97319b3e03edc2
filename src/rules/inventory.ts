import { sumOf } from './set-digest.ts';

/** One line of inventory.txt: `0xSSSS notBefore notAfter /CN=name`. */
export interface InventoryLine {
  readonly serial: bigint;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly name: string;
}

const pattern = /^0x([0-9A-Fa-f]{1,40}) (\S+) (\S+) \/(?:.*\/)?CN=(.+)$/;

export function parseInventoryLine(line: string): InventoryLine | undefined {
  const match = pattern.exec(line);
  if (match === null) return undefined;
  const [, serial = '', notBefore = '', notAfter = '', name = ''] = match;
  return { serial: BigInt(`0x${serial}`), notBefore, notAfter, name };
}

/** The whole lines of an inventory. A torn last line (no newline yet) is not there yet. */
export function wholeLines(text: string): string[] {
  const end = text.lastIndexOf('\n');
  return end < 0
    ? []
    : text
        .slice(0, end)
        .split('\n')
        .filter((line) => line !== '');
}

/** Whole lines that name no certificate, such as two that were glued together; older CAs begin with comments. */
export const strangeLines = (text: string): string[] =>
  wholeLines(text).filter((line) => !line.startsWith('#') && parseInventoryLine(line) === undefined);

/**
 * Lines of `incoming` whose certificate `live` has no line of, each once, in their order; lines that are none are left out. By
 * certificate, not by serial: one may have been given out twice.
 */
export function missingLines(live: string, incoming: readonly string[]): string[] {
  const wanted = new Map<string, string>();
  const serials = new Set<string>();
  for (const text of unlike(live, incoming)) {
    const line = parseInventoryLine(text);
    if (line === undefined) continue;
    serials.add(digitsOf(line.serial));
    if (!wanted.has(keyOf(line))) wanted.set(keyOf(line), text);
  }
  if (wanted.size === 0) return [];
  for (const text of linesOfSerials(live, serials)) {
    const line = parseInventoryLine(text);
    if (line !== undefined) wanted.delete(keyOf(line));
  }
  return [...wanted.values()];
}

// Of a whole inventory nearly every line is there to the letter: those need not be taken apart.
function unlike(live: string, incoming: readonly string[]): Iterable<string> {
  if (incoming.length < 1_000) return incoming;
  const rest = new Set(incoming);
  for (const text of wholeLines(live)) rest.delete(text);
  return rest;
}

const keyOf = ({ serial, notBefore, name }: InventoryLine): string => `${digitsOf(serial)} ${notBefore} ${name}`;

// Of 100,000 lines only the serials are cut out: this runs at each signing.
function* linesOfSerials(live: string, serials: ReadonlySet<string>): Generator<string> {
  const end = live.lastIndexOf('\n');
  for (let at = 0; at < end;) {
    const stop = live.indexOf('\n', at);
    const space = live.indexOf(' ', at);
    const digits = live.slice(at + 2, space < 0 || space > stop ? stop : space);
    if (serials.has(canonical(digits))) yield live.slice(at, stop);
    at = stop + 1;
  }
}

/** The lines of an inventory that have one of these serials, by serial. */
export function sameSerialLines(inventory: string, serials: ReadonlySet<bigint>): Map<bigint, InventoryLine[]> {
  const found = new Map<bigint, InventoryLine[]>();
  const digits = new Set([...serials].map(digitsOf));
  for (const text of linesOfSerials(inventory, digits)) {
    const line = parseInventoryLine(text);
    if (line !== undefined) found.set(line.serial, [...(found.get(line.serial) ?? []), line]);
  }
  return found;
}

/** Two times as inventories write them, or ISO 8601. What is no time is no difference. */
export function sameMoment(one: string, other: string): boolean {
  const [a, b] = [momentOf(one), momentOf(other)];
  return Number.isNaN(a) || Number.isNaN(b) ? true : a === b;
}

/** What to append, in one write, so that `lines` are there: a torn last line is closed first and becomes a line of its own. */
export function appendix(live: string, lines: readonly string[]): string {
  if (lines.length === 0) return '';
  const torn = live !== '' && !live.endsWith('\n');
  return `${torn ? '\n' : ''}${lines.join('\n')}\n`;
}

/** Serials whose certificates have ended at `now`: a CRL may forget them. */
export function expiredSerials(inventory: string, now: Date): (serial: bigint) => boolean {
  let expired: Set<bigint> | undefined;
  const read = (): Set<bigint> => {
    const lines = wholeLines(inventory).map(parseInventoryLine);
    const isOver = (line: InventoryLine): boolean => momentOf(line.notAfter) < now.getTime();
    const over = new Set(lines.flatMap((line) => (line !== undefined && isOver(line) ? line.serial : [])));
    for (const line of lines) if (line !== undefined && !isOver(line)) over.delete(line.serial); // given out twice
    return over;
  };
  return (serial) => (expired ??= read()).has(serial);
}

/** How lines enter the digest of the set. */
export const inventoryWeight = (lines: readonly string[]): bigint =>
  sumOf(lines.map((line) => `inventory.txt\0${line}`));

/** Milliseconds; NaN of what is no time. Puppet writes 2026-11-21T03:16:51UTC. */
export const momentOf = (text: string): number => Date.parse(text.replace(/UTC$/, 'Z'));

const digitsOf = (serial: bigint): string => serial.toString(16).toUpperCase();

const canonical = (digits: string): string => {
  const upper = digits.toUpperCase();
  return upper.startsWith('0') ? upper.replace(/^0+(?=.)/, '') : upper;
};
