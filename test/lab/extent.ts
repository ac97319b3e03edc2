/** `./scripts/test lab --long`. */
export const isLong = process.env['PE_FAILOVER_LAB'] === 'long';

/** In the usual part the first of them and every third after it; the long part tries all. */
export const chosenOf = <T>(all: readonly T[]): readonly T[] => (isLong ? all : all.filter((_, n) => n % 3 === 0));
