import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createHolds, type Holds } from '../../src/drops/holds.ts';
import type { Job, Outcome } from '../../src/jobs/job.ts';
import { createRestoreNc } from '../../src/jobs/restore-nc/index.ts';
import { rootId, type Group } from '../../src/rules/groups.ts';
import { createJournal } from '../../src/system/journal.ts';
import { createState } from '../../src/system/state.ts';
import { group } from '../helpers/arbitrary-groups.ts';
import { epoch, fakeIntake, makeDrop, passContext, temporaryDirectory } from '../helpers/classifier-fakes.ts';
import { createWorld, groupsOf, type ClassifierWorld } from '../helpers/classifier-pair.ts';
import type { ApiGroup } from '../stand-in/classifier-model.ts';
import type { ClassifierStandIn } from '../stand-in/classifier.ts';

/** One classifier as a spare: what it remembers and what it said. */
interface Side {
  readonly standIn: ClassifierStandIn;
  readonly holds: Holds;
  readonly intake: ReturnType<typeof fakeIntake>;
  readonly job: Job;
  readonly lines: string[];
}

let world: ClassifierWorld;
let root: string;
let a: Side;
let b: Side;
let adopted: boolean;
let sequence: number;
beforeAll(async () => void (world = await createWorld()));
afterAll(() => world.close());
beforeEach(async () => {
  root = await temporaryDirectory();
  adopted = false;
  sequence = 0;
  [a, b] = [await sideOf('mastera.example.com'), await sideOf('masterb.example.com')];
});
afterEach(() => rm(root, { recursive: true }));

async function sideOf(host: string): Promise<Side> {
  const standIn = await world.start({ host });
  const home = join(root, host);
  await mkdir(join(home, 'holds'), { recursive: true });
  const holds = createHolds(createState(join(home, 'holds')), () => new Date());
  const intake = fakeIntake();
  const job = createRestoreNc({
    classifier: world.classifierOf(standIn),
    intake,
    holds,
    journal: createJournal(join(home, 'journal')),
    archive: join(home, 'archive'),
    adopted: async () => adopted,
  });
  return { standIn, holds, intake, job, lines: [] };
}

/** What the one has as a drop, and a pass of the other. */
async function follow(from = a, to = b, of = epoch): Promise<Outcome> {
  const { directory, manifest } = await makeDrop(root, groupsOf(from.standIn), (sequence += 1));
  const [source, target] = [from, to].map((side) => (side === a ? 'mastera.example.com' : 'masterb.example.com'));
  to.intake.waiting.push({
    directory,
    manifest: { ...manifest, epoch: of, source: source ?? '', target: target ?? '' },
  });
  const context = passContext();
  const outcome = await to.job.run(context);
  to.lines.push(...context.lines);
  return outcome;
}

const names = (side: Side): string[] =>
  groupsOf(side.standIn)
    .map(({ name }) => name)
    .sort();
const kept = async (side: Side): Promise<string[]> =>
  (await side.holds.list()).map(({ rule, decision }) => `${rule} ${decision}`);
const saying = (side: Side, status: string): string[] => side.lines.filter((line) => line.startsWith(status));
const idOf = (n: number): string => `${String(n).padStart(8, 'a')}-0000-4000-8000-000000000000`;
const make = ({ standIn }: Side, from: number, to: number, more: Partial<Group> = {}): void => {
  for (let n = from; n < to; n += 1)
    standIn.tree.put(group({ id: idOf(n), name: `Custom ${n}`, ...more }) as unknown as ApiGroup);
};
const remove = ({ standIn }: Side, from: number, to: number): void => {
  for (let n = from; n < to; n += 1) standIn.tree.remove(idOf(n));
};
const idNamed = ({ standIn }: Side, name: string): string | undefined =>
  groupsOf(standIn).find((one) => one.name === name)?.id;

/** What a later release makes of its code and of the stock groups: new, renamed and changed ones, new classes and rules. */
function upgrade(side: Side): void {
  const { tree } = side.standIn;
  const classes = tree.catalogue.get('production') ?? {};
  const fresh = 'puppet_enterprise::profile::fresh';
  Object.assign(classes, { [fresh]: {} });
  Object.assign(classes['pe_repo'] ?? {}, { default_agent_tarball: true });
  Object.assign(classes['puppet_enterprise::profile::database'] ?? {}, { major: 17 });
  tree.sync();
  for (const name of ['PE Host Action Collector', 'PE Patching', 'PE Workflow'])
    tree.put({
      ...group({ id: crypto.randomUUID(), name, parent: idNamed(side, 'PE Infrastructure') ?? rootId }),
      id: idNamed(side, name) ?? crypto.randomUUID(),
      classes: { [fresh]: {} },
    } as unknown as ApiGroup);
  const update = (name: string, delta: Record<string, unknown>): void =>
    void tree.update(idNamed(side, name) ?? '', delta);
  update('PE Master', { classes: { pe_repo: { default_agent_tarball: true } } });
  if (idNamed(side, 'PE Primary') === undefined) update('PE Master', { name: 'PE Primary' });
  update('PE Agent', { rule: ['and', ['~', ['fact', 'aio_agent_version'], '.+']], description: 'changed' });
  update('PE Database', { classes: { 'puppet_enterprise::profile::database': { major: 17 } } });
  update('Production environment', { variables: { release: 'later' } });
}

describe('holds nothing', () => {
  afterEach(async () => {
    for (const side of [a, b]) expect([await kept(side), saying(side, 'FAILURE')]).toEqual([[], []]);
  });

  test.each([
    ['the active first', () => [a, b]],
    ['the spare first', () => [b, a]],
  ])('when PE is upgraded on %s, then on the other one, and what people made is on both', async (_title, order) => {
    make(a, 0, 60);
    await follow();
    for (const side of order()) {
      upgrade(side);
      make(a, 60, 62);
      expect(await follow()).toMatchObject({ kind: 'done' });
      remove(a, 60, 62);
      expect(await follow()).toMatchObject({ kind: 'done' });
    }
    expect(names(b).filter((name) => name.startsWith('Custom'))).toHaveLength(60);
    expect(names(b)).toContain('PE Primary');
  });

  test('when both were upgraded while the agent of the spare was stopped, which is the order that we recommend', async () => {
    make(a, 0, 60);
    await follow();
    upgrade(a);
    upgrade(b);
    expect(await follow()).toMatchObject({ kind: 'done' });
    expect(names(b)).toEqual(names(a));
  });

  test('at first: a stock spare, and one that was used for something else once an admin typed adopt', async () => {
    make(a, 0, 5);
    make(b, 500, 560, { description: 'of another life' });
    adopted = true;
    expect(await follow()).toMatchObject({ kind: 'done' });
    expect(names(b)).toEqual(names(a));
    expect(saying(b, 'WARNING')[0]).toMatch(/only this spare had are replaced: Custom 500.*They are kept in/);
    const archive = join(root, 'masterb.example.com/archive');
    expect((await readdir(archive)).filter((name) => name.startsWith('groups-'))).toHaveLength(1);
  });

  test('when all groups are edited, moved below another one or renamed, and a few are deleted with their parent', async () => {
    make(a, 0, 60);
    await follow();
    for (let n = 0; n < 60; n += 1)
      a.standIn.tree.update(idOf(n), {
        ...{ description: 'edited', variables: { n }, name: `Renamed ${n}` },
        ...(n % 50 > 0 && { parent: idOf(n < 50 ? 0 : 50) }),
      });
    expect(await follow()).toMatchObject({ kind: 'done' });
    for (let n = 51; n < 60; n += 1) a.standIn.tree.remove(idOf(n));
    a.standIn.tree.remove(idOf(50));
    expect(await follow()).toMatchObject({ kind: 'done' });
    expect(names(b)).toEqual(names(a));
  });

  test('of groups that people made on the spare while it served: they are replaced with a WARNING', async () => {
    make(a, 0, 30);
    await follow();
    make(b, 100, 140);
    remove(a, 0, 5);
    expect(await follow()).toMatchObject({ kind: 'done' });
    expect(names(b)).toEqual(names(a));
    expect(saying(b, 'WARNING')[0]).toContain('Node groups were edited on this spare and are replaced: Custom 100');
  });

  test('when the roles are exchanged and exchanged back, with what each side made meanwhile', async () => {
    make(a, 0, 40);
    await follow();
    for (const [turn, [from, to]] of (
      [
        [b, a],
        [a, b],
        [b, a],
      ] as const
    ).entries()) {
      make(from, 100 * (turn + 1), 100 * (turn + 1) + 30);
      make(to, 1000 * (turn + 1), 1000 * (turn + 1) + 6);
      expect(await follow(from, to, { number: 4 + turn, id: epoch.id })).toMatchObject({ kind: 'done' });
      expect(names(to)).toEqual(names(from));
      expect(saying(to, 'WARNING').at(-1)).toMatch(/only this spare had are replaced: Custom \d000, /);
    }
    expect(names(a).filter((name) => name.startsWith('Custom'))).toHaveLength(40 + 90);
  });
});

describe('holds, and says so', () => {
  test('half of the groups gone, at first too: an empty active must not replace a spare that was full', async () => {
    make(b, 0, 60);
    expect(await follow()).toMatchObject({ kind: 'held' });
    make(a, 0, 60);
    expect(await follow()).toMatchObject({ kind: 'done' });
    expect(await kept(b)).toEqual([]);
    remove(a, 0, 30);
    expect(await follow()).toMatchObject({ kind: 'held' });
    expect(await kept(b)).toEqual(['groups-vanish open']);
    expect(saying(b, 'FAILURE').at(-1)).toMatch(/Not imported: 30 of 76 node groups would vanish.*pe-failover release/);
    make(a, 0, 30);
    await follow();
    expect(await kept(b)).toEqual([]);
  });

  test('what a promoted spare lacks of the demoted master, in its first drop', async () => {
    make(a, 0, 60);
    await follow();
    remove(b, 0, 30);
    expect(await follow(b, a, { number: 4, id: epoch.id })).toMatchObject({ kind: 'held' });
    expect(names(a)).toContain('Custom 0');
  });

  test("another rule of the root group, once: released, it keeps no later change waiting, and the spare's stays", async () => {
    await follow();
    const rule = ['or', ['~', 'name', '.*']];
    const all = a.standIn.tree.list().map((one) => (one.id === rootId ? { ...one, rule } : one));
    Object.assign(a.standIn.tree, { list: () => all });
    expect(await follow()).toMatchObject({ kind: 'held' });
    const [hold] = await b.holds.list();
    await b.holds.decide(hold?.id ?? '', 'released');
    for (let n = 0; n < 3; n += 1) {
      all.push(group({ id: idOf(n), name: `Custom ${n}` }) as unknown as ApiGroup);
      expect(await follow()).toMatchObject({ kind: 'done' });
    }
    expect([await kept(b), saying(b, 'FAILURE').length]).toEqual([['root-rule-changed released'], 1]);
    expect(groupsOf(b.standIn).find(({ id }) => id === rootId)?.rule).not.toEqual(rule);
  });
});
