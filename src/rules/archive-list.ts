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
  'PUBLICATION', 'EVENT TRIGGER', 'EXTENSION', 'SCHEMA', 'DEFAULT ACL', 'SECURITY LABEL', 'DATABASE PROPERTIES', 'DATABASE']); // prettier-ignore

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

/**
 * The list without what a superuser makes beforehand or sets afterwards (extensions and their rights, schemas, default rights), and
 * without what a spare must not have. `owners`: all roles that own something of the dump's own.
 */
export function filterArchiveList(entries: readonly ArchiveEntry[], owners: readonly string[]): string {
  const kept = entries.filter((entry) => isRestored(entry, owners));
  return kept.map((entry) => `${entry.line}\n`).join('');
}

// Of members of extensions a dump has these, and others own those.
const ofMembersToo = new Set(['ACL', 'TABLE DATA', 'SEQUENCE SET']);
const about = /^(EXTENSION|EVENT TRIGGER|PUBLICATION|SUBSCRIPTION|SCHEMA) /;

function isRestored({ line, kind, schema, name }: ArchiveEntry, owners: readonly string[]): boolean {
  if (leftOut.has(kind) || schema === 'pglogical') return false;
  if ((kind === 'COMMENT' || kind === 'ACL') && about.test(name)) return false;
  // Not the last word: a name may have blanks.
  return !ofMembersToo.has(kind) || owners.some((owner) => line.endsWith(` ${owner}`));
}

/** The list of the entries that set sequences: what a dump really holds, whatever moved on since. */
export const sequenceList = (entries: readonly ArchiveEntry[]): string =>
  entries
    .filter((entry) => entry.kind === 'SEQUENCE SET')
    .map((entry) => `${entry.line}\n`)
    .join('');
