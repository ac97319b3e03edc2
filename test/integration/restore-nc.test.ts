import { readdir, readFile, rm, writeFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test } from 'vitest';
import { createHolds, type Holds } from '../../src/drops/holds.ts';
import { Failure } from '../../src/errors.ts';
import { createRestoreNc } from '../../src/jobs/restore-nc/index.ts';
import { canonicalGroups, digestGroups, rootId, type Group } from '../../src/rules/groups.ts';
import { createJournal, type Journal } from '../../src/system/journal.ts';
import { createState } from '../../src/system/state.ts';
import { fakeHolds, fakeIntake, makeDrop, passContext, temporaryDirectory } from '../helpers/classifier-fakes.ts';
import { createWorld, groupsOf, type ClassifierWorld } from '../helpers/classifier-pair.ts';
import { group } from '../helpers/arbitrary-groups.ts';
import type { ApiGroup } from '../stand-in/classifier-model.ts';
import { startClassifier, type ClassifierStandIn } from '../stand-in/classifier.ts';

let world: ClassifierWorld;
let root: string;
let active: ClassifierStandIn;
let spare: ClassifierStandIn;
let journal: Journal;
beforeAll(async () => void (world = await createWorld()));
afterAll(() => world.close());
beforeEach(async () => {
  root = await temporaryDirectory();
  active = await world.start({ host: 'mastera.example.com' });
  spare = await world.start();
  journal = createJournal(join(root, 'journal/restore-nc.jsonl'));
});
afterEach(() => rm(root, { recursive: true }));

type HoldsOfJob = Pick<Holds, 'raise' | 'isReleased' | 'closeOthers'>;

const custom = (n: number): Group =>
  group({ id: `${String(n).padStart(8, 'a')}-0000-4000-8000-000000000000`, name: `Custom ${n}` });
const dropOf = async (groups: readonly Group[], sequence = 1) => fakeIntake(await makeDrop(root, groups, sequence));
const setUp = (intake: ReturnType<typeof fakeIntake>, holds: HoldsOfJob = fakeHolds()) => ({
  job: createRestoreNc({
    classifier: world.classifierOf(spare),
    intake,
    holds,
    journal,
    archive: join(root, 'archive'),
  }),
  intake,
  holds,
});
const archived = async (): Promise<string[]> =>
  (await readdir(join(root, 'archive'))).filter((name) => name.startsWith('groups-')).sort();

test('imports the merged tree, archives the replaced one, has the classes read again', async () => {
  const before = groupsOf(spare);
  const { job, intake } = setUp(await dropOf([...groupsOf(active), custom(1)]));
  const refreshed = spare.tree.lastUpdate;
  expect(await job.run(passContext())).toMatchObject({ kind: 'done', why: '17 node groups imported' });
  const after = groupsOf(spare);
  expect(after.map((one) => one.id).sort()).toEqual([...groupsOf(active), custom(1)].map((one) => one.id).sort());
  expect(JSON.stringify(after.find((one) => one.name === 'PE Master'))).not.toContain('mastera');
  const [file = ''] = await archived();
  expect(await readFile(join(root, 'archive', file), 'utf8')).toBe(canonicalGroups(before));
  expect(spare.tree.lastUpdate).not.toBe(refreshed);
  expect(intake.verdicts).toEqual([expect.objectContaining({ state: 'applied' })]);
  expect(await journal.open()).toBeUndefined();
});
test("the spare's infrastructure groups keep what no exchange of host names gives: its own database host, its own pins", async () => {
  const of = (name: string): Group => {
    const found = groupsOf(spare).find((one) => one.name === name);
    if (found === undefined) throw new Error(`no group ${name}`);
    return found;
  };
  const { puppet_enterprise: own } = of('PE Infrastructure').classes;
  const hosts = {
    ...(own as object),
    database_host: 'db-of-b.example.com',
    puppetdb_host: ['masterb.example.com', 'pdb-of-b'],
  };
  spare.tree.update(of('PE Infrastructure').id, { classes: { puppet_enterprise: hosts } });
  const rule = ['or', ['=', 'name', 'masterb.example.com'], ['=', 'name', 'compiler-of-b.example.com']];
  spare.tree.update(of('PE Master').id, { rule });
  expect(await setUp(await dropOf([...groupsOf(active), custom(1)])).job.run(passContext())).toMatchObject({
    kind: 'done',
  });
  expect(of('PE Infrastructure').classes).toEqual({ puppet_enterprise: hosts });
  expect(of('PE Master').rule).toEqual(rule);
});
test('the same tree again is unchanged: no import, nothing archived', async () => {
  await setUp(await dropOf(groupsOf(active))).job.run(passContext());
  spare.seen.length = 0;
  const { job, intake } = setUp(await dropOf(groupsOf(active), 2));
  expect(await job.run(passContext())).toMatchObject({ kind: 'unchanged' });
  expect(intake.verdicts).toEqual([expect.objectContaining({ state: 'unchanged' })]);
  expect(spare.seen.some((one) => one.method === 'POST')).toBe(false);
  expect(await archived()).toHaveLength(1);
});
test('what people edited on the spare is named before it is replaced, and kept', async () => {
  await setUp(await dropOf([...groupsOf(active), custom(1)])).job.run(passContext());
  spare.tree.update(custom(1).id, { description: 'edited here' });
  spare.tree.put({ ...(custom(2) as unknown as ApiGroup) });
  const context = passContext();
  const { job, intake } = setUp(await dropOf([...groupsOf(active), custom(3)], 2));
  await job.run(context);
  expect(context.lines.join()).toMatch(/edited on this spare and are replaced: Custom 2, Custom 1. They are kept in/);
  expect(intake.verdicts).toEqual([expect.objectContaining({ state: 'applied', madeHere: { groups: 2 } })]);
  expect(await readFile(join(root, 'archive', (await archived()).at(-1) ?? ''), 'utf8')).toContain('edited here');
});
test('without a drop it says so in the words that admins know', async () => {
  expect(await setUp(fakeIntake()).job.run(passContext())).toEqual({
    kind: 'unchanged',
    why: 'No backup file found, skipping import',
  });
});
test('keeps the newest 24 replaced trees', async () => {
  await mkdir(join(root, 'archive'));
  for (let n = 10; n < 40; n += 1) await writeFile(join(root, `archive/groups-20200101T0000${n}Z.json`), '[]');
  await setUp(await dropOf(groupsOf(active))).job.run(passContext());
  const left = await archived();
  expect(left).toHaveLength(24);
  expect(left).not.toContain('groups-20200101T000016Z.json');
  expect(left.at(-1)).toContain('before-3.00c0ffee00c0ffee-1.json');
});

describe('refuses', () => {
  test.each<[string, string]>([
    ['a payload that is not what the manifest says', '[]'],
    ['garbage', '<html>'],
  ])('%s, asking for a fresh capture, and touches nothing', async (_, text) => {
    const before = digestGroups(groupsOf(spare));
    const { job, intake } = setUp(fakeIntake(await makeDrop(root, text)));
    await expect(job.run(passContext())).rejects.toMatchObject({ class: 'bad-data' });
    expect(intake.verdicts).toEqual([expect.objectContaining({ state: 'refused' })]);
    expect(digestGroups(groupsOf(spare))).toBe(before);
  });
  test('a payload that would fill the memory, before it is read', async () => {
    const drop = await makeDrop(root, groupsOf(active));
    const files = drop.manifest.files.map((file) => ({ ...file, size: 65 * 1024 * 1024 }));
    const { job } = setUp(fakeIntake({ ...drop, manifest: { ...drop.manifest, files } }));
    await expect(job.run(passContext())).rejects.toThrow(/longer than/);
  });
  test('to import for a session that is over', async () => {
    const before = digestGroups(groupsOf(spare));
    const { job, intake } = setUp(await dropOf(groupsOf(active)));
    const fence = async (): Promise<void> => {
      throw new Failure('refused', 'the role changed');
    };
    await expect(job.run(passContext({ fence }))).rejects.toMatchObject({ class: 'refused' });
    expect(digestGroups(groupsOf(spare))).toBe(before);
    expect(intake.waiting).toHaveLength(1);
    expect(await journal.open()).toBeUndefined();
  });
});

describe('holds', () => {
  const many = (from: number, to: number): Group[] => Array.from({ length: to - from }, (_, n) => custom(n + from));

  test('a tree in which a fifth of the groups vanishes, until it is released', async () => {
    await setUp(await dropOf([...groupsOf(active), ...many(1, 31)])).job.run(passContext());
    const shrunk = await makeDrop(root, [...groupsOf(active), ...many(1, 11)], 2);
    const holds = fakeHolds();
    const { job, intake } = setUp(fakeIntake(shrunk), holds);
    expect(await job.run(passContext())).toMatchObject({
      kind: 'held',
      why: '20 of 46 node groups would vanish from the spare. To let it through, type: pe-failover release groups-vanish',
    });
    expect(intake.verdicts).toEqual([expect.objectContaining({ state: 'held', holdId: 'groups-vanish' })]);
    expect(holds.raised[0]?.difference).toHaveLength(20);
    expect(groupsOf(spare)).toHaveLength(46);
    holds.released.add('groups-vanish');
    expect(await setUp(fakeIntake(shrunk), holds).job.run(passContext())).toMatchObject({ kind: 'done' });
    expect(groupsOf(spare)).toHaveLength(26);
    // The release was for that once.
    const again = [await makeDrop(root, [...groupsOf(active), ...many(1, 31)], 3), shrunk] as const;
    await setUp(fakeIntake(again[0]), holds).job.run(passContext());
    expect(await setUp(fakeIntake(again[1]), holds).job.run(passContext())).toMatchObject({ kind: 'held' });
  });
  test('a source that was emptied', async () => {
    const { job } = setUp(await dropOf(groupsOf(active).slice(0, 1)));
    expect(await job.run(passContext())).toMatchObject({ kind: 'held', detail: { rule: 'source-empty' } });
  });
  const otherRoot = (groups: readonly Group[]): Group[] =>
    groups.map((one) => (one.id === rootId ? { ...one, rule: ['=', 'name', 'a.example.com'] } : one));
  const mistakes: [string, (groups: readonly Group[]) => Group[]][] = [
    ['source-empty', (groups) => groups.slice(0, 1)],
    ['groups-vanish', (groups) => groups.filter(({ name }) => !name.startsWith('Custom'))],
    ['root-rule-changed', otherRoot],
  ];
  test.each(mistakes)('by %s no longer what a later tree does not do', async (rule, mistake) => {
    const good = [...groupsOf(active), ...many(1, 31)];
    await mkdir(join(root, 'holds'));
    const holds = createHolds(createState(join(root, 'holds')), () => new Date());
    await setUp(await dropOf(good), holds).job.run(passContext());
    expect(await setUp(await dropOf(mistake(good), 2), holds).job.run(passContext())).toMatchObject({ kind: 'held' });
    expect((await holds.list()).map((hold) => [hold.rule, hold.difference.length > 0])).toContainEqual([rule, true]);
    await setUp(await dropOf([...good, custom(40)], 3), holds).job.run(passContext());
    expect(await holds.list()).toEqual([]);
  });
});

describe('when the classifier misbehaves', () => {
  test('a tree that reads back differently is put back, and that drop is quarantined', async () => {
    const before = digestGroups(groupsOf(spare));
    const { job, intake } = setUp(await dropOf([...groupsOf(active), custom(1)]));
    spare.tree.onStore = (one) => (one.name === 'Custom 1' ? { ...one, description: 'changed' } : one);
    await expect(job.run(passContext())).rejects.toThrow(/stored another tree/);
    expect(digestGroups(groupsOf(spare))).toBe(before);
    expect(intake.verdicts).toEqual([expect.objectContaining({ state: 'failed' })]);
    expect(await journal.open()).toBeUndefined();
  });
  test('a tree that is refused changes nothing, and that drop is quarantined', async () => {
    const before = digestGroups(groupsOf(spare));
    const { job, intake } = setUp(await dropOf(groupsOf(active)));
    spare.tree.import = () => spare.tree.validate({});
    await expect(job.run(passContext())).rejects.toMatchObject({ class: 'bad-data' });
    expect(digestGroups(groupsOf(spare))).toBe(before);
    expect(intake.verdicts).toEqual([expect.objectContaining({ state: 'failed' })]);
  });
  test.each(['application-error', 'half-closed', 'unauthenticated'] as const)(
    'the drop waits for the next pass after %s, and is applied then',
    async (kind) => {
      const { job, intake } = setUp(await dropOf(groupsOf(active)));
      spare.fault({ kind, path: '/classifier-api/v1/import-hierarchy', times: 1 });
      await expect(job.run(passContext())).rejects.toBeInstanceOf(Failure);
      expect(intake.waiting).toHaveLength(1);
      expect(await job.run(passContext())).toMatchObject({ kind: 'done' });
      expect(intake.verdicts).toEqual([expect.objectContaining({ state: 'applied' })]);
    },
  );
  test('a class list that can not be read again is a warning: the groups are right', async () => {
    const { job } = setUp(await dropOf(groupsOf(active)));
    spare.fault({ kind: 'application-error', path: '/classifier-api/v1/update-classes' });
    const context = passContext();
    expect(await job.run(context)).toMatchObject({ kind: 'done' });
    expect(context.lines.join()).toMatch(/WARNING Node groups are restored, the class list is not/);
  });
  test('a service that was stopped by another job is waited for', async () => {
    const { job } = setUp(await dropOf(groupsOf(active)));
    const reopen = await spare.refuse();
    setTimeout(() => void reopen(), 300);
    expect(await job.run(passContext())).toMatchObject({ kind: 'done' });
  });
});

test('a stand-in finds its groups again after a restart', async () => {
  const file = join(root, 'groups.json');
  const options = { host: 'x', file, tls: { ...world.server, ca: world.authority.ca }, allowlist: () => [] };
  const first = await startClassifier(options);
  const ids = groupsOf(first).map((one) => one.id);
  await first.close();
  const second = await startClassifier(options);
  expect(groupsOf(second).map((one) => one.id)).toEqual(ids);
  await second.close();
});
