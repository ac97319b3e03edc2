import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilersOf, planDisable, planEnable, planRemoval, type EnableOrder } from '../../src/rules/agent-lists.ts';
import { deltaOf, mergeEdits, spokenEdit, turnedRound, type GroupEdit } from '../../src/rules/group-edits.ts';
import { rootId, type Group } from '../../src/rules/groups.ts';
import { agentProfile, mapHosts } from '../../src/rules/host-map.ts';
import type { Json, JsonObject } from '../../src/rules/json.ts';
import { mergeGroups } from '../../src/rules/merge-groups.ts';
import { findNative, nativeReplicas } from '../../src/rules/native-dr.ts';
import { a, b, group } from '../helpers/arbitrary-groups.ts';
import { applyDelta, type ApiGroup } from '../stand-in/classifier-model.ts';

const order: EnableOrder = { own: a, spare: b, topology: 'mono', skipAgentConfig: false, build: '2021.7.3' };
const id = (n: number): string => `${n}0000000-0000-4000-8000-000000000000`;
const agents = (n: number, name: string, lists: JsonObject, more: Partial<Group> = {}): Group =>
  group({ id: id(n), name, classes: { [agentProfile]: lists }, ...more });
const stock = (lists: JsonObject = {}, inner: JsonObject = {}): Group[] => [
  agents(1, 'PE Agent', lists),
  agents(2, 'PE Infrastructure Agent', inner),
];
/** As the service makes them. */
const made = (groups: readonly Group[], edits: readonly GroupEdit[]): Group[] =>
  groups.map((one) => {
    const own = edits.filter((edit) => edit.id === one.id);
    return own.length === 0 ? one : (applyDelta(one as unknown as ApiGroup, deltaOf(one, own)) as unknown as Group);
  });
const listsOf = (groups: readonly Group[], name: string): Json | undefined =>
  groups.find((one) => one.name === name)?.classes[agentProfile];
const enabled = (groups: readonly Group[], given: Partial<EnableOrder> = {}): Group[] =>
  made(groups, planEnable(groups, { ...order, ...given }).edits);
const both = [`${a}:8140`, `${b}:8140`];
const all = { server_list: both, pcp_broker_list: [`${a}:8142`, `${b}:8142`], primary_uris: both };

describe('enable', () => {
  it('makes the lists of both stock groups, this master first, the spare behind it', () => {
    const after = enabled(stock());
    expect(listsOf(after, 'PE Agent')).toEqual(all);
    expect(listsOf(after, 'PE Infrastructure Agent')).toEqual(all);
  });

  it.each([
    ['2019.8.1', 'master_uris'],
    ['2018.1.15', 'master_uris'],
    ['2021.0.0', 'primary_uris'],
    ['2025.6.0', 'primary_uris'],
    ['', 'primary_uris'],
  ])('calls the third list in PE "%s" %s', (build, name) => {
    expect(Object.keys(listsOf(enabled(stock(), { build }), 'PE Agent') as object)).toContain(name);
  });

  it('keeps the name of that list which is in use', () => {
    const after = listsOf(enabled(stock({ master_uris: [a] })), 'PE Agent');
    expect(after).toEqual({ server_list: both, pcp_broker_list: all.pcp_broker_list, master_uris: [a, b] });
  });

  it('with compilers leaves the lists of agents unset, and makes those of the infrastructure alone', () => {
    const after = enabled(stock(), { topology: 'mono-with-compile' });
    expect([listsOf(after, 'PE Agent'), listsOf(after, 'PE Infrastructure Agent')]).toEqual([{}, all]);
  });

  it('with --skip-agent-config touches no group but that of the infrastructure', () => {
    const after = enabled([...stock({ server_list: [a] }), agents(3, 'Paris', { server_list: [a] })], {
      skipAgentConfig: true,
    });
    expect(listsOf(after, 'PE Agent')).toEqual({ server_list: [a] });
    expect(listsOf(after, 'Paris')).toEqual({ server_list: [a] });
    expect(listsOf(after, 'PE Infrastructure Agent')).toEqual(all);
  });

  it.each<[string, Json, Json]>([
    ['with its port', [`${a}:8150`], [`${a}:8150`, `${b}:8150`]],
    ['without one', [a, 'lb.example.com'], [a, b, 'lb.example.com']],
    ['in a URL', [`https://${a}:8140`], [`https://${a}:8140`, `https://${b}:8140`]],
    ['in other letters', ['MasterA.example.com:8140'], ['MasterA.example.com:8140', `${b}:8140`]],
    ['only once', [`${a}:8140`, 'c:8140', `${b}:8140`], [`${a}:8140`, `${b}:8140`, 'c:8140']],
  ])('puts the spare behind this master in a list of a group of a place, %s', (_, list, wanted) => {
    const paris = agents(3, 'Agents in Paris', { server_list: list }, { parent: id(1) });
    expect(listsOf(enabled([...stock(), paris]), 'Agents in Paris')).toEqual({ server_list: wanted });
  });

  it('leaves a list that names others alone, and says so', () => {
    const paris = agents(3, 'Agents in Paris', { server_list: ['lb-paris.example.com:8140'] }, { parent: id(1) });
    const { edits, left } = planEnable([...stock(all, all), paris], order);
    expect(edits).toEqual([]);
    expect(left).toEqual(['Agents in Paris: server_list does not name this master, and stays as it is']);
  });

  it('changes a list where it stands, in the data of the class', () => {
    const data = { [agentProfile]: { server_list: [a] } };
    const given = [agents(1, 'PE Agent', {}, { config_data: data }), ...stock().slice(1)];
    const [first] = enabled(given);
    expect(first?.config_data).toEqual({ [agentProfile]: { server_list: [a, b] } });
    expect(first?.classes[agentProfile]).not.toHaveProperty('server_list');
  });

  it('typed on a promoted spare turns the order round', () => {
    const after = enabled(stock(all, all), { own: b, spare: a });
    expect(listsOf(after, 'PE Agent')).toMatchObject({ server_list: [`${b}:8140`, `${a}:8140`] });
  });

  it('typed again changes nothing', () => {
    expect(planEnable(enabled(stock()), order)).toEqual({ edits: [], left: [] });
  });

  it('shows each change in a line', () => {
    const [first] = planEnable(stock(), order).edits;
    expect(first && spokenEdit(first)).toBe(`PE Agent: server_list: unset -> ["${a}:8140","${b}:8140"]`);
  });
});

describe('disable', () => {
  const lists = fc
    .subarray(['server_list', 'pcp_broker_list', 'primary_uris'])
    .chain((names) =>
      fc
        .constantFrom<Json>([], [`${a}:8140`], ['lb:8140'], [a, 'lb'], [`${b}:8140`, `${a}:8140`])
        .map((list) => Object.fromEntries(names.map((name) => [name, list]))),
    );
  const trees = fc
    .tuple(fc.option(lists, { nil: undefined }), lists, lists)
    .map(([one, two, three]): Group[] => [
      one === undefined ? group({ id: id(1), name: 'PE Agent' }) : agents(1, 'PE Agent', one),
      agents(2, 'PE Infrastructure Agent', two),
      agents(3, 'Paris', three, { parent: id(1) }),
    ]);

  it('gives back exactly what was there before enable, whatever that was', () => {
    fc.assert(
      fc.property(trees, fc.constantFrom('mono' as const, 'mono-with-compile' as const), (groups, topology) => {
        const { edits } = planEnable(groups, { ...order, topology });
        const after = made(groups, edits);
        expect(made(after, planDisable(after, order, edits).edits)).toEqual(groups);
        expect(made(after, edits.map(turnedRound))).toEqual(groups);
      }),
    );
  });

  it('goes back behind both where enable was typed twice', () => {
    const groups = stock();
    const first = planEnable(groups, { ...order, topology: 'mono-with-compile' }).edits;
    const between = made(groups, first);
    const second = planEnable(between, order).edits;
    const after = made(between, second);
    expect(made(after, planDisable(after, order, mergeEdits(first, second)).edits)).toEqual(groups);
  });

  it('takes the spare alone out of a list that somebody edited since', () => {
    const { edits } = planEnable(stock(), order);
    const edited = made(stock(), edits).map((one) =>
      one.name === 'PE Agent' ? agents(1, 'PE Agent', { ...all, server_list: ['c:8140', ...both] }) : one,
    );
    const after = made(edited, planDisable(edited, order, edits).edits);
    expect(listsOf(after, 'PE Agent')).toEqual({ server_list: ['c:8140', `${a}:8140`] });
  });

  it('leaves what somebody else wrote, and names it', () => {
    const { edits } = planEnable(stock(), order);
    const after = [...made(stock(), edits), agents(3, 'Paris', { server_list: [b] })];
    const plan = planDisable(after, order, edits);
    expect(plan.left).toEqual([`Paris: server_list names ${b}, and was not written by enable`]);
    expect(listsOf(made(after, plan.edits), 'Paris')).toEqual({ server_list: [b] });
  });

  it('without a note of what was written takes it out of lists that name this master too', () => {
    const given = [...stock(all, all), agents(3, 'Paris', { server_list: [b] })];
    const after = made(given, planDisable(given, order, undefined).edits);
    expect(listsOf(after, 'PE Agent')).toMatchObject({ server_list: [`${a}:8140`], pcp_broker_list: [`${a}:8142`] });
    expect(listsOf(after, 'Paris')).toEqual({ server_list: [b] });
  });
});

it('forgetting a host takes it out of all lists and pins, and out of nothing else', () => {
  const pin = (name: string): Json => ['=', 'name', name];
  const given = [
    ...stock(all),
    group({ id: id(4), name: 'PE Master', rule: ['or', pin(a), pin(b)] as Json[] }),
    group({ id: id(5), name: 'Old', rule: ['or', pin('MasterB.example.com')] as Json[], variables: { v: b } }),
    group({ id: rootId, name: 'All Nodes', parent: rootId, rule: ['and', ['~', 'name', '.*']] }),
  ];
  const after = made(given, planRemoval(given, b));
  expect(listsOf(after, 'PE Agent')).toMatchObject({ server_list: [`${a}:8140`] });
  expect(after.map(({ rule }) => rule)).toEqual([undefined, undefined, ['or', pin(a)], undefined, given[4]?.rule]);
  expect(after[3]?.variables).toEqual({ v: b });
});

it('the lists are the same on the spare, so that after a failover it stays in them', () => {
  const root = group({ id: rootId, name: 'All Nodes', parent: rootId });
  const active = [root, ...enabled([...stock(), agents(3, 'Paris', { server_list: [a] }, { parent: id(1) })])];
  const mapped = mapHosts(active, [{ active: a, passive: b }]).groups;
  const live = [
    root,
    agents(7, 'PE Agent', {}),
    agents(8, 'PE Infrastructure Agent', { pcp_broker_list: [`${b}:8142`] }),
  ];
  const { groups, drift } = mergeGroups(mapped, live);
  for (const name of ['PE Agent', 'PE Infrastructure Agent']) expect(listsOf(groups, name)).toEqual(all);
  expect(listsOf(groups, 'Paris')).toEqual({ server_list: [a, b] });
  expect(drift).toEqual([]);
});

describe("PE's own disaster recovery", () => {
  const pin = (name: string): Json => ['=', 'name', name];
  it.each<[string, Partial<Group>]>([
    ['a pin in PE HA Replica', { name: 'PE HA Replica', rule: ['or', pin(b)] as Json[] }],
    [
      'ha_enabled_replicas',
      { name: 'PE Infrastructure', classes: { puppet_enterprise: { ha_enabled_replicas: [b] } } },
    ],
    [
      'provisioned_replicas',
      { name: 'PE HA Master', classes: { 'puppet_enterprise::profile::master': { provisioned_replicas: [b] } } },
    ],
  ])('is known by %s', (_, given) => {
    expect(nativeReplicas([group(given)])).toEqual([b]);
    const [finding] = findNative({ groups: [group(given)], own: a, databases: true });
    expect(finding).toMatchObject({ verdict: 'bad', hint: expect.stringContaining(`forget ${b}`) as string });
  });

  it('is not enabled in a fresh installation, nor by empty lists', () => {
    const given = [
      group({
        name: 'PE Infrastructure',
        classes: { puppet_enterprise: { ha_enabled_replicas: [], database_host: a } },
      }),
      group({ id: id(1), name: 'PE HA Replica' }),
    ];
    expect(findNative({ groups: given, own: a, databases: true }).map(({ verdict }) => verdict)).toEqual(['good']);
  });

  it.each([
    [true, 'bad'],
    [false, 'note'],
  ])(
    'a PostgreSQL on another host is refused only where databases are to be carried (%s: %s)',
    (databases, verdict) => {
      const elsewhere = group({
        name: 'PE Infrastructure',
        classes: { puppet_enterprise: { database_host: 'db.example.com' } },
      });
      expect(findNative({ groups: [elsewhere], own: a, databases })[1]).toMatchObject({
        verdict,
        says: expect.stringContaining('db.example.com') as string,
      });
    },
  );
});

it('compilers are known by their pins', () => {
  const pinned = group({ name: 'PE Master', rule: ['or', ['=', 'name', a], ['=', 'name', 'compile1']] as Json[] });
  expect(compilersOf([pinned], a)).toEqual(['compile1']);
});
