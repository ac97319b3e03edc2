import fc from 'fast-check';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  certificateProblem,
  crlProblem,
  readCertificates,
  readCrls,
  type Certificate,
} from '../../src/system/certificates.ts';
import { derAt, derChildren, derInteger, derTags, type DerElement } from '../../src/system/der.ts';
import { fuzz, fuzzMs } from '../helpers/fuzz.ts';
import { mutatedDer } from '../helpers/mutated-der.ts';
import { anyText, mutatedBytes, mutatedText } from '../helpers/mutations.ts';
import { createTestCa } from '../stand-in/ca.ts';

let root = '';
let authorities: Certificate[] = [];
let [certificates, crls]: [string[], string[]] = [[], []];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'pe-failover-fuzz-'));
  const ca = await createTestCa(root, { name: 'lab' });
  const names = ['a.lab', 'spare.lab', 'ä ö'];
  const serials = await ca.signMany(names);
  await ca.hostCertificate('b.lab', ['puppet']);
  await ca.revokeSerials([...serials, (1n << 120n) + 0x80n]);
  const read = (name: string): Promise<string> => readFile(join(root, name), 'utf8');
  authorities = readCertificates(await read('ca_crt.pem'), 'ca_crt.pem');
  certificates = await Promise.all(
    ['ca_crt.pem', ...[...names, 'b.lab'].map((name) => `signed/${name}.pem`)].map(read),
  );
  crls = [await read('ca_crl.pem'), await read('infra_crl.pem')];
});
afterAll(() => rm(root, { recursive: true }));

const derOf = (pem: string): Buffer => Buffer.from(/-----BEGIN [^-]+-----([^-]+)/.exec(pem)?.[1] ?? '', 'base64');
const pemOf = (label: string, der: Buffer): string =>
  `-----BEGIN ${label}-----\n${der.toString('base64')}\n-----END ${label}-----\n`;
const texts = (label: string, right: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 1, arbitrary: anyText },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => pemOf(label, Buffer.from(bytes))) },
    { weight: 2, arbitrary: mutatedText(right) },
    { weight: 5, arbitrary: mutatedDer(right.map(derOf)).map((der) => pemOf(label, der)) },
  );

describe('what a CA directory may hold is read or refused in words', { timeout: fuzzMs }, () => {
  test('a certificate: what is believed is one that this CA signed, to the bit', () => {
    const signed = new Set(
      certificates.flatMap((pem) => readCertificates(pem, 'x').map(({ fingerprint }) => fingerprint)),
    );
    fuzz(texts('CERTIFICATE', certificates), {
      parse: (pem) => readCertificates(pem, 'x'),
      refusedAs: ['bad-data'],
      accepted: (found) => {
        for (const one of found) {
          expect([
            one.serial >= 0n,
            one.fingerprint.length,
            readCertificates(one.x509.toString(), 'x')[0]?.fingerprint,
          ]).toEqual([true, 64, one.fingerprint]);
          expect(one.notBefore.toISOString() + one.notAfter.toISOString()).toMatch(/^\d{4}-/);
          if (certificateProblem(one, authorities) === undefined) expect(signed).toContain(one.fingerprint);
        }
      },
    });
  });

  test('a CRL: what is believed is one that this CA signed, with its number and its serials', () => {
    const right = crls
      .flatMap((pem) => readCrls(pem, 'x'))
      .map(({ revoked, number, issuer }) => [[...revoked], number, issuer]);
    fuzz(texts('X509 CRL', crls), {
      parse: (pem) => readCrls(pem, 'x'),
      refusedAs: ['bad-data'],
      accepted: (found) => {
        for (const one of found) {
          for (const serial of one.revoked.keys()) expect(serial).toBeGreaterThanOrEqual(0n);
          expect(readCrls(one.pem, 'x')[0]?.issuer).toBe(one.issuer);
          if (crlProblem(one, authorities) === undefined)
            expect(right).toContainEqual([[...one.revoked], one.number, one.issuer]);
        }
      },
    });
  });

  test('an element of DER lies within its bytes, has one form for its length, and children that fill it', () => {
    const specimens = [...crls, ...certificates].map(derOf);
    const whole = (bytes: Buffer, element: DerElement, depth = 0): void => {
      expect([element.start < element.from, element.from <= element.to, element.to <= bytes.length]).toEqual([
        true,
        true,
        true,
      ]);
      if ((element.tag & 0x20) === 0 || depth > 8) return;
      const children = derChildren(bytes, element);
      expect(children.at(-1)?.to ?? element.to).toBe(element.to);
      for (const child of children) whole(bytes, child, depth + 1);
    };
    fuzz(fc.oneof(mutatedDer(specimens), mutatedBytes(specimens)), {
      parse: (bytes) => {
        try {
          const outer = derAt(bytes, 0, bytes.length);
          whole(bytes, outer);
          return outer;
        } catch (error) {
          if (error instanceof RangeError) return undefined;
          throw error;
        }
      },
      refusedAs: [],
    });
  });

  test.each([
    ['a length in two bytes that one would hold', '308100', 'length is not DER'],
    ['a length with a leading zero', '30820001', 'length is not DER'],
    ['a length without an end', '3080', 'length is not DER'],
    ['a length beyond the end', '3005', 'element does not fit'],
    ['a length of five bytes', '30850000000001', 'length is not DER'],
  ])('%s is no DER', (_title, hex, problem) => {
    const bytes = Buffer.from(hex, 'hex');
    expect(() => derAt(bytes, 0, bytes.length)).toThrow(problem);
  });

  test('a negative INTEGER is no serial: it is not taken for another one', () => {
    const bytes = Buffer.from('0201ff', 'hex');
    expect(() => derInteger(bytes, derAt(bytes, 0, 3))).toThrow('not an INTEGER');
    expect(derInteger(Buffer.from('020200ff', 'hex'), { tag: derTags.integer, start: 0, from: 2, to: 4 })).toBe(255n);
  });
});
