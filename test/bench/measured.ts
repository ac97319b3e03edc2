export interface Measured {
  readonly key: string;
  readonly unit: string;
  /** The median, where there are several samples. */
  readonly ours: number;
  readonly p95?: number;
  readonly target: number;
  readonly met: boolean;
}

export function summary(key: string, unit: string, samples: readonly number[], target: number): Measured {
  const sorted = [...samples].sort((x, y) => x - y);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { key, unit, ours: at(0.5), p95: at(0.95), target, met: at(0.5) <= target };
}
