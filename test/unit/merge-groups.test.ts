import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalGroups, digestGroups, parseGroups, rootId, type Group } from '../../src/rules/groups.ts';
import { mapHosts } from '../../src/rules/host-map.ts';
import { mergeGroups } from '../../src/rules/merge-groups.ts';
import { checkHierarchy, type ApiGroup } from '../stand-in/classifier-model.ts';
import { stockGroups } from '../stand-in/classifier-stock.ts';
import { a, b, group, tree } from '../helpers/arbitrary-groups.ts';

const stock = (host: string): readonly Group[] => parseGroups(JSON.stringify(stockGroups(host)));
const named = (groups: readonly Group[], name: string): Group => {
  const found = groups.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no group ${name}`);
  return found;
};
const change = (groups: readonly Group[], name: string, fields: Partial<Group>): readonly Group[] =>
  groups.map((one) => (one.name === name ? { ...one, ...fields } : one));
const merge = (active: readonly Group[], live: readonly Group[]) =>
  mergeGroups(mapHosts(active, [{ active: a, passive: b }]).groups, live);
const profile = 'puppet_enterprise::profile';
const ownId = 'aaaaaaaa-0000-4000-8000-000000000000';

describe('the merged tree', () => {
  const active = stock(a);
  const live = stock(b);

  test("has the active's ids and the spare's own pins and host names", () => {
    const { groups, drift } = merge(active, live);
    expect(named(groups, 'PE Master')).toMatchObject({
      id: named(active, 'PE Master').id,
      parent: named(active, 'PE Infrastructure').id,
      rule: ['or', ['=', 'name', b]],
      classes: { [`${profile}::master`]: { classifier_host: [b] } },
    });
    expect(JSON.stringify(named(groups, 'PE Infrastructure'))).not.toContain(a);
    expect(drift).toEqual([]);
  });
  test('takes the lists of where agents go from the active, word for word', () => {
    const { groups } = merge(active, live);
    expect(named(groups, 'PE Infrastructure Agent').classes[`${profile}::agent`]).toEqual({
      pcp_broker_list: [`${a}:8142`],
    });
    const without = change(active, 'PE Infrastructure Agent', { classes: { [`${profile}::agent`]: {} } });
    expect(named(merge(without, live).groups, 'PE Infrastructure Agent').classes).toEqual({
      [`${profile}::agent`]: {},
    });
  });
  test('carries groups that people made below stock groups, host names exchanged', () => {
    const custom = group({ id: ownId, name: 'Mine', parent: named(active, 'PE Master').id, variables: { v: a } });
    const { groups } = merge([...active, custom], live);
    expect(named(groups, 'Mine')).toEqual({ ...custom, variables: { v: b } });
  });
  test('carries classes that people added to stock groups, and reports other differences', () => {
    const master = named(active, 'PE Master');
    const changed = change(active, 'PE Master', {
      classes: {
        ...master.classes,
        'profile::mine': { x: a },
        [`${profile}::master`]: { ...(master.classes[`${profile}::master`] as object), r10k_remote: 'git@x' },
      },
      rule: ['or', ['=', 'name', a], ['=', 'name', 'compiler1']],
    });
    const { groups, drift } = merge(changed, live);
    expect(named(groups, 'PE Master').classes).toMatchObject({ 'profile::mine': { x: b } });
    expect(named(groups, 'PE Master').classes[`${profile}::master`]).not.toHaveProperty('r10k_remote');
    expect(drift.map((one) => one.what)).toEqual([
      'pinned on the active only: compiler1',
      `${profile}::master: r10k_remote is other on the active, unset here`,
    ]);
  });
  test('never shows the value of a parameter in a drift: it may be a secret', () => {
    const changed = change(active, 'PE Console', { classes: { [`${profile}::console`]: { password: 's3cret' } } });
    expect(JSON.stringify(merge(changed, live).drift)).not.toContain('s3cret');
  });
  test('keeps a stock group that only the spare has, below what stands for its parent', () => {
    const extra = group({ id: ownId, name: 'PE HA Master', parent: named(live, 'PE Master').id });
    const { groups, drift } = merge(active, [...live, extra]);
    expect(named(groups, 'PE HA Master')).toEqual({ ...extra, parent: named(active, 'PE Master').id });
    expect(drift).toEqual([{ group: 'PE HA Master', what: 'exists on the spare only', kept: 'kept' }]);
  });
  test('keeps a stock group that only the active has as a parent that configures nothing of PE', () => {
    const extra = group({
      id: ownId,
      name: 'PE HA Replica',
      rule: ['or', ['=', 'name', b]],
      classes: { [`${profile}::primary_master_replica`]: {}, mine: {} },
    });
    const { groups } = merge([...active, extra], live);
    expect(named(groups, 'PE HA Replica').classes).toEqual({ mine: {} });
    expect(named(groups, 'PE HA Replica')).not.toHaveProperty('rule');
  });
  test("keeps the spare's root rule, which no import may change, and the active's classes on the root", () => {
    const changed = change(active, 'All Nodes', { rule: ['and', ['~', 'name', 'x']], classes: { base: {} } });
    const { groups, drift } = merge(changed, live);
    expect(named(groups, 'All Nodes')).toMatchObject({ classes: { base: {} }, rule: ['and', ['~', 'name', '.*']] });
    expect(drift).toHaveLength(1);
  });
  test("carries the active's pins in environment groups, which are people's", () => {
    const changed = change(active, 'Agent-specified environment', { rule: ['or', ['=', 'name', 'node1']] });
    expect(named(merge(changed, live).groups, 'Agent-specified environment').rule).toEqual([
      'or',
      ['=', 'name', 'node1'],
    ]);
  });
});

describe('for all pairs of trees', () => {
  test('the classifier would import the merged tree', () => {
    fc.assert(
      fc.property(tree, tree, (active, live) => {
        const { groups } = mergeGroups(active, live);
        const root = live.find((one) => one.id === rootId) as unknown as ApiGroup;
        expect(() => checkHierarchy(JSON.parse(canonicalGroups(groups)), root, false)).not.toThrow();
      }),
      { numRuns: 300 },
    );
  });
  test('merging again changes nothing', () => {
    fc.assert(
      fc.property(tree, tree, (active, live) => {
        const once = mergeGroups(active, live).groups;
        expect(digestGroups(mergeGroups(active, once).groups)).toBe(digestGroups(once));
      }),
      { numRuns: 300 },
    );
  });
});
