import fc from 'fast-check';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { readExpectation, standingExpectation } from '../../src/rules/expected-deletions.ts';
import { withoutFacts } from '../../src/rules/fact-text.ts';
import { normalFingerprint } from '../../src/rules/hello.ts';
import { readJournalLine } from '../../src/rules/journal-line.ts';
import { judgeRole } from '../../src/rules/role.ts';
import { parseFact, withFacts } from '../../src/system/fact.ts';
import { fuzz, fuzzMs } from '../helpers/fuzz.ts';
import { mutatedJsonText } from '../helpers/mutated-json.ts';
import { anyText, mutatedText, texts } from '../helpers/mutations.ts';

const factFile = readFileSync('facts/pe_failover.yaml', 'utf8');
const facts = [
  factFile,
  '---\n# mine\nother: [1, two]\npe_failover_mode: active\npe_failover_passive_master: masterb.example.com\n',
  '---\npe_failover_mode: "passive"\npe_failover_key: "ssh-ed25519 AAAA pe-failover:a.test:k:h"\n',
  '{pe_failover_mode: active}\n',
];
const invalid = 'test/fixtures/config/invalid';
const configs = [
  ...readdirSync(invalid).map((name) => readFileSync(`${invalid}/${name}`, 'utf8')),
  'platform: pe\nfiles: [/etc/hosts, "/srv/a b"]\nbrakes: {ca: {percent: 30, least: 5}}\n',
  'witness:\n  command: [/bin/true, x]\nhooks: {timeout: 90s}\njobs:\n  sync_certs: {every: 5m}\n',
  'databases:\n  - name: pe-rbac\n    needs: [/etc/key]\n    switch: promotion\n',
];

describe('what an admin writes or a disk spoils is read or refused in words', { timeout: fuzzMs }, () => {
  test('the fact', () => {
    const path = '/facts.d/pe_failover.yaml';
    fuzz(texts(facts), {
      parse: (text) => {
        const role = judgeRole(parseFact(text), path);
        if (role.role !== 'suspended') return role;
        expect([
          `${role.why} ${role.hint}`.includes(path),
          role.why.length < 500,
          role.hint.includes('pe_failover_'),
        ]).toEqual([true, true, true]);
        return undefined;
      },
      refusedAs: [],
      accepted: (role) => {
        const host = role.role === 'active' ? role.passiveMaster : role.pdbPeer;
        if (host !== undefined) expect(host).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/);
        if (role.role === 'passive' && role.key !== undefined) expect(role.key).not.toMatch(/\p{Cc}/u);
      },
    });
  });

  test('facts that are set in a file of others are read as they were set, and the others stay', () => {
    const host = fc.oneof(
      fc.constantFrom('yes', 'NULL', 'on', '1e3', '0x10', 'a: b', '2026-11-21'),
      fc.stringMatching(/^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,20}[A-Za-z0-9_])?$/),
    );
    fuzz(fc.tuple(texts(facts.slice(0, 3), fc.constant('')), host), {
      parse: ([text, name]) => {
        const before = parseFact(text);
        const isMapping =
          before.kind === 'read' && (before.value === null || judgeRole(before, '').role !== 'suspended');
        return isMapping
          ? {
              before,
              after: withFacts(text, { pe_failover_mode: 'active', pe_failover_passive_master: name }, '/fact'),
            }
          : undefined;
      },
      refusedAs: ['config'],
      accepted: ({ before, after }, [, name]) => {
        const read = parseFact(after);
        const others = before.kind === 'read' ? before.value : undefined;
        expect(read).toMatchObject({
          kind: 'read',
          value: { ...(Object(others) as object), pe_failover_mode: 'active', pe_failover_passive_master: name },
        });
        expect(withoutFacts(after) ?? '').not.toMatch(/^pe_failover_/m);
      },
    });
  });

  test('the configuration', () => {
    const made = fc.jsonValue().map((value) => JSON.stringify(value));
    const nested = fc.constantFrom('[', '{a: ', '- ', '? ', '!a ').map((one) => one.repeat(3_000));
    fuzz(fc.oneof({ weight: 500, arbitrary: texts(configs, made) }, { weight: 1, arbitrary: nested }), {
      parse: (text) => parseConfig(text, '/etc/pe_failover.yaml', 'puppet'),
      refusedAs: ['config'],
      accepted: (config) => {
        expect(
          parseConfig(JSON.stringify({ platform: config.platform, files: config.files }), 'x', 'puppet').files,
        ).toEqual(config.files);
        for (const file of config.files) expect(file).toMatch(/^\/[^\0\n]*$/);
        expect([
          Object.isFrozen(config.brakes.ca),
          config.brakes.ca.percent <= 100,
          config.jobs.sync_certs.every >= 0,
        ]).toEqual([true, true, true]);
      },
    });
  });

  test('a journal', () => {
    const line = {
      run: '3.00c0ffee00c0ffee-17',
      job: 'restore-nc',
      step: 'import',
      n: 1,
      of: 4,
      args: { drop: 'x' },
      at: '2026-11-21T04:00:00.000Z',
    };
    const lines = mutatedJsonText([line]);
    const inputs = fc.oneof(
      anyText,
      fc.array(lines, { maxLength: 3 }).map((all) => `${all.join('\n')}\n`),
      mutatedText([`${JSON.stringify(line)}\n`]),
    );
    fuzz(inputs, {
      parse: (text) => readJournalLine(text, '/journal'),
      refusedAs: ['config'],
      accepted: (open) => {
        expect([Number.isSafeInteger(open.n), open.n >= 0, open.n < open.of]).toEqual([true, true, true]);
        expect(readJournalLine(`${JSON.stringify(open)}\n`, '/journal')).toEqual(open);
      },
    });
  });

  test('an announcement of deletions, and a fingerprint', () => {
    const now = new Date('2026-11-21T04:00:00Z');
    fuzz(fc.tuple(mutatedText(['500', '0', '12']), mutatedText(['1h', '30m', '24h'])), {
      parse: ([count, lasting]) => readExpectation(count, lasting, now),
      refusedAs: ['usage'],
      accepted: (expected) => {
        expect(expected.count).toBeLessThan(1_000_000);
        expect(expected.count === 0 || standingExpectation(expected, now) !== undefined).toBe(true);
      },
    });
    fuzz(mutatedText(['sha256:'.padEnd(71, 'a'), 'AB:'.repeat(32).slice(0, -1)]), {
      parse: normalFingerprint,
      refusedAs: ['usage'],
      accepted: (fingerprint) => expect(fingerprint).toMatch(/^[0-9a-f]{64}$/),
    });
  });

  test('maps as keys of maps, a few hundred deep, are refused at once, and not turned into text for minutes', () => {
    const text = '? '.repeat(800);
    const begin = performance.now();
    expect(parseFact(text)).toMatchObject({
      kind: 'unreadable',
      why: expect.stringContaining('keys must be strings') as string,
    });
    expect(() => parseConfig(text, 'x', 'puppet')).toThrow('keys must be strings');
    expect(parseFact('a: 1\n80: open\ntrue: x\n')).toMatchObject({ kind: 'read', value: { 80: 'open', true: 'x' } });
    expect(performance.now() - begin).toBeLessThan(5_000);
  });

  test('a fact file in another form than a fact a line is not spoilt: what to write there is said', () => {
    const add = (text: string) => () => withFacts(text, { pe_failover_mode: 'passive' }, '/fact');
    for (const text of ['{pe_failover_mode: active}\n', '"pe_failover_mode": active\n', '~', 'a: b\n...\n', '- a\n'])
      expect(add(text), text).toThrow('Write them there by hand: pe_failover_mode: passive');
  });
});
