import { sumOf } from './set-digest.ts';

/** One line of inventory.txt: `0xSSSS notBefore notAfter /CN=name`. */
export interface InventoryLine {
  readonly serial: bigint;
  readonly notAfter: string;
  readonly name: string;
}

const pattern = /^0x([0-9A-Fa-f]{1,40}) (\S+) (\S+) \/(?:.*\/)?CN=(.+)$/;

export function parseInventoryLine(line: string): InventoryLine | undefined {
  const match = pattern.exec(line);
  if (match === null) return undefined;
  return { serial: BigInt(`0x${match[1] ?? ''}`), notAfter: match[3] ?? '', name: match[4] ?? '' };
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

/** Lines of `incoming` whose serial `live` lacks, each once, in their order. Lines that are none are left out. */
export function missingLines(live: string, incoming: readonly string[]): string[] {
  if (incoming.length === 0) return [];
  const known = serialKeys(live);
  const missing: string[] = [];
  for (const line of incoming) {
    if (parseInventoryLine(line) === undefined || known.has(serialKey(line))) continue;
    known.add(serialKey(line));
    missing.push(line);
  }
  return missing;
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
    const old = lines.filter((line) => line !== undefined && Date.parse(inventoryDate(line.notAfter)) < now.getTime());
    return new Set(old.map((line) => line?.serial ?? 0n));
  };
  return (serial) => (expired ??= read()).has(serial);
}

/** How lines enter the digest of the set. */
export const inventoryWeight = (lines: readonly string[]): bigint =>
  sumOf(lines.map((line) => `inventory.txt\0${line}`));

// Puppet writes 2026-11-21T03:16:51UTC.
const inventoryDate = (text: string): string => text.replace(/UTC$/, 'Z');

// Of 100,000 lines only the serials are cut out: this runs at each signing.
function serialKeys(text: string): Set<string> {
  const keys = new Set<string>();
  const end = text.lastIndexOf('\n');
  for (let at = 0; at < end;) {
    const stop = text.indexOf('\n', at);
    const space = text.indexOf(' ', at);
    keys.add(canonical(text.slice(at + 2, space < 0 || space > stop ? stop : space)));
    at = stop + 1;
  }
  return keys;
}

function serialKey(line: string): string {
  const space = line.indexOf(' ');
  return canonical(line.slice(2, space < 0 ? undefined : space));
}

const canonical = (digits: string): string => {
  const upper = digits.toUpperCase();
  return upper.startsWith('0') ? upper.replace(/^0+(?=.)/, '') : upper;
};
