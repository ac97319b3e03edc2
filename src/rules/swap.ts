/** OIDs by the names that a swap works with; a database keeps its OID through a rename. */
export interface SwapFacts {
  /** OID of what is called by the live name now, if anything. */
  readonly live: number | undefined;
  /** OID of the database that was live before. */
  readonly old: number;
  /** OID of the one that was to become live. */
  readonly fresh: number;
  /** True when a database with this OID still exists. */
  readonly oldExists: boolean;
  readonly freshExists: boolean;
}

export type SwapDirection =
  { readonly way: 'finish' | 'undo'; readonly why: string } | { readonly way: 'stuck'; readonly why: string };

/** Which way an interrupted swap goes. The renames are one transaction, so the live name says how far it came. */
export function swapDirection({ live, old, fresh, oldExists, freshExists }: SwapFacts): SwapDirection {
  if (live === fresh) return { way: 'finish', why: 'the new database already has the live name' };
  if (live === old) return { way: 'undo', why: 'the old database still has the live name' };
  const there = `old (OID ${old}) ${oldExists ? 'exists' : 'is gone'}, new (OID ${fresh}) ${freshExists ? 'exists' : 'is gone'}`;
  if (live === undefined) return { way: 'stuck', why: `no database has the live name: ${there}` };
  return { way: 'stuck', why: `a database that we do not know (OID ${live}) has the live name: ${there}` };
}
