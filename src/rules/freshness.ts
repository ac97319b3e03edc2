/** How far a time may lie in the future before we no longer believe it. */
const skewMs = 60_000;

/** When both masters last agreed, as far as it can be told. Times in ISO 8601, all by this master's own clock. */
export interface Freshness {
  readonly confirmed?: string;
  /** Undefined: never, or not known. */
  readonly ageSeconds?: number;
  /** Why the age is not known though there is a time. */
  readonly doubt?: string;
}

/** Of several proofs the newest counts, and one of the future only where there is no other. */
export function freshnessOf(times: readonly (string | undefined)[], now: Date): Freshness {
  const known = times.filter((at) => at !== undefined).sort();
  const at = known.findLast((time) => isBelievable(time, now)) ?? known.at(-1);
  if (at === undefined) return {};
  if (!isBelievable(at, now)) {
    const doubt = `${at}, when it was last confirmed, is still to come: the clock of this master was set back`;
    return { confirmed: at, doubt };
  }
  return { confirmed: at, ageSeconds: Math.max(0, Math.round((now.getTime() - Date.parse(at)) / 1000)) };
}

const isBelievable = (at: string, now: Date): boolean => Date.parse(at) <= now.getTime() + skewMs;
