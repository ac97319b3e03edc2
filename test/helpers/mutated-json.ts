import fc from 'fast-check';

type Holder = Record<string, unknown> | unknown[];

const wrong: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1.5, 1e300, 2 ** 53, '', ' ', 'a', '..', 'x'.repeat(5000), '\ud800', '\u202e', '\0', '\n'],
  ...[[], {}, [[]], [null], { length: 1 }, { toString: 1, valueOf: 1 }, { constructor: null }, ['active']],
]; // prettier-ignore

const value = fc.oneof(fc.constantFrom(...wrong), fc.jsonValue({ depthSize: 'small' }));

interface Edit {
  readonly at: number;
  readonly kind: 'set' | 'remove' | 'double' | 'prototype' | 'deep' | 'copy';
  readonly value: unknown;
  readonly from: number;
}

const edit: fc.Arbitrary<Edit> = fc.record({
  at: fc.nat(),
  kind: fc.constantFrom('set', 'set', 'set', 'remove', 'double', 'prototype', 'deep', 'copy'),
  value,
  from: fc.nat(),
});

/** Every field and element: in what it lies, and under which key. */
function placesIn(holder: Holder, depth = 0): { holder: Holder; key: string }[] {
  return Object.entries(holder).flatMap(([key, inner]) => [
    { holder, key },
    ...(typeof inner === 'object' && inner !== null && depth < 9 ? placesIn(inner as Holder, depth + 1) : []),
  ]);
}

function put(holder: Holder, key: string, found: unknown): void {
  Object.defineProperty(holder, key, { value: found, enumerable: true, configurable: true, writable: true });
}

function apply(whole: Holder, { at, kind, value: found, from }: Edit): void {
  const places = placesIn(whole);
  const [place, other] = [places[at % places.length], places[from % places.length]];
  if (place === undefined || other === undefined) return;
  const { holder, key } = place;
  const here = Reflect.get(holder, key) as unknown;
  if (kind === 'set') put(holder, key, structuredClone(found));
  if (kind === 'copy') put(holder, key, structuredClone(Reflect.get(other.holder, other.key)));
  if (kind === 'prototype') put(holder, '__proto__', structuredClone(found));
  if (kind === 'deep') put(holder, key, deep(at % 3 === 0 ? 800 : 120, here));
  if (kind === 'remove' && Array.isArray(holder)) holder.splice(Number(key), 1);
  else if (kind === 'remove') Reflect.deleteProperty(holder, key);
  if (kind === 'double' && Array.isArray(holder)) holder.push(structuredClone(here));
}

const deep = (times: number, inner: unknown): unknown => {
  let nested = inner;
  for (let n = 0; n < times; n += 1) nested = [nested];
  return nested;
};

/** Right values with one to three places of theirs set to something else, removed, doubled, or nested deeply. */
export const mutatedJson = (specimens: readonly object[]): fc.Arbitrary<unknown> =>
  fc.tuple(fc.constantFrom(...specimens), fc.array(edit, { maxLength: 3 })).map(([specimen, edits]) => {
    const whole = JSON.parse(JSON.stringify(specimen)) as Holder;
    for (const one of edits) apply(whole, one);
    return whole;
  });

/** The same as text. */
export const mutatedJsonText = (specimens: readonly object[]): fc.Arbitrary<string> =>
  mutatedJson(specimens).map((whole) => JSON.stringify(whole));
