import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { placeOf } from '../../src/drops/archive.ts';
import { isOurKeyLine, keyLine } from '../../src/drops/authorized-keys.ts';
import { parseRequest } from '../../src/receiver/request.ts';
import { formatEpoch } from '../../src/rules/epoch.ts';
import { dropName, isDigest, isStream } from '../../src/rules/manifest.ts';
import { formatPairing, isCertname, parsePairing } from '../../src/rules/pairing.ts';
import { parseServerWords, serverArguments } from '../../src/rules/push-options.ts';
import * as some from '../helpers/arbitrary-drops.ts';
import { fuzz, fuzzMs } from '../helpers/fuzz.ts';
import { mutatedText, texts } from '../helpers/mutations.ts';

const [nonce, digest] = ['a'.repeat(32), `sha256:${'0'.repeat(64)}`];
const pushes = [false, true].map((bulk) => serverArguments({ letters: 'iLsfxCIvu', bulk }).join(' '));
const requests = [
  ...['hello', 'status', 'confirm', 'message', 'export sync-certs', 'receipts db-dump.pe-rbac 0'].map(
    (words) => `${words} ${nonce}`,
  ),
  `receipts sync-certs 999999999999999 ${nonce} 30`,
  ...pushes.map((words) => `push sync-files 7.00c0ffee00c0ffee 41 ${digest} ${nonce} ${words}`),
];
const verbs = [
  'hello',
  'status',
  'message',
  'confirm',
  'receipts',
  'push',
  'export',
  '--server',
  '.',
  '--sender',
  '-e',
];
const wordsOf = (words: readonly string[]): fc.Arbitrary<string> =>
  fc
    .array(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 5 })), { maxLength: 14 })
    .map((all) => all.join(' '));

describe(
  'what a stranger may send is read or refused in words, and what is read has no second reading',
  { timeout: fuzzMs },
  () => {
    test('a request', () => {
      fuzz(texts(requests, wordsOf([...verbs, nonce, digest, '1.00c0ffee00c0ffee', 'nc-dump', '7'])), {
        parse: parseRequest,
        refusedAs: ['refused'],
        accepted: (request, text) => {
          expect(text).toMatch(/^[\x21-\x7e]+( [\x21-\x7e]+)*$/);
          expect(request.nonce).toMatch(/^[0-9a-f]{16,64}$/);
          if ('stream' in request) expect(isStream(request.stream)).toBe(true);
          if (request.verb === 'receipts') expect(request.waitSeconds).toBeLessThanOrEqual(30);
          if (request.verb !== 'push') return;
          const place = [request.stream, formatEpoch(request.epoch), request.sequence, request.digest, request.nonce];
          const again = `push ${place.join(' ')} ${serverArguments(request.options).join(' ')}`;
          expect(parseRequest(again)).toEqual(request);
          expect([
            isDigest(request.digest),
            placeOf(dropName(request)) !== undefined || request.sequence === 0,
          ]).toEqual([true, true]);
        },
      });
    });

    test("rsync's words", () => {
      const options = [
        '--server',
        '-rIe.iLsfxCIvu',
        '--timeout=30',
        '--delete',
        '--inplace',
        '-B700',
        '--copy-dest',
        '../basis',
        '.',
      ];
      const limited = pushes.map((words) => words.replace('--inplace', '--bwlimit=500 --inplace'));
      const shuffled = fc
        .constantFrom(...pushes)
        .chain((words) => fc.shuffledSubarray(words.split(' '), { minLength: 6 }));
      fuzz(
        fc.oneof(
          texts([...pushes, ...limited], wordsOf(options)),
          shuffled.map((words) => words.join(' ')),
        ),
        {
          parse: (text) => parseServerWords(text.split(' ')),
          refusedAs: [],
          accepted: (found) => {
            const built = serverArguments(found);
            expect(
              built.filter(
                (word) =>
                  !/^(--server|-rIe\.[A-Za-z]{1,20}|-B700|--timeout=30|--delete|--copy-dest|\.\.\/basis|--inplace|\.)$/.test(
                    word,
                  ),
              ),
            ).toEqual([]);
            expect(parseServerWords(built)).toEqual(found);
          },
        },
      );
    });

    test('the name of a drop in the inbox', () => {
      const names = ['3.00c0ffee00c0ffee-17', '0.0000000000000000-1', '999999999.ffffffffffffffff-999999999999999'];
      fuzz(texts(names, wordsOf(['confirm', '..'])), {
        parse: placeOf,
        refusedAs: [],
        accepted: (place, name) => expect(dropName(place)).toBe(name),
      });
    });

    test('a pairing line, and the one line of authorized_keys that is made of it', () => {
      const right = fc.sample(some.aPairing, { numRuns: 20, seed: 1 }).map(formatPairing);
      const program = fc.constantFrom(
        '/opt/pe_failover/bin/pe-failover',
        '/opt/a b/pe-failover',
        '/x"y',
        '/x\n/y',
        '/é',
      );
      fuzz(fc.tuple(texts(right), program), {
        parse: ([line]) => parsePairing(line),
        refusedAs: ['config'],
        accepted: (pairing, [, launcher]) => {
          expect(parsePairing(formatPairing(pairing))).toEqual(pairing);
          expect(isCertname(pairing.certname)).toBe(true);
          if (!/^[a-z_/-]+$/.test(launcher))
            expect(() => keyLine({ program: launcher, root: '/' }, pairing, 'drops')).toThrow('path cannot stand');
          else {
            const line = keyLine({ program: launcher, root: '/' }, pairing, 'hello-only');
            expect(isOurKeyLine(line)).toBe(true);
            expect(line).toMatch(
              /^restrict,command="[^" ]+ receive --peer [a-z0-9._-]+ --hello-only --login [0-9a-f]{16}" \S+ [A-Za-z0-9+/=]+ pe-failover:[a-z0-9._-]+$/,
            );
          }
        },
      });
    });

    test('a line of authorized_keys is ours only as we write it', () => {
      const lines = [
        'restrict,command="/opt/pe receive --peer a.test" ssh-ed25519 AAAA pe-failover:a.test',
        'ssh-ed25519 AAAA me@here',
      ];
      fuzz(mutatedText(lines), {
        parse: (line) => (isOurKeyLine(line) ? line : undefined),
        refusedAs: [],
        accepted: (line) => expect(line.startsWith('restrict,command="')).toBe(true),
      });
    });
  },
);
