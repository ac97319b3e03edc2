import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalGroups, digestGroups, parseGroups, rootId, treeProblem, type Group } from '../../src/rules/groups.ts';
import { parseJson } from '../../src/rules/json.ts';
import { stockGroups } from '../stand-in/classifier-stock.ts';
import { group, tree } from '../helpers/arbitrary-groups.ts';

const root = group({ id: rootId, name: 'All Nodes' });
const id = (n: number): string => `${String(n).padStart(8, '0')}-0000-4000-8000-000000000000`;
const parse = (...groups: readonly unknown[]): readonly Group[] => parseGroups(JSON.stringify(groups));

describe('the canonical form', () => {
  test('does not depend on the order of groups and keys', () => {
    fc.assert(
      fc.property(tree, fc.infiniteStream(fc.nat()), (groups, random) => {
        const shuffled = (items: readonly unknown[]): unknown[] =>
          items
            .map((item) => [random.next().value, item] as const)
            .sort(([x], [y]) => x - y)
            .map(([, item]) => item);
        const turned = (value: unknown): unknown =>
          typeof value === 'object' && value !== null && !Array.isArray(value)
            ? Object.fromEntries(shuffled(Object.entries(value).map(([k, v]) => [k, turned(v)])) as [string, unknown][])
            : value;
        expect(canonicalGroups(shuffled(groups.map(turned)) as Group[])).toBe(canonicalGroups(groups));
      }),
    );
  });
  test('leaves out what the server makes up, and empty config data', () => {
    const extra = { last_edited: '2026', serial_number: 7, deleted: { c: {} }, config_data: { c: {} } };
    expect(canonicalGroups([{ ...root, ...extra }])).toBe(canonicalGroups([root]));
  });
  test('is itself a list that can be parsed, with the same digest', () => {
    fc.assert(
      fc.property(tree, (groups) => {
        expect(digestGroups(parseGroups(canonicalGroups(groups)))).toBe(digestGroups(groups));
      }),
    );
  });
  test('keeps numbers as they were written', () => {
    const text = JSON.stringify([root]).replace('"variables":{}', '"variables":{"f":1.0,"big":12345678901234567890}');
    expect(canonicalGroups(parseGroups(text))).toContain('"variables":{"big":12345678901234567890,"f":1.0}');
  });
  test('keeps fields that we do not know', () => {
    expect(canonicalGroups(parse({ ...root, future: [1] }))).toContain('"future":[1]');
  });
  test('keeps a key called __proto__', () => {
    const text = JSON.stringify([root]).replace('"variables":{}', '"variables":{"__proto__":{"x":1}}');
    expect(canonicalGroups(parseGroups(text))).toContain('"variables":{"__proto__":{"x":1}}');
  });
});

describe('untrusted groups', () => {
  test('of a fresh installation are accepted', () => {
    expect(parseGroups(JSON.stringify(stockGroups('mastera.example.com')))).toHaveLength(16);
  });
  test.each<[string, readonly unknown[], RegExp]>([
    ['an id that is no UUID', [root, group({ id: 'X' })], /group "Web": id.*UUID/],
    ['a group without a name', [root, { ...group({}), name: undefined }], /group 1: name/],
    ['classes that are not maps', [root, group({ classes: { c: 'x' } })], /classes/],
    ['a rule with a number', [root, group({ rule: ['=', 'name', 5] })], /compares with what is not text/],
    ['an empty rule', [root, group({ rule: ['or'] })], /empty "or"/],
    ['an unknown operator', [root, group({ rule: ['xor', ['=', 'name', 'x']] })], /unknown operator/],
    ['an id twice', [root, group({ id: id(1) }), group({ id: id(1), name: 'B' })], /an id twice/],
    ['a name twice', [root, group({ id: id(1) }), group({ id: id(2) })], /a name twice: Web in environment production/],
    ['no root', [group({ id: id(1), parent: id(1) })], /lack the root group/],
    ['a lost parent', [root, group({ id: id(1), parent: id(9) })], /lack the parent/],
    [
      'a circle',
      [root, group({ id: id(1), parent: id(2) }), group({ id: id(2), parent: id(1), name: 'B' })],
      /circle of parents/,
    ],
  ])('with %s are refused, naming it', (_, groups, message) => {
    expect(() => parse(...groups)).toThrow(message);
  });
  test('that are garbage, or nested without end, are refused as bad data', () => {
    expect(() => parseGroups('<html>')).toThrow(/not JSON/);
    expect(() => parseGroups('{}')).toThrow(/not a list/);
    expect(() => parseJson('['.repeat(5000) + ']'.repeat(5000), 'it')).toThrow(/deep/);
  });
  test('take a rule of null for no rule, which import would refuse', () => {
    expect(parse({ ...root, rule: null })[0]).not.toHaveProperty('rule');
  });
});

test('a tree of any shape that the arbitrary draws has no problem', () => {
  fc.assert(fc.property(tree, (groups) => void expect(treeProblem(groups)).toBeUndefined()));
});
