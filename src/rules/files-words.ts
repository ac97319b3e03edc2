import type { DropContent } from './drop-line.ts';
import { spokenBytes } from './spoken.ts';

interface Content {
  readonly size: number;
  readonly sha256: string;
}

/** What is known of files after some drops: undefined for one that went. */
export type KnownFiles = ReadonlyMap<string, Content | undefined>;

/** After these drops, oldest first. */
export function filesAfter(contents: readonly DropContent[]): KnownFiles {
  const known = new Map<string, Content | undefined>();
  for (const { files, deleted, kind, counts } of contents) {
    const isAll = kind === 'whole' && counts.files === files.length; // of more the book has the first alone
    if (isAll) for (const path of known.keys()) known.set(path, undefined);
    for (const path of deleted) known.set(path, undefined);
    for (const { path, size, sha256 } of files) known.set(path, { size, sha256 });
  }
  return known;
}

/** By path, size and digest, never by what is in them: they are secrets. */
export function fileLines(before: KnownFiles, after: KnownFiles): string[] {
  return [...after.keys()].sort().flatMap((path) => {
    const [was, is] = [before.get(path), after.get(path)];
    if (was?.sha256 === is?.sha256) return [];
    if (is === undefined) return was === undefined ? [] : [`/${path} went (${contentWords(was)})`];
    if (was === undefined) return [`/${path} ${before.has(path) ? 'came' : 'came or changed'} (${contentWords(is)})`];
    return [`/${path} ${contentWords(was)} -> ${contentWords(is)}`];
  });
}

const contentWords = ({ size, sha256 }: Content): string => `${spokenBytes(size)}, sha256 ${sha256.slice(0, 12)}`;
