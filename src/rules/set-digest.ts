import { createHash } from 'node:crypto';

/**
 * The digest of a set of files that is cheap to keep: a sum modulo 2^256 of one hash a file, so that a change of one
 * file costs one subtraction and one addition, whatever the size of the set.
 */
const modulus = 1n << 256n;

/** What one file adds to the sum. `sha256` of its content, in hexadecimal; `mode` are permission bits. */
export const fileWeight = (path: string, mode: number, sha256: string): bigint =>
  hashOf(`${path}\0${mode.toString(8)}\0${sha256}`);

export const addWeight = (sum: bigint, weight: bigint): bigint => (sum + weight) % modulus;
export const removeWeight = (sum: bigint, weight: bigint): bigint => (((sum - weight) % modulus) + modulus) % modulus;

export const sumOf = (texts: readonly string[]): bigint =>
  texts.reduce((sum, text) => addWeight(sum, hashOf(text)), 0n);

export const hexOfWeight = (weight: bigint): string => weight.toString(16).padStart(64, '0');
export const weightOfHex = (hex: string): bigint => BigInt(`0x${hex === '' ? '0' : hex}`);

/** `sha256:HEX`, as it stands in manifests and receipts. */
export const formatSetDigest = (sum: bigint): string => `sha256:${hexOfWeight(sum)}`;

const hashOf = (text: string): bigint => weightOfHex(createHash('sha256').update(text).digest('hex'));
