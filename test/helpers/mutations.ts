import fc from 'fast-check';

/** What breaks parsers: quotes, nesting, huge numbers, names of prototypes, characters that end lines or turn text round. */
const nasty = [
  ...['', '"', '\\', '{', '}', '[', ']', ':', ',', '..', '/', '//', '../../etc', ' ', '\t', '\n', '\r\n', '\0', '\u001b[2J'],
  ...['-1', '0', '-0', '1e999', '1.0', '9007199254740993', '0x10', 'NaN', 'null', 'true', '{}', '[]', '""', "'", '$(id)', '`id`'],
  ...['__proto__', '"__proto__":{}', 'constructor', 'toString', '\ud800', '\udc00', '\u202e', '\u200f', '\u2028', '\ufeff', 'é', '💥'],
  ...['&a', '*a', '!!js', '|', '>', '---', '...', '- ', '? ', '#', '%', '-----BEGIN', '9'.repeat(400), 'a'.repeat(5000)],
]; // prettier-ignore

const nest = ['[', '{"a":', '- ', '? ', '{a: ', '!!a ', '(', '{"toString":'];

type Change =
  | { readonly kind: 'put' | 'replace'; readonly at: number; readonly text: string }
  | { readonly kind: 'cut' | 'double' | 'move'; readonly at: number; readonly length: number }
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'end'; readonly at: number }
  | { readonly kind: 'nest'; readonly at: number; readonly with: string; readonly times: number };

const place = fc.double({ min: 0, max: 1, noNaN: true });
const someText = fc.oneof(fc.constantFrom(...nasty), fc.string({ maxLength: 6, unit: 'binary' }));
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constantFrom('put' as const, 'replace' as const), at: place, text: someText }),
  fc.record({
    kind: fc.constantFrom('cut' as const, 'double' as const, 'move' as const),
    at: place,
    length: fc.nat(40),
  }),
  fc.record({ kind: fc.constant('flip' as const), at: place, bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('end' as const), at: place }),
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('nest' as const),
      at: place,
      with: fc.constantFrom(...nest),
      times: fc.constantFrom(2, 101, 400),
    }),
  },
);

function changed(text: string, one: Change): string {
  const at = Math.floor(one.at * text.length);
  const [before, after] = [text.slice(0, at), text.slice(at)];
  switch (one.kind) {
    case 'put':
      return before + one.text + after;
    case 'replace':
      return before + one.text + after.slice(one.text.length);
    case 'cut':
      return before + after.slice(one.length);
    case 'double':
      return before + after.slice(0, one.length) + after;
    case 'move':
      return after.slice(0, one.length) + before + after.slice(one.length);
    case 'flip':
      return before + String.fromCharCode((after.charCodeAt(0) || 0) ^ (1 << one.bit)) + after.slice(1);
    case 'end':
      return before;
    case 'nest':
      return before + one.with.repeat(one.times) + after;
  }
}

/** Right texts with none to four of them changed, and now and then the beginning of one before the end of another. */
export const mutatedText = (specimens: readonly string[]): fc.Arbitrary<string> => {
  const one = fc.constantFrom(...specimens);
  const spliced = fc
    .tuple(one, one, place, place)
    .map(([a, b, x, y]) => a.slice(0, Math.floor(x * a.length)) + b.slice(Math.floor(y * b.length)));
  const base = fc.oneof({ weight: 9, arbitrary: one }, { weight: 1, arbitrary: spliced });
  return fc.tuple(base, fc.array(change, { maxLength: 4 })).map(([text, changes]) => changes.reduce(changed, text));
};

/** Bytes that were right once; a character of the text is a byte. */
export const mutatedBytes = (specimens: readonly Buffer[]): fc.Arbitrary<Buffer> =>
  mutatedText(specimens.map((bytes) => bytes.toString('latin1'))).map((text) => Buffer.from(text, 'latin1'));

/** Anything at all. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({ maxLength: 60 }),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  fc.array(fc.constantFrom(...nasty), { maxLength: 8 }).map((parts) => parts.join('')),
);

/** The three ways to make a text: anything, values of a shape, right ones that were changed. */
export const texts = (specimens: readonly string[], made: fc.Arbitrary<string> = fc.json()): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 1, arbitrary: anyText },
    { weight: 2, arbitrary: made },
    { weight: 5, arbitrary: mutatedText(specimens) },
  );
