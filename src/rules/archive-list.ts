/** One line of `pg_restore -l`. */
export interface ArchiveEntry {
  readonly line: string;
  /** Such as `TABLE DATA`. */
  readonly kind: string;
  /** `-` where there is none. */
  readonly schema: string;
  readonly name: string;
  readonly owner: string;
}

// Longest first: `TABLE DATA public x` is not a TABLE in a schema DATA.
const kinds = [
  'SUBSCRIPTION TABLE', 'SUBSCRIPTION', 'PUBLICATION TABLES IN SCHEMA', 'PUBLICATION TABLE', 'PUBLICATION',
  'EVENT TRIGGER', 'EXTENSION', 'DEFAULT ACL', 'COMMENT', 'SECURITY LABEL', 'ACL', 'SCHEMA', 'SEQUENCE SET',
  'DATABASE PROPERTIES', 'DATABASE',
]; // prettier-ignore

const leftOut = new Set(['SUBSCRIPTION TABLE', 'SUBSCRIPTION', 'PUBLICATION TABLES IN SCHEMA', 'PUBLICATION TABLE',
  'PUBLICATION', 'EVENT TRIGGER', 'EXTENSION', 'SECURITY LABEL', 'DATABASE PROPERTIES', 'DATABASE']); // prettier-ignore

export function parseArchiveList(text: string): ArchiveEntry[] {
  const entries: ArchiveEntry[] = [];
  for (const line of text.split('\n')) {
    const match = /^\d+; \d+ \d+ (.+)$/.exec(line);
    if (match === null) continue;
    const rest = match[1] ?? '';
    const kind = kinds.find((known) => rest.startsWith(`${known} `)) ?? rest.replace(/ [^A-Z].*$/, '');
    const words = rest.slice(kind.length + 1).split(' ');
    entries.push({ line, kind, schema: words[0] ?? '', name: words.slice(1, -1).join(' '), owner: words.at(-1) ?? '' });
  }
  return entries;
}

export interface ListFilter {
  /** Role whose default privileges count: the owner of the database. */
  readonly owner: string;
  /** False where schema public belongs to a superuser: then its grants are ours to copy from live. */
  readonly publicIsOwners: boolean;
}

/** The list without what a spare must not or cannot restore as an unprivileged role. */
export function filterArchiveList(entries: readonly ArchiveEntry[], filter: ListFilter): string {
  const kept = entries.filter((entry) => isRestored(entry, filter));
  return kept.map((entry) => `${entry.line}\n`).join('');
}

function isRestored({ kind, schema, name, owner }: ArchiveEntry, filter: ListFilter): boolean {
  if (leftOut.has(kind) || schema === 'pglogical') return false;
  const about = /^(EXTENSION|EVENT TRIGGER|PUBLICATION|SUBSCRIPTION|SCHEMA) (.*)$/.exec(name);
  if (kind === 'SCHEMA' && (name === 'pglogical' || name === 'public')) return false;
  if (kind === 'DEFAULT ACL') return owner === filter.owner;
  if (about === null || (kind !== 'COMMENT' && kind !== 'ACL')) return true;
  if (about[1] !== 'SCHEMA') return false;
  if (about[2] === 'pglogical') return false;
  return about[2] !== 'public' || filter.publicIsOwners;
}

/** The list of the entries that set sequences: what a dump really holds, whatever moved on since. */
export const sequenceList = (entries: readonly ArchiveEntry[]): string =>
  entries
    .filter((entry) => entry.kind === 'SEQUENCE SET')
    .map((entry) => `${entry.line}\n`)
    .join('');
