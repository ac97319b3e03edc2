/** One element of DER: its tag and where its content lies. */
export interface DerElement {
  readonly tag: number;
  /** Offsets into the bytes: of the header, of the content, and of what follows. */
  readonly start: number;
  readonly from: number;
  readonly to: number;
}

export const derTags = {
  integer: 0x02,
  bitString: 0x03,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
};

/** Reads one element at an offset; throws RangeError on anything that is not definite-length DER within `limit`. */
export function derAt(bytes: Uint8Array, start: number, limit: number): DerElement {
  const tag = bytes[start] ?? 0;
  const first = bytes[start + 1] ?? 0x80;
  let from = start + 2;
  let length = first;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 4) throw new RangeError('length is not DER');
    length = 0;
    for (let n = 0; n < count; n += 1) length = length * 256 + (bytes[from++] ?? 0);
    if (length < 0x80 || length < 256 ** (count - 1)) throw new RangeError('length is not DER'); // one form for one length
  }
  const to = from + length;
  if ((tag & 0x1f) === 0x1f || to > limit) throw new RangeError('element does not fit');
  return { tag, start, from, to };
}

/** The elements inside another one. */
export function derChildren(bytes: Uint8Array, outer: DerElement): DerElement[] {
  const children: DerElement[] = [];
  for (let at = outer.from; at < outer.to; at = children.at(-1)?.to ?? outer.to) {
    children.push(derAt(bytes, at, outer.to));
  }
  return children;
}

/** A non-negative INTEGER. Serials are at most 20 bytes; short ones are read without going through text. */
export function derInteger(bytes: Buffer, { tag, from, to }: DerElement): bigint {
  if (tag !== derTags.integer || to === from || (bytes[from] ?? 0) >= 0x80) throw new RangeError('not an INTEGER');
  if (to - from <= 6) return BigInt(bytes.readUIntBE(from, to - from));
  return BigInt(`0x${bytes.toString('hex', from, to)}`);
}
