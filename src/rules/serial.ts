/** How far the spare's next serial stays above the active's, so that both can sign without ever meeting. */
export const serialGap = 0x186a0n;

// UUID-like serials are no counters: nothing counts up from them.
const counterLimit = 1n << 63n;
export const isCounter = (serial: bigint): boolean => serial < counterLimit;

/** As puppetserver writes it into `serial`: upper-case hexadecimal, at least four digits, no newline. */
export const formatSerial = (serial: bigint): string => serial.toString(16).toUpperCase().padStart(4, '0');

/** The content of a `serial` file, or undefined where it holds none. */
export function parseSerial(text: string): bigint | undefined {
  const digits = text.trim();
  return /^[0-9A-Fa-f]{1,40}$/.test(digits) ? BigInt(`0x${digits}`) : undefined;
}

export interface SerialFacts {
  /** The spare's live next serial. */
  readonly live: bigint | undefined;
  /** The active's next serial, as far as it is known. */
  readonly theirs: bigint | undefined;
  /** Serials seen in certificates or inventory lines of either side; those that are no counters do not count. */
  readonly issued: readonly bigint[];
  readonly gap?: bigint;
}

/** What to raise the spare's serial to, or undefined while it keeps its distance. INVARIANT: never below `live`. */
export function raiseSerial({ live, issued, gap = serialGap, ...facts }: SerialFacts): bigint | undefined {
  // Who takes over what is no counter can never sign again.
  const theirs = facts.theirs !== undefined && isCounter(facts.theirs) ? facts.theirs : undefined;
  const taken = issued.filter(isCounter).map((serial) => serial + 1n);
  const highest = [live ?? 0n, theirs ?? 0n, ...taken].reduce((a, b) => (a > b ? a : b));
  const floor = theirs ?? 0n;
  // Its own issued serials lie right below `live`: distance is measured from the other side's.
  if (live !== undefined && live >= highest && (theirs === undefined || live - floor >= gap / 2n)) return undefined;
  return highest + gap;
}

/**
 * What the active raises its own serial to, or undefined. The spare signs above it, and what it signed stays there: before the
 * active comes near, it leaps over all of it, and the spare's distance follows.
 */
export function leapOver({ live, issued, gap = serialGap }: Omit<SerialFacts, 'theirs'>): bigint | undefined {
  if (live === undefined) return undefined;
  const ahead = issued.filter((serial) => isCounter(serial) && serial >= live);
  const nearest = ahead.reduce<bigint | undefined>(
    (low, one) => (low === undefined || one < low ? one : low),
    undefined,
  );
  if (nearest === undefined || nearest - live > gap / 4n) return undefined;
  return ahead.reduce((high, one) => (one > high ? one : high)) + gap;
}
