/**
 * The rsync options of a push, known to both sides. The gate takes nothing from the peer's arguments but the letters of
 * its protocol version and whether the push is a bulky one; it builds its own rsync's arguments from these.
 */
export interface ServerOptions {
  /** What rsync's client appends to `-e.`: its capabilities, as far as they are known here, in rsync's order. */
  readonly letters: string;
  /** A dump: small blocks against the last published drop, so that a small change costs few bytes. */
  readonly bulk: boolean;
}

const timeout = '--timeout=30';
const bulkOptions = { blocks: '-B700', basis: ['--copy-dest', '../basis'] } as const;

/** For the sender, long options only. In place, so that what a cut left is resumed; never trusted: root hashes all of it. */
export const senderOptions = (bulk: boolean): string[] => [
  '--recursive',
  '--ignore-times',
  '--inplace',
  '--delete',
  timeout,
  ...(bulk ? ['--block-size=700', '--copy-dest=../basis'] : []),
];

/**
 * What rsync 3.0 to 3.5 announce. Both sides use what both know: a letter that a later client adds is left out, and its push
 * goes on without it.
 */
const knownLetters = [...'iLsfxCIvu'];

function parseLetters(flags: string | undefined): string | undefined {
  const told = /^-rIe\.([A-Za-z]{1,20})$/.exec(flags ?? '')?.[1];
  if (told === undefined || new Set(told).size !== told.length) return undefined;
  return knownLetters.filter((letter) => told.includes(letter)).join('');
}

/** The words behind `push ... NONCE` in the peer's request; undefined for anything that is not exactly such a push. */
export function parseServerWords(words: readonly string[]): ServerOptions | undefined {
  const [server, flags, ...more] = words;
  const limit = more.findIndex((word) => /^--bwlimit=\d{1,9}$/.test(word)); // rsync tells it to both sides; ours needs none
  const rest = more.filter((_, at) => at !== limit);
  const letters = parseLetters(flags);
  if (server !== '--server' || letters === undefined) return undefined;
  for (const bulk of [false, true]) {
    const expected = [...optionWords(bulk), '.', '.'];
    if (rest.length === expected.length && [...rest].sort().join(' ') === [...expected].sort().join(' '))
      return { letters, bulk };
  }
  return undefined;
}

/** The whole argument array of the gate's `rsync --server`. */
export const serverArguments = ({ letters, bulk }: ServerOptions): string[] => [
  '--server',
  `-rIe.${letters}`,
  ...optionWords(bulk),
  '.',
  '.',
];

const optionWords = (bulk: boolean): string[] => [
  ...(bulk ? [bulkOptions.blocks] : []),
  timeout,
  '--delete',
  ...(bulk ? bulkOptions.basis : []),
  '--inplace',
];
