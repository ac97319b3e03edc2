import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mapHosts } from '../../src/rules/host-map.ts';
import { canonicalJson, type Json } from '../../src/rules/json.ts';
import { a, b, group, hostText, json, tree } from '../helpers/arbitrary-groups.ts';

const pairs = [{ active: a, passive: b }];
const mapParameter = (value: Json, given = pairs): Json | undefined => {
  const [mapped] = mapHosts([group({ classes: { 'role::web': { p: value } } })], given).groups;
  return (mapped?.classes['role::web'] as { p: Json }).p;
};
const mapRule = (rule: readonly Json[]): unknown => mapHosts([group({ rule })], pairs).groups[0]?.rule;

describe('host names are exchanged', () => {
  test.each<[string, Json, Json]>([
    ['as a whole value', a, b],
    ['the other way round', b, a],
    ['whatever their case', 'MasterA.Example.COM', b],
    ['before a port', `${a}:8140`, `${b}:8140`],
    ['in a URL', `https://${a}:8170/x?y=1`, `https://${b}:8170/x?y=1`],
    ['in prose, before a final dot', `Ask ${a}.`, `Ask ${b}.`],
    ['in lists', ['other', `${a}:8142`], ['other', `${b}:8142`]],
    ['in nested values', [{ host: a, port: 8081 }], [{ host: b, port: 8081 }]],
    ['in keys', { [a]: 1 }, { [b]: 1 }],
  ])('%s', (_, value, wanted) => expect(mapParameter(value)).toEqual(wanted));

  test('in the leaves of rules, but not in their paths', () => {
    expect(mapRule(['or', ['=', 'name', a], ['not', ['=', ['trusted', 'certname'], a]]])).toEqual([
      'or',
      ['=', 'name', b],
      ['not', ['=', ['trusted', 'certname'], b]],
    ]);
    expect(mapRule(['=', ['fact', a], 'x'])).toEqual(['=', ['fact', a], 'x']);
  });
  test('in regular expressions, where dots are escaped', () => {
    expect(mapRule(['~', 'name', '^mastera\\.example\\.com$'])).toEqual(['~', 'name', '^masterb\\.example\\.com$']);
  });
  test('in variables, config data and descriptions, each change reported with its path', () => {
    const given = group({ variables: { v: a }, config_data: { c: { p: [a] } }, description: `on ${a}` });
    const { groups, changes } = mapHosts([given], pairs);
    expect(groups[0]).toMatchObject({ variables: { v: b }, config_data: { c: { p: [b] } }, description: `on ${b}` });
    expect(changes).toContainEqual({ path: 'Web: config_data.c.p[0]', old: a, new: b });
    expect(changes).toHaveLength(3);
  });
  test('for further pairs of names, the longest first', () => {
    const more = [...pairs, { active: 'mastera', passive: 'masterb' }];
    expect(mapParameter(`mastera ${a}`, more)).toBe(`masterb ${b}`);
  });
});

describe('left alone', () => {
  test.each<[string, Json]>([
    ['a longer host', 'mastera2.example.com'],
    ['a longer word', 'puppetmastera.example.com'],
    ['a longer domain', 'mastera.example.com.au'],
    ['a subdomain', 'x.mastera.example.com'],
    ['a name joined by a dash', 'mastera.example.com-old'],
    ['a value that names both masters', [`${a}:8140`, `${b}:8140`]],
    ['a map that names both', { [a]: 1, other: b }],
  ])('%s', (_, value) => expect(mapParameter(value)).toEqual(value));

  test('names of groups and classes, environments, and the lists of where agents go', () => {
    const profile = 'puppet_enterprise::profile::agent';
    const given = group({ name: a, environment: a, classes: { [a]: {}, [profile]: { server_list: [a] } } });
    expect(mapHosts([given], pairs)).toEqual({ groups: [given], changes: [] });
  });
});

test('refuses a host name that stands in two pairs, and takes the same pair twice', () => {
  expect(() => mapHosts([], [...pairs, { active: a, passive: 'c' }])).toThrow(/stands twice/);
  expect(mapParameter(a, [...pairs, { active: b, passive: a }])).toBe(b);
});

describe('for all trees', () => {
  test('the mapping is its own inverse', () => {
    fc.assert(
      fc.property(tree, (groups) => {
        const there = mapHosts(groups, pairs);
        const back = mapHosts(there.groups, pairs);
        expect(canonicalJson(back.groups)).toBe(canonicalJson(groups));
        expect(back.changes).toHaveLength(there.changes.length);
      }),
    );
  });
  test('a value without the names is never changed', () => {
    const holdsNone = (value: Json): boolean => !/master[ab]\\?\.example\\?\.com/i.test(JSON.stringify(value));
    fc.assert(fc.property(json.filter(holdsNone), (value) => void expect(mapParameter(value)).toEqual(value)));
  });
  test('no part of a longer name is ever changed', () => {
    fc.assert(
      fc.property(hostText, fc.constantFrom('x', '1', '-', '_', 'é'), (text, letter) => {
        expect(mapParameter(`${letter}${a}${letter}${text.replaceAll(/master/g, '')}`)).toContain(`${letter}${a}`);
      }),
    );
  });
});
