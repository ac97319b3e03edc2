import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { serviceStates } from '../../src/puppet/services-status.ts';
import { canonicalGroups, parseGroups, type Group } from '../../src/rules/groups.ts';
import { createWorld, groupsOf, signal, type ClassifierWorld } from '../helpers/classifier-pair.ts';
import { group } from '../helpers/arbitrary-groups.ts';
import type { ClassifierStandIn } from '../stand-in/classifier.ts';

let world: ClassifierWorld;
let standIn: ClassifierStandIn;
beforeAll(async () => {
  world = await createWorld();
  standIn = await world.start();
});
afterAll(() => world.close());
afterEach(() => standIn.clearFaults());

test('what is imported is what is read back, numbers as they were written', async () => {
  const classifier = world.classifierOf(standIn);
  const extra = group({ id: 'aaaaaaaa-0000-4000-8000-000000000000', variables: { v: 'here' } });
  const text = JSON.stringify([...(await classifier.groups(signal)), extra]).replace('"here"', '[1.0,1e3,{"a":null}]');
  const tree = parseGroups(text);
  await classifier.importHierarchy(tree, signal);
  expect(canonicalGroups(await classifier.groups(signal))).toBe(canonicalGroups(tree));
  expect(canonicalGroups(tree)).toContain('[1.0,1e3,{"a":null}]');
});
test('imports a dump with the keys that the server makes up, and with stale classes', async () => {
  const classifier = world.classifierOf(standIn);
  const stale = group({ id: 'bbbbbbbb-0000-4000-8000-000000000000', name: 'Stale', classes: { gone: { x: 1 } } });
  await classifier.importHierarchy([...groupsOf(standIn), stale], signal);
  await classifier.updateClasses(signal);
  expect(standIn.tree.get(stale.id).deleted).toMatchObject({ gone: { 'puppetlabs.classifier/deleted': true } });
  await classifier.importHierarchy(await classifier.groups(signal), signal);
});
test('a probe changes with every edit, and with nothing else', async () => {
  const classifier = world.classifierOf(standIn);
  const before = (await classifier.probe(signal)).fingerprint;
  expect((await classifier.probe(signal)).fingerprint).toBe(before);
  const id = groupsOf(standIn).find((one) => one.name === 'PE Console')?.id ?? '';
  standIn.tree.update(id, { variables: { edited: true } });
  expect((await classifier.probe(signal)).fingerprint).not.toBe(before);
});
test('200 with garbage is a service in trouble, not data to refuse', async () => {
  standIn.fault({ kind: 'garbage' });
  await expect(world.classifierOf(standIn).groups(signal)).rejects.toMatchObject({ class: 'dependency' });
});
test('a tree that the classifier refuses is bad data, with its words', async () => {
  const lost = group({ id: 'cccccccc-0000-4000-8000-000000000000', parent: 'dddddddd-0000-4000-8000-000000000000' });
  const tree: readonly Group[] = [...groupsOf(standIn), lost];
  const refused = world.classifierOf(standIn).importHierarchy(tree, signal);
  await expect(refused).rejects.toMatchObject({ class: 'bad-data' });
  await expect(refused).rejects.toThrow(/not reachable.*unreachable-groups/);
});

describe('ready', () => {
  test('waits while the service starts, and returns when it runs', async () => {
    standIn.fault({ kind: 'starting', path: '/status', times: 2 });
    await world.classifierOf(standIn).ready(signal);
  });
  test('waits while connections are refused', async () => {
    const reopen = await standIn.refuse();
    const waiting = world.classifierOf(standIn).ready(signal);
    setTimeout(() => void reopen(), 300);
    await waiting;
  });
  test('gives up at its limit with the last reason', async () => {
    standIn.fault({ kind: 'starting', path: '/status' });
    const waiting = world.classifierOf(standIn, { readyMs: 300 }).ready(signal);
    await expect(waiting).rejects.toThrow(/classifier-service is starting/);
  });
});

test('the states of all services are told, also when not all run', async () => {
  expect(Object.fromEntries(await serviceStates(world.http, standIn.origin, signal))).toMatchObject({
    'classifier-service': 'running',
    'rbac-service': 'running',
  });
  const sick = await world.start({ databaseUp: () => false });
  const states = await serviceStates(world.http, sick.origin, signal);
  expect(Object.fromEntries(states)).toMatchObject({ 'rbac-service': 'error', 'status-service': 'running' });
});
test('update-classes gives up when the service never says that it read them', async () => {
  const deaf = await world.start();
  deaf.tree.sync = () => undefined;
  const classifier = world.classifierOf(deaf, { refreshMs: 400 });
  await expect(classifier.updateClasses(signal)).rejects.toThrow(/not read again/);
});
