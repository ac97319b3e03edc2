/** A request as it came: its own words, and the signature that stands among them. */
export interface SignedWords {
  readonly words: readonly string[];
  /** Undefined: nobody signed it. */
  readonly signature?: RequestSignature;
}

export interface RequestSignature {
  /** All that stands before it: what was signed, with the name of the master that it is meant for. */
  readonly covers: string;
  /** Base64. */
  readonly value: string;
}

const mark = 'signed:';
const pattern = /^signed:([A-Za-z0-9+/]{64,200}={0,2})$/;

/** What the peer's root signs: a request is worth nothing at another master. */
export const requestText = (covers: string, target: string): string => `${covers}\nfor ${target}`;

export const withSignature = (covers: string, signature: string): string => `${covers} ${mark}${signature}`;

/** `at`: how many words stand before the signature; the last one where that is open. Undefined where it stands elsewhere. */
export function takeSignature(words: readonly string[], at?: number): SignedWords | undefined {
  const found = words.findIndex((word) => word.startsWith(mark));
  if (found < 0) return { words };
  const value = pattern.exec(words[found] ?? '')?.[1];
  if (value === undefined || found !== (at ?? words.length - 1)) return undefined;
  return { words: words.toSpliced(found, 1), signature: { covers: words.slice(0, found).join(' '), value } };
}
