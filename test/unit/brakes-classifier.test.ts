import { expect, test } from 'vitest';
import { classifierBrakes, type Trees } from '../../src/rules/brakes-classifier.ts';
import { rootId, type Group } from '../../src/rules/groups.ts';
import { group } from '../helpers/arbitrary-groups.ts';

const root = group({ id: rootId, name: 'All Nodes', rule: ['and', ['~', 'name', '.*']] });
const groups = (count: number, from = 0): readonly Group[] => [
  root,
  ...Array.from({ length: count }, (_, n) =>
    group({ id: `${String(n + from + 1).padStart(8, '0')}-0000-4000-8000-000000000000`, name: `Group ${n + from}` }),
  ),
];
const brakes = (incoming: readonly Group[], live: readonly Group[], more: Partial<Trees> = {}) =>
  classifierBrakes({ incoming, wanted: incoming, live, ...more });

test('lets nine of ten groups go, for they are fewer than ten', () => {
  expect(brakes(groups(1), groups(10))).toEqual([]);
});
test('lets ten of sixty go, for they are no more than a fifth', () => {
  expect(brakes(groups(50), groups(60))).toEqual([]);
});
test('holds ten of forty, naming each', () => {
  const [brake] = brakes(groups(30), groups(40));
  expect(brake).toMatchObject({ rule: 'groups-vanish', sentence: '10 of 41 node groups would vanish from the spare' });
  expect(brake?.difference).toHaveLength(10);
  expect(brake?.difference[0]).toContain('Group 30');
});
test('does not take a renamed group, or one made again under another id, for vanished', () => {
  const renamed = groups(40).map((one) => (one === root ? one : { ...one, name: `${one.name} new` }));
  expect(brakes(renamed, groups(40))).toEqual([]);
});
test('holds an empty source, however few groups the spare has', () => {
  expect(brakes(groups(0), groups(2)).map((brake) => brake.rule)).toEqual(['source-empty']);
  expect(brakes(groups(0), groups(0))).toEqual([]);
});
test('holds a changed rule of the root group, with both rules', () => {
  const changed = groups(3).map((one) => (one.id === rootId ? group({ ...one, rule: ['=', 'name', 'x'] }) : one));
  expect(brakes(changed, groups(3))).toEqual([
    expect.objectContaining({
      rule: 'root-rule-changed',
      difference: ['- ["and",["~","name",".*"]]', '+ ["=","name","x"]'],
    }),
  ]);
});
test('what the spare made itself is no loss of the active: of it alone nothing counts, and with it nothing counts more', () => {
  expect(brakes(groups(40), groups(90), { left: groups(40) })).toEqual([]);
  expect(brakes(groups(31), groups(90), { left: groups(40) })).toEqual([]); // nine of the active's
  expect(brakes(groups(30), groups(90), { left: groups(40) })).toMatchObject([
    { sentence: '10 of 41 node groups would vanish from the spare' },
  ]);
});
test('what is replaced for the first time, as an admin said, may have had more groups; an empty source is held all the same', () => {
  expect(brakes(groups(5), groups(90), { replaces: true })).toEqual([]);
  expect(brakes(groups(5), groups(90))).toMatchObject([{ rule: 'groups-vanish' }]);
  expect(brakes(groups(0), groups(90), { replaces: true })).toMatchObject([{ rule: 'source-empty' }]);
});
