import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { filterArchiveList, parseArchiveList, sequenceList } from '../../src/rules/archive-list.ts';
import { canonicalGroups, digestGroups, parseGroups, treeProblem } from '../../src/rules/groups.ts';
import { mapHosts } from '../../src/rules/host-map.ts';
import {
  appendix,
  expiredSerials,
  missingLines,
  parseInventoryLine,
  strangeLines,
  wholeLines,
} from '../../src/rules/inventory.ts';
import { logLine, maxLineBytes } from '../../src/rules/log-line.ts';
import { formatSerial, parseSerial } from '../../src/rules/serial.ts';
import { parseSshdSettings, sshdProblems } from '../../src/rules/sshd-settings.ts';
import { newNames } from '../../src/rules/vanishing.ts';
import { HttpError } from '../../src/system/http-error.ts';
import { tree } from '../helpers/arbitrary-groups.ts';
import { fuzz, fuzzMs } from '../helpers/fuzz.ts';
import { mutatedJsonText } from '../helpers/mutated-json.ts';
import { anyText, mutatedText, texts } from '../helpers/mutations.ts';

const line = '0x00A3 2026-11-20T00:00:00UTC 2031-11-20T00:00:00UTC /CN=n1.example.com';
const inventories = [`${line}\n0x186A5 x y /O=z/CN=b\n`, `# comment\n${line}\n${line.slice(0, 30)}`, `${line}\r\n`];

const archive = `;
; Archive created at 2026-11-21 04:00:00 UTC
215; 1259 16385 TABLE public roles pe-rbac
3120; 0 16385 TABLE DATA public roles pe-rbac
3; 3079 16390 EXTENSION - citext
3200; 0 0 COMMENT - EXTENSION citext
3201; 3466 16999 EVENT TRIGGER - evil pe-rbac
3202; 0 0 SEQUENCE SET public roles_id_seq pe-rbac
3203; 0 0 ACL - SCHEMA public pe-postgres
3204; 6104 17000 PUBLICATION - p pe-rbac
3205; 826 17001 DEFAULT ACL public DEFAULT PRIVILEGES FOR TABLES pe-rbac
`;

describe('what tools and services answer is read or refused in words', { timeout: fuzzMs }, () => {
  test('node groups', () => {
    const right = fc.sample(tree, { numRuns: 12, seed: 1 });
    const texts20 = right.map((groups) => JSON.stringify(groups));
    const inputs = fc.oneof(
      { weight: 1, arbitrary: anyText },
      { weight: 3, arbitrary: mutatedText(texts20) },
      { weight: 4, arbitrary: mutatedJsonText(right) },
    );
    fuzz(inputs, {
      parse: parseGroups,
      refusedAs: ['bad-data'],
      accepted: (groups) => {
        const text = canonicalGroups(groups);
        expect(canonicalGroups(parseGroups(text))).toBe(text);
        expect([digestGroups(parseGroups(text)), treeProblem(groups), text.isWellFormed()]).toEqual([
          digestGroups(groups),
          undefined,
          true,
        ]);
        const { groups: mapped } = mapHosts(groups, [
          { active: 'mastera.example.com', passive: 'masterb.example.com' },
        ]);
        expect(parseGroups(canonicalGroups(mapped))).toHaveLength(groups.length);
      },
    });
  });

  test('an inventory', () => {
    fuzz(texts(inventories), {
      parse: (text) => (wholeLines(text).some((one) => parseInventoryLine(one) !== undefined) ? text : undefined),
      refusedAs: [],
      accepted: (text) => {
        const known = wholeLines(text).flatMap((one) => parseInventoryLine(one) ?? []);
        expect(missingLines(text, wholeLines(text))).toEqual([]);
        const other = '0x77 2026-01-01T00:00:00UTC 2031-01-01T00:00:00UTC /CN=other';
        const all = wholeLines(text + appendix(text, missingLines(text, [other, other])));
        expect(all.filter((one) => parseInventoryLine(one)?.serial === 0x77n).length).toBeGreaterThanOrEqual(1);
        for (const { name, serial } of known) expect([name.length > 0, serial >= 0n]).toEqual([true, true]);
        expect(strangeLines(text).length + known.length).toBeLessThanOrEqual(wholeLines(text).length);
        expect(newNames(text, new Date()).length).toBeLessThanOrEqual(known.length);
        expect(typeof expiredSerials(text, new Date())(0xa3n)).toBe('boolean');
      },
    });
  });

  test('a serial', () => {
    fuzz(texts(['0003', '186A5', 'ffffffffffffffffffffffffffffffffffffffff', '00ff\n']), {
      parse: parseSerial,
      refusedAs: [],
      accepted: (serial) => expect([parseSerial(formatSerial(serial)), serial < 1n << 160n]).toEqual([serial, true]),
    });
  });

  test('the list of an archive', () => {
    fuzz(texts([archive]), {
      parse: (text) => {
        const entries = parseArchiveList(text);
        return entries.length === 0 ? undefined : entries;
      },
      refusedAs: [],
      accepted: (entries, text) => {
        const given = new Set(text.split('\n'));
        const kept = filterArchiveList(entries, ['pe-rbac']).split('\n').slice(0, -1);
        for (const one of [...kept, ...sequenceList(entries).split('\n').slice(0, -1)])
          expect(given.has(one)).toBe(true);
        expect(
          kept.filter((one) =>
            /^\d+; \d+ \d+ (EVENT TRIGGER|EXTENSION|SUBSCRIPTION|PUBLICATION|SCHEMA|DATABASE) /.test(one),
          ),
        ).toEqual([]);
      },
    });
  });

  test("sshd's settings", () => {
    const settings =
      'allowusers pe-* root@10.0.0.1\nauthorizedkeysfile .ssh/authorized_keys %h/k\nmaxsessions 10\npubkeyacceptedalgorithms ssh-*,ecdsa-*\n';
    const login = {
      user: 'pe-transfer',
      groups: ['pe-transfer'],
      home: '/home/x',
      authorizedKeys: '/home/x/k',
      keyTypes: ['ssh-ed25519'],
    };
    fuzz(texts([settings]), {
      parse: (text) => sshdProblems(parseSshdSettings(text), login),
      refusedAs: [],
      accepted: (problems) => {
        for (const { what, hint } of problems) expect([what.length > 0, hint.length > 0]).toEqual([true, true]);
      },
    });
  });

  test("a service's error", () => {
    const right = [JSON.stringify({ kind: 'schema-violation', msg: 'no', details: {} })];
    fuzz(
      fc.tuple(fc.integer({ min: 100, max: 599 }), fc.oneof(texts(right), mutatedJsonText([{ kind: 'a', msg: 'b' }]))),
      {
        parse: ([status, text]) =>
          HttpError.fromAnswer('https://x/y?token=secret', { status, text }).toFailure('the service refused'),
        refusedAs: [],
        accepted: ({ message }) => {
          expect([message.includes('secret'), message.length < 2_000]).toEqual([false, true]);
        },
      },
    );
  });

  test('a line of the log is one line of at most 8 kB that a terminal shows as it is, whatever it is about', () => {
    fuzz(fc.tuple(anyText, texts(['Skipped signed/a.pem: it is of b'])), {
      parse: ([job, text]) => logLine(job, 'FAILURE', text),
      refusedAs: [],
      accepted: (written) => {
        expect(written).not.toMatch(/[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/u);
        expect([Buffer.byteLength(written) <= maxLineBytes, written.isWellFormed()]).toEqual([true, true]);
      },
    });
  });
});
