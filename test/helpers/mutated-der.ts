import fc from 'fast-check';
import { derAt, derChildren, type DerElement } from '../../src/system/der.ts';

type Edit = { readonly at: number } & (
  | { readonly kind: 'length' | 'tag' | 'byte'; readonly value: number }
  | { readonly kind: 'long'; readonly bytes: number }
  | { readonly kind: 'remove' | 'double' | 'end' }
  | { readonly kind: 'copy'; readonly from: number }
);

const at = fc.nat();
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('length' as const, 'tag' as const, 'byte' as const),
    at,
    value: fc.oneof(
      fc.constantFrom(0, 1, 0x7f, 0x80, 0x81, 0x82, 0x84, 0x85, 0x1f, 0x02, 0x17, 0x30, 0xa0, 0xff),
      fc.nat(255),
    ),
  }),
  fc.record({ kind: fc.constant('long' as const), at, bytes: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ kind: fc.constantFrom('remove' as const, 'double' as const, 'end' as const), at }),
  fc.record({ kind: fc.constant('copy' as const), at, from: fc.nat() }),
);

/** Every element, also inside of others. */
function elementsOf(bytes: Buffer, element = derAt(bytes, 0, bytes.length)): DerElement[] {
  const inner = (element.tag & 0x20) === 0 ? [] : derChildren(bytes, element);
  return [element, ...inner.flatMap((child) => elementsOf(bytes, child))];
}

function apply(bytes: Buffer, elements: readonly DerElement[], one: Edit): Buffer {
  const { start, from, to } = elements[one.at % elements.length] ?? { start: 0, from: 0, to: 0 };
  const [before, whole, after] = [bytes.subarray(0, start), bytes.subarray(start, to), bytes.subarray(to)];
  const put = (offset: number, value: number): Buffer => {
    const changed = Buffer.from(bytes);
    if (offset < changed.length) changed[offset] = value;
    return changed;
  };
  switch (one.kind) {
    case 'length':
      return put(start + 1, one.value);
    case 'tag':
      return put(start, one.value);
    case 'byte':
      return put(from + (one.at % Math.max(1, to - from)), one.value);
    case 'long': {
      const length = Buffer.from((to - from).toString(16).padStart(10, '0'), 'hex').subarray(5 - one.bytes);
      return Buffer.concat([
        before,
        whole.subarray(0, 1),
        Buffer.from([0x80 | one.bytes]),
        length,
        bytes.subarray(from),
      ]);
    }
    case 'remove':
      return Buffer.concat([before, after]);
    case 'double':
      return Buffer.concat([before, whole, whole, after]);
    case 'end':
      return Buffer.from(before);
    case 'copy': {
      const other = elements[one.from % elements.length];
      return Buffer.concat([before, bytes.subarray(other?.start, other?.to), after]);
    }
  }
}

/** Right DER with none to three of its elements changed: lengths that lie, other tags and bytes, elements gone, doubled, moved. */
export function mutatedDer(specimens: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const known = specimens.map((bytes) => ({ bytes, elements: elementsOf(bytes) }));
  return fc
    .tuple(fc.constantFrom(...known), fc.array(edit, { maxLength: 3 }))
    .map(([{ bytes, elements }, edits]) => edits.reduce((changed, one) => apply(changed, elements, one), bytes));
}
