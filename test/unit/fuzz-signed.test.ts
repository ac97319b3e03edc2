import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseConfirmation } from '../../src/rules/confirm.ts';
import { isEpoch } from '../../src/rules/epoch.ts';
import { directoriesIn } from '../../src/rules/files-plan.ts';
import { isGate, parseGate } from '../../src/rules/gate.ts';
import { parseHello } from '../../src/rules/hello.ts';
import { parseMadeHere } from '../../src/rules/made-here.ts';
import { isDigest, isStream, parseManifest, pathProblem, payloadOf } from '../../src/rules/manifest.ts';
import { isOwnership, rolesOfOwnership } from '../../src/rules/ownership.ts';
import { isKeysId } from '../../src/rules/pairing.ts';
import { parseReceipt, receiptStates, shortened } from '../../src/rules/receipt.ts';
import { parseKeyMessage } from '../../src/rules/rotation.ts';
import { isSealedBy, readSealed, unseal } from '../../src/system/sign.ts';
import * as some from '../helpers/arbitrary-drops.ts';
import { fuzz, fuzzMs } from '../helpers/fuzz.ts';
import { mutatedJson, mutatedJsonText } from '../helpers/mutated-json.ts';
import { anyText, mutatedText } from '../helpers/mutations.ts';
import { aGate, aMadeHere, anOwnership } from '../helpers/signed-specimens.ts';

const drawn = <Value>(of: fc.Arbitrary<Value>): Value[] => fc.sample(of, { numRuns: 20, seed: 1 });
const anyOf = (specimens: readonly object[]): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 1, arbitrary: fc.jsonValue() }, { weight: 5, arbitrary: mutatedJson(specimens) });
const printed = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const atMost = (text: string | undefined, limit: number): void =>
  expect((text ?? '').length).toBeLessThanOrEqual(limit);

describe(
  "what a peer's root signed may be of another version, or of an enemy: read or refused, naming the field",
  { timeout: fuzzMs },
  () => {
    test('a manifest', () => {
      const right = drawn(some.aManifest);
      const inputs = fc.oneof(
        { weight: 1, arbitrary: anyText },
        { weight: 3, arbitrary: mutatedText(right.map((one) => JSON.stringify(one))) },
        { weight: 4, arbitrary: mutatedJsonText(right) },
      );
      fuzz(inputs, {
        parse: parseManifest,
        refusedAs: ['bad-data'],
        accepted: (manifest) => {
          expect(parseManifest(JSON.stringify(manifest))).toEqual(manifest);
          const paths = [
            ...manifest.files.map(({ path }) => path),
            ...manifest.deleted,
            ...manifest.needs.map(({ file }) => file),
          ];
          for (const path of paths) {
            expect([pathProblem(path), path.startsWith('/'), Buffer.from(path).toString()]).toEqual([
              undefined,
              false,
              path,
            ]);
          }
          for (const file of manifest.files) {
            expect([file.mode <= 0o777, Number.isSafeInteger(file.size), payloadOf(file).size >= 0]).toEqual([
              true,
              true,
              true,
            ]);
          }
          expect([isStream(manifest.stream), isEpoch(manifest.epoch), manifest.sequence >= 1]).toEqual([
            true,
            true,
            true,
          ]);
        },
      });
    });

    test('a receipt', () => {
      const more = {
        holdId: 'a',
        waits: true,
        live: { ok: false, missing: ['a'], differing: [] },
        madeHere: { certificates: 1 },
      };
      const right = drawn(some.aReceipt).map((one, n) => (n % 2 === 0 ? one : { ...one, ...more }));
      fuzz(anyOf(right), {
        parse: parseReceipt,
        refusedAs: ['bad-data'],
        accepted: (receipt) => {
          expect(parseReceipt(printed(receipt))).toEqual(receipt);
          expect([receiptStates.includes(receipt.state), isStream(receipt.stream), isDigest(receipt.digest)]).toEqual([
            true,
            true,
            true,
          ]);
          for (const name of [...(receipt.live?.missing ?? []), ...(receipt.live?.differing ?? [])])
            expect(typeof name).toBe('string');
          for (const count of Object.values(receipt.madeHere ?? {})) expect(typeof count).toBe('number');
          expect([undefined, true]).toContain(receipt.waits);
          atMost(shortened(receipt).why, 4004);
        },
      });
    });

    test('a greeting', () => {
      const keys = { next: { pairing: 'a', proof: 'b' }, accepts: ['0123456789abcdef'] };
      const right = drawn(some.aHello).map((one, n) => (n % 2 === 0 ? one : { ...one, ...keys }));
      fuzz(anyOf(right), {
        parse: parseHello,
        refusedAs: ['bad-data'],
        accepted: (hello) => {
          expect(parseHello(printed(hello))).toEqual(hello);
          for (const [stream, drop] of Object.entries(hello.accepted)) {
            expect([isStream(stream), isDigest(drop.digest), drop.sequence >= 0]).toEqual([true, true, true]);
          }
          for (const n of Object.values(hello.receipts ?? {})) expect(n).toBeGreaterThanOrEqual(1);
          atMost(hello.pairing, 20_000);
          atMost(hello.next?.pairing, 20_000);
          for (const id of hello.accepts ?? []) expect(isKeysId(id)).toBe(true);
        },
      });
    });

    test('a message on keys', () => {
      const right = { format: 1, kind: 'keys', source: 'a', target: 'b', accepts: ['0123456789abcdef'] };
      fuzz(anyOf([right, { ...right, next: { pairing: 'a', proof: 'b' }, program: '1.0.0' }]), {
        parse: parseKeyMessage,
        refusedAs: ['bad-data'],
        accepted: (words) => {
          if (words === undefined) return; // of another kind
          expect(parseKeyMessage(printed(words))).toEqual(words);
          for (const text of [words.source, words.target]) atMost(text, 255);
          for (const id of words.accepts ?? []) expect(isKeysId(id)).toBe(true);
        },
      });
    });

    test('a confirmation', () => {
      fuzz(anyOf(drawn(some.aConfirmation)), {
        parse: parseConfirmation,
        refusedAs: ['bad-data'],
        accepted: (words) => {
          expect(parseConfirmation(printed(words))).toEqual(words);
          for (const text of [words.source, words.target, words.at, words.greeting]) atMost(text, 255);
        },
      });
    });

    test('a gate file', () => {
      const more = { nextPeerKey: 'c', logins: ['0123456789abcdef'] };
      fuzz(anyOf([aGate, { ...aGate, ...more, role: 'active', closed: 'a', machine: 'b' }]), {
        parse: parseGate,
        refusedAs: ['bad-data'],
        accepted: (gate) => {
          expect(['active', 'passive', 'suspended'].filter((role) => role === gate.role)).toHaveLength(1);
          expect([isGate(printed(gate)), typeof gate.certname, typeof (gate.closed ?? '')]).toEqual([
            true,
            'string',
            'string',
          ]);
        },
      });
    });

    test('what a spare made', () => {
      fuzz(anyOf([aMadeHere, { ...aMadeHere, inventory: [], more: 7 }]), {
        parse: parseMadeHere,
        refusedAs: ['bad-data'],
        accepted: (made) => {
          expect(parseMadeHere(printed(made))).toEqual(made);
          for (const { certname } of made.certificates) expect(pathProblem(`signed/${certname}.pem`)).toBeUndefined();
          for (const line of made.inventory)
            expect([line.includes('\n'), Buffer.from(line).toString()]).toEqual([false, line]);
          for (const { date } of made.revocations) expect(date).toMatch(/^\d+Z$/);
        },
      });
    });

    test('the owners in a dump, and the directories of files', () => {
      const mine = {
        ownership: anOwnership,
        directories: [{ path: 'etc/a', mode: 0o750, owner: 'root', group: 'root' }],
      };
      fuzz(anyOf([mine]), {
        parse: (detail) => {
          const { ownership } = Object(detail) as { ownership: unknown };
          for (const { path, mode } of directoriesIn(Object(detail) as Record<string, unknown>)) {
            expect([pathProblem(path), mode <= 0o777]).toEqual([undefined, true]);
          }
          return isOwnership(ownership) ? ownership : undefined;
        },
        refusedAs: [],
        accepted: (ownership) => {
          for (const role of rolesOfOwnership(ownership)) expect(typeof role).toBe('string');
          for (const { rights } of [...ownership.schemas, ...ownership.defaultRights, ...ownership.extensionRights]) {
            for (const { privilege, grantable } of rights)
              expect([/^[A-Z ]+$/.test(privilege), typeof grantable]).toEqual([true, 'boolean']);
          }
        },
      });
    });

    test('a signed line', () => {
      const line = JSON.stringify({
        body: JSON.stringify({ format: 1 }),
        signature: Buffer.alloc(64).toString('base64'),
      });
      const key = Buffer.from('302a300506032b6570032100'.padEnd(88, '0'), 'hex').toString('base64');
      const inputs = fc.oneof(anyText, mutatedText([line]), mutatedJsonText([JSON.parse(line) as object]));
      fuzz(inputs, {
        parse: (text) => {
          expect(() => unseal(key, 'receipt', text)).toThrow('receipt refused');
          return [readSealed(text, 'receipt'), isSealedBy(key, 'receipt', text)];
        },
        refusedAs: ['bad-data'],
        accepted: ([, isSealed]) => expect(isSealed).toBe(false),
      });
    });
  },
);
