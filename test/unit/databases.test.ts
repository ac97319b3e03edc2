import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Failure } from '../../src/errors.ts';
import { filterArchiveList, parseArchiveList, sequenceList } from '../../src/rules/archive-list.ts';
import { canonicalExpression } from '../../src/rules/expression-text.ts';
import { isLeftoverName, previousName, stagingName } from '../../src/rules/database-names.ts';
import {
  refusalOf,
  restoreRefusals,
  supersededIsInTheWay,
  type RestoreFacts,
} from '../../src/rules/restore-refusals.ts';
import { outcomeOfSeveral } from '../../src/rules/several.ts';
import { swapDirection } from '../../src/rules/swap.ts';
import { databaseDigest, sequencesOfScript, sumOfLanes, type Lanes } from '../../src/rules/table-digest.ts';
import { waitingAfter } from '../../src/rules/waiting.ts';
import { parseVolatile } from '../../src/rules/volatile.ts';

describe('volatile', () => {
  test('tells tables from columns', () => {
    const { tables, columns } = parseVolatile(['public.tokens', 'public.subjects.last_login', 'public.subjects.x']);
    expect([...tables]).toEqual(['public.tokens']);
    expect([...(columns.get('public.subjects') ?? [])]).toEqual(['last_login', 'x']);
  });
  test.each(['tokens', 'a.b.c.d', 'a.b; DROP', ''])('refuses the pattern %j, naming it', (text) => {
    expect(() => parseVolatile([text])).toThrow(Failure);
  });
});

describe('digest', () => {
  const hash = (row: string): string => createHash('sha256').update(row).digest('hex');
  const lanesOf = (rows: readonly string[]): Lanes => {
    const lane = (from: number, to: number): string =>
      rows.reduce((sum, row) => sum + BigInt(`0x${hash(row).slice(from, to)}`), 0n).toString();
    return [lane(0, 14), lane(14, 28), lane(28, 42), lane(42, 56), lane(56, 64)];
  };
  test('the lanes add up to the sum modulo 2^256 of the hashes, in any order', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 50 }), (rows) => {
        const whole = rows.reduce((sum, row) => (sum + BigInt(`0x${hash(row)}`)) % (1n << 256n), 0n);
        expect(sumOfLanes(lanesOf(rows))).toBe(whole);
        expect(sumOfLanes(lanesOf(rows.toReversed()))).toBe(whole);
      }),
    );
  });
  const content = {
    tables: [{ name: 'public.a', rows: 1, lanes: ['1', '2', '3', '4', '5'] as const }],
    definitions: [{ kind: 'view', identity: 'public.v', definition: 'SELECT 1' }],
    sequences: [{ name: 'public.s', last: '7', called: true }],
  };
  test.each([
    ['a table', { ...content, tables: [] }],
    ['a definition', { ...content, definitions: [{ kind: 'view', identity: 'public.v', definition: 'SELECT 2' }] }],
    ['whether a sequence was called', { ...content, sequences: [{ name: 'public.s', last: '7', called: false }] }],
  ])('counts %s', (_what, other) => {
    expect(databaseDigest(other)).not.toBe(databaseDigest(content));
  });
  test('a check that PostgreSQL prints anew after a restore is still the same', () => {
    const first = `CHECK (((kind)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))`;
    const second = `CHECK (((kind)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))`;
    expect(canonicalExpression(first)).toBe(canonicalExpression(second));
    expect(canonicalExpression(first)).not.toBe(canonicalExpression(first.replace("'b'", "'c'")));
  });
  test('reads the sequences that a script sets, quotes and all', () => {
    const script = `SELECT pg_catalog.setval('public."it''s"', 42, true);\nSELECT pg_catalog.setval('public.b', 1, false);\n`;
    expect(sequencesOfScript(script)).toEqual([
      { name: `public."it's"`, last: '42', called: true },
      { name: 'public.b', last: '1', called: false },
    ]);
  });
});

describe('names', () => {
  const drop = { epoch: { number: 123_456_789 }, sequence: 1_234_567_890 };
  test.each(['pe-rbac', 'x'.repeat(63)])('of staging and previous fit, and are known again (%s)', (database) => {
    for (const name of [stagingName(database, drop), previousName(database, drop)]) {
      expect(name.length).toBeLessThanOrEqual(63);
      expect(isLeftoverName(name, database)).toBe(true);
    }
  });
  test.each(['pe-rbac', 'pe-rbac_old', 'pe-rbac_restore_1_1_by_hand', 'pe-rbac-2_restore_1_1'])(
    '%s is not ours to drop',
    (name) => {
      expect(isLeftoverName(name, 'pe-rbac')).toBe(false);
    },
  );
});

describe('an interrupted swap', () => {
  const facts = { old: 1, fresh: 2, oldExists: true, freshExists: true };
  test('is finished once the new database has the name', () =>
    expect(swapDirection({ ...facts, live: 2 }).way).toBe('finish'));
  test('is undone while the old one has it', () => expect(swapDirection({ ...facts, live: 1 }).way).toBe('undo'));
  test.each([undefined, 3])('is left to an admin when OID %s has it, naming both', (live) => {
    expect(swapDirection({ ...facts, live })).toMatchObject({
      way: 'stuck',
      why: expect.stringContaining('OID 1') as string,
    });
  });
});

describe('a definition', () => {
  test.each([
    ['another bracket', '((a OR b) AND c)', '(a OR (b AND c))'],
    ['a bracket in sums', '((x + 1) * 2)', '(x + (1 * 2))'],
    ['a blank in a literal', "(a = 'a b')", "(a = 'ab')"],
    ['brackets in a literal', "(a = '(b)')", "(a = 'b')"],
    ['a cast in a literal', "(a = 'b::text')", "(a = 'b')"],
    ['an argument', 'f(a, (b))', 'f(a) , b'],
  ])('differs by %s', (_what, one, two) => {
    expect(canonicalExpression(one)).not.toBe(canonicalExpression(two));
  });
  test.each([
    [
      'where casts moved',
      "(((kind)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))",
      "((kind)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text]))",
    ],
    ['where AND was nested in AND', '(((g >= 1) AND (g <= 5)) AND (c > 2))', '((g >= 1) AND (g <= 5) AND (c > 2))'],
    ['in its blanks', 'SELECT a\n   FROM t', ' SELECT a FROM t'],
  ])('is the same %s', (_what, one, two) => expect(canonicalExpression(one)).toBe(canonicalExpression(two)));
  test('whose brackets do not fit is read all the same', () => {
    expect(canonicalExpression(`) ${'('.repeat(50_000)} it's`)).toContain("it ' s");
  });
});

describe('a restore is refused', () => {
  const none = { owners: [], extensionRows: [], givenOn: [] };
  const ofX = { ...none, owners: [{ role: 'x', things: 2, first: 'table public.t' }] };
  const plain = { role: 'x', superuser: null, powers: [], granted: false };
  const good: RestoreFacts = {
    database: 'pe-rbac', preparedTransactions: 0, slots: [], subscriptions: [], build: '1', buildHere: '1', major: 15, majorHere: 15,
    missingRoles: [], foreignExtensions: [], absentExtensions: [], restorer: 'us', owner: 'pe-rbac', ownership: { owners: [], extensionRows: [], givenOn: [] },
    rolesHere: [], free: 1e9, supersededBytes: 0, stagingBytes: 1e8, walBytes: 1e8,
  }; // prettier-ignore
  test('never without a reason', () => expect(restoreRefusals(good)).toEqual([]));
  test.each([
    [{ preparedTransactions: 2 }, '2 prepared'],
    [{ slots: ['a', 'b'] }, 'a, b'],
    [{ subscriptions: ['s'] }, 'subscription(s): s'],
    [{ build: '2' }, 'build 2, this host has 1'],
    [{ major: 14 }, 'PostgreSQL 14, this host has 15'],
    [{ missingRoles: ['x'] }, 'no role x'],
    [{ foreignExtensions: ['dblink'] }, 'dblink'],
    [{ absentExtensions: ['dblink'] }, 'does not have: dblink'],
    [{ ownership: { ...none, extensionRows: ['public.jobs'] } }, 'public.jobs'],
    [{ ownership: { ...none, givenOn: [{ thing: 'table public.t', by: 'b' }] } }, 'table public.t were given by b'],
    [{ rolesHere: [{ ...plain, role: 'us', superuser: 'us' }] }, 'us, which loads, is one here'],
    [{ rolesHere: [{ ...plain, role: 'us', superuser: 'dba' }] }, 'may become dba'],
    [{ rolesHere: [{ ...plain, role: 'pe-rbac', superuser: 'pe-rbac' }] }, 'owns database "pe-rbac", is one here'],
    [
      { ownership: ofX, rolesHere: [{ ...plain, superuser: 'x' }] },
      'x, who owns table public.t and 1 more, is one here',
    ],
    [{ ownership: ofX, rolesHere: [{ ...plain, powers: ['CREATEROLE'] }] }, 'than a plain role (CREATEROLE)'],
    [{ free: 2e8 }, 'too little space'],
    [{ reserve: 1e9 }, 'reserve 954 MB'],
  ] as [Partial<RestoreFacts>, string][])('for %j, in a sentence with a way out', (facts, sentence) => {
    const refusals = restoreRefusals({ ...good, ...facts });
    expect(refusals).toHaveLength(1);
    expect(refusals[0]?.why).toContain(sentence);
    expect(refusals[0]?.hint).not.toBe('');
  });
  test('not for an owner with powers whom an admin gave to the role that loads', () => {
    const given = { ...plain, powers: ['pg_monitor'], granted: true };
    expect(restoreRefusals({ ...good, ownership: ofX, rolesHere: [given] })).toEqual([]);
  });
  test('once, with all reasons and everything to type', () => {
    const facts = { ...good, missingRoles: ['x'], ownership: ofX, rolesHere: [{ ...plain, superuser: 'x' }] };
    const { why, hint } = refusalOf({ ...facts, foreignExtensions: ['dblink'] }) ?? { why: '', hint: '' };
    expect(why.split('; ')).toHaveLength(3);
    expect(hint).toContain('CREATE ROLE "x"');
    expect(hint).toContain('ALTER TABLE public.t OWNER TO "pe-rbac"');
    expect(hint).toContain('name: pe-rbac, extensions: [dblink]');
  });
  test('not for space that the database of an older drop holds: that one goes, and only then', () => {
    const full = { ...good, free: 2e8, supersededBytes: 1e8 };
    expect(restoreRefusals(full)).toEqual([]);
    expect(supersededIsInTheWay(full)).toBe(true);
    expect(supersededIsInTheWay({ ...full, free: 1e9 })).toBe(false);
    expect(supersededIsInTheWay({ ...full, supersededBytes: 1e6 })).toBe(false);
  });
  test('not for space on another host, where nothing is known', () => {
    expect(restoreRefusals({ ...good, free: undefined })).toEqual([]);
  });
});

describe('a database that waits to go live', () => {
  const rule = { database: 'a', limitMs: 1000, cron: '3 * * * *' };
  const at = (ms: number): Date => new Date(Date.UTC(2026, 0, 1) + ms);
  const putOff = { kind: 'put off', why: 'an agent runs' } as const;
  const since = at(0).toISOString();
  test('is overdue from the limit on, counted from the first drop, with the last reason', () => {
    const first = waitingAfter(undefined, { kind: 'not tried' }, at(0), rule);
    expect(first).toMatchObject({ since, why: expect.stringContaining('"3 * * * *"') as string });
    const second = waitingAfter(first, putOff, at(999), rule);
    expect(second).toEqual({ since, why: 'an agent runs' });
    const third = waitingAfter(second, { kind: 'not tried' }, at(1000), rule);
    expect(third?.overdue).toMatch(/^Database a .* since 2026-01-01T00:00:00.000Z .*: an agent runs\. .* type: /);
  });
  test('is not overdue where the clock was put back, and forgotten where it waits no longer', () => {
    const waiting = { since, why: 'x', overdue: 'y' };
    expect(waitingAfter(waiting, putOff, at(-5000), rule)).toEqual({ since, why: 'an agent runs' });
    expect(waitingAfter(waiting, { kind: 'over' }, at(5000), rule)).toBeUndefined();
  });
});

describe('an archive list', () => {
  const list = [
    '2; 3079 16385 EXTENSION - citext ', '3500; 0 0 COMMENT - EXTENSION citext ', '10; 2615 16400 SCHEMA - pglogical postgres',
    '5; 2615 2200 SCHEMA - public pe-rbac', '3501; 0 0 ACL - SCHEMA public pe-rbac', '210; 1259 16500 TABLE public roles pe-rbac',
    '211; 1259 16501 TABLE pglogical node postgres', '3400; 3466 16700 EVENT TRIGGER - spy postgres', '3401; 6104 16701 PUBLICATION - all postgres',
    '3402; 6106 0 PUBLICATION TABLE public all roles postgres', '3510; 0 0 SEQUENCE SET public roles_id_seq pe-rbac',
    '3300; 826 16800 DEFAULT ACL public DEFAULT PRIVILEGES FOR TABLES pe-rbac', '3301; 826 16801 DEFAULT ACL public DEFAULT PRIVILEGES FOR TABLES postgres',
    '3520; 0 16500 TABLE DATA public roles pe-rbac', '3521; 0 0 COMMENT public TABLE roles pe-rbac',
  ]; // prettier-ignore
  const entries = parseArchiveList(['; Archive created', ...list].join('\n'));
  const kept = (owners: string[]) => filterArchiveList(entries, owners).split('\n').filter(Boolean);
  test('keeps what its owners may restore, and nothing that a superuser makes or sets', () => {
    expect(kept(['pe-rbac'])).toEqual([list[5], list[10], list[13], list[14]]);
  });
  test('keeps rights and rows of the owners alone, though a name has blanks: the others are of extensions', () => {
    const more = [
      '3530; 0 0 ACL public FUNCTION citext_eq(citext, citext) postgres',
      '3531; 0 0 ACL public TABLE x app owner',
    ];
    const both = parseArchiveList([...list, ...more].join('\n'));
    expect(filterArchiveList(both, ['app owner'])).toContain(more[1]);
    expect(filterArchiveList(both, ['app owner', 'pe-rbac'])).not.toContain(more[0]);
  });
  test('names the sequences', () => expect(sequenceList(entries)).toBe(`${list[10] ?? ''}\n`));
});

describe('several outcomes', () => {
  const part = (name: string, kind: 'done' | 'held' | 'unchanged') => ({ name, outcome: { kind, why: kind } as const });
  test('the one that needs an admin decides, and all are told', () => {
    expect(outcomeOfSeveral([part('a', 'done'), part('b', 'held')])).toEqual({ kind: 'held', why: 'a: done; b: held' });
  });
  test('a failure comes with its class and the names', () => {
    const failure = new Failure('config', 'no');
    const failed = { name: 'c', outcome: { kind: 'failed', failure } as const };
    expect(outcomeOfSeveral([part('a', 'done'), failed])).toBe(failure);
    expect(outcomeOfSeveral([failed, { ...failed, name: 'd' }])).toMatchObject({
      class: 'config',
      why: 'c: no; d: no',
    });
  });
});
