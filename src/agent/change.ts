/** One thing that an installation or a removal makes so, if it is not so already. */
export interface Change {
  /** As the admin reads it: "make /var/lib/pe_failover (0710)". */
  readonly what: string;
  /** Looks at the world alone, so that the next run finishes what a killed one began. */
  isNeeded(): Promise<boolean>;
  make(): Promise<void>;
}

export interface Making {
  readonly dryRun: boolean;
  readonly say: (line: string) => void;
  /** After each change that was made. */
  readonly made?: (what: string) => void;
}

/** Makes what is needed, in order. Returns how many that were, or would be. */
export async function makeChanges(changes: readonly Change[], { dryRun, say, made }: Making): Promise<number> {
  let count = 0;
  for (const change of changes) {
    if (!(await change.isNeeded())) continue;
    count += 1;
    say(`${dryRun ? 'would ' : ''}${change.what}`);
    if (dryRun) continue;
    await change.make();
    made?.(change.what);
  }
  return count;
}
