import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readGenerations } from '../../src/drops/history.ts';
import { createOwnTrees, ownTrees } from '../../src/drops/own-trees.ts';
import { carryOut, type CarryOutOptions } from '../../src/procedures/carry-out.ts';
import type { Procedure, ProcedureStep } from '../../src/procedures/procedure.ts';
import { restoreFiles } from '../../src/procedures/restore-files.ts';
import { restoreGroups, type RestoreGroupsParts } from '../../src/procedures/restore-groups.ts';
import { canonicalGroups, digestGroups, rootId } from '../../src/rules/groups.ts';
import type { Generation } from '../../src/rules/history.ts';
import { systemClock } from '../../src/system/clock.ts';
import { createJournal, type Journal } from '../../src/system/journal.ts';
import { createWorld, groupsOf, type ClassifierWorld } from '../helpers/classifier-pair.ts';
import { pathsBelow } from '../helpers/pair.ts';
import type { ClassifierStandIn } from '../stand-in/classifier.ts';

let world: ClassifierWorld;
let home: string;
let journal: Journal;
const said: string[] = [];
beforeAll(async () => void (world = await createWorld()));
afterAll(() => world.close());
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'pe-failover-restore-'));
  journal = createJournal(join(home, 'journal/procedure.jsonl'));
  said.length = 0;
});
afterEach(() => rmSync(home, { recursive: true }));

const say = (line: string): void => void said.push(line);
const never = new AbortController().signal;
function carry(procedure: Procedure, options: Partial<CarryOutOptions> = {}): Promise<number> {
  const typed = { listSteps: false, dryRun: false, yes: true, undo: false, passing: [], ...options };
  const terminal = {
    ...{ isInteractive: false, say, confirm: () => Promise.resolve(true) },
    follow: async (tasks: readonly { run: (tell: (line: string) => void) => Promise<void> }[]) => {
      for (const { run } of tasks) await run(say);
    },
  };
  const log = { success: say, warning: say, failure: say };
  return carryOut(procedure, typed, { journal, log, clock: systemClock, terminal, operator: 'alice' }, never);
}

const webId = 'bbbbbbbb-0000-4000-8000-000000000001';

/** A classifier whose tree of before is kept, and which was changed since. */
async function changedClassifier() {
  const standIn = await world.start();
  const group = { id: webId, name: 'Web', parent: rootId, environment: 'production', environment_trumps: false };
  standIn.tree.put({ ...group, classes: {}, variables: { port: 80 } });
  await createOwnTrees(join(home, ownTrees), 24).keep(
    canonicalGroups(groupsOf(standIn)),
    new Date('2026-11-26T08:00:00Z'),
  );
  const before = digestGroups(groupsOf(standIn));
  standIn.tree.update(webId, { variables: { port: 8080 } });
  return { standIn, before, changed: digestGroups(groupsOf(standIn)) };
}

async function generations(): Promise<Generation[]> {
  const paths = { ...pathsBelow(home), archive: home, outbox: join(home, 'outbox') };
  const none = { all: () => Promise.resolve([]) };
  return await readGenerations({ paths, drops: none, receipts: none });
}

async function restoring(standIn: ClassifierStandIn, more: Partial<RestoreGroupsParts> = {}): Promise<Procedure> {
  const generation = (await generations()).find(({ id }) => id === '20261126T080000');
  if (generation === undefined) throw new Error('nothing is kept');
  return restoreGroups(
    {
      ...{ generation, classifier: world.classifierOf(standIn), role: 'active', stockGroups: false },
      hosts: { certname: 'masterb.example.com', hostMap: [], furtherInfrastructure: [] },
      ...{ kept: join(home, 'replaced-groups'), now: () => new Date(), alone: (work) => work() },
      ...more,
    },
    '--at 20261126T080000 --component nc',
  );
}

const live = (standIn: ClassifierStandIn): string => digestGroups(groupsOf(standIn));

/** As if it was killed in a step: before it did anything, or behind all that it does. */
async function killedIn({ verb, subject, steps }: Procedure, n: number, isDone: boolean): Promise<void> {
  for (const step of steps.slice(0, isDone ? n + 1 : n)) await step.do({ tell: say, signal: never });
  const { name } = steps[n] as ProcedureStep;
  const line = { run: verb, job: verb, step: name, n, of: steps.length, at: '2026-11-26T09:00:00Z' };
  await journal.record({ ...line, args: { subject } });
}

const deaths = [0, 1, 2].flatMap((n) => [false, true].map((isDone) => [n, isDone] as const));

describe('a restore of node groups', () => {
  it('shows what it changes, puts the tree back, and keeps what was live, which can be put back in turn', async () => {
    const { standIn, before, changed } = await changedClassifier();
    expect(await carry(await restoring(standIn))).toBe(0);
    expect(said.join('\n')).toContain('group Web: variable port 8080 -> 80');
    expect(live(standIn)).toBe(before);
    const kept = (await generations()).find((one) => one.before !== undefined);
    if (kept === undefined) throw new Error('it kept nothing');
    expect(await carry(await restoring(standIn, { generation: kept }))).toBe(0);
    expect(live(standIn)).toBe(changed);
  });

  it.each(deaths)('killed in step %i (done: %s) is finished when it is typed again', async (n, isDone) => {
    const { standIn, before, changed } = await changedClassifier();
    await killedIn(await restoring(standIn), n, isDone);
    expect([before, changed]).toContain(live(standIn));
    expect(await carry(await restoring(standIn))).toBe(0);
    expect([live(standIn), await journal.open()]).toEqual([before, undefined]);
  });

  it.each(deaths)('killed in step %i (done: %s) is undone by --undo', async (n, isDone) => {
    const { standIn, changed } = await changedClassifier();
    await killedIn(await restoring(standIn), n, isDone);
    expect(await carry(await restoring(standIn), { undo: true })).toBe(0);
    expect([live(standIn), await journal.open()]).toEqual([changed, undefined]);
  });

  it("leaves the rules and the parameters of Puppet's own groups as they are, unless told otherwise", async () => {
    const { standIn, before } = await changedClassifier();
    const master = groupsOf(standIn).find(({ name }) => name === 'PE Master');
    standIn.tree.update(master?.id ?? '', { rule: ['or', ['=', 'name', 'new.example.com']] });
    expect(await carry(await restoring(standIn))).toBe(0);
    const now = groupsOf(standIn).find(({ name }) => name === 'PE Master');
    expect(now?.rule).toEqual(['or', ['=', 'name', 'new.example.com']]);
    expect(await carry(await restoring(standIn, { stockGroups: true }))).toBe(0);
    expect(live(standIn)).toBe(before);
  });

  it('of what the classifier stores in another way is undone, and says so', async () => {
    const { standIn, changed } = await changedClassifier();
    const classifier = world.classifierOf(standIn);
    let imports = 0;
    const lying = {
      ...classifier,
      importHierarchy: async (...given: Parameters<typeof classifier.importHierarchy>) => {
        await classifier.importHierarchy(...given);
        if ((imports += 1) === 1) standIn.tree.update(webId, { variables: { port: 1 } });
      },
    };
    await expect(carry(await restoring(standIn, { classifier: lying }))).rejects.toThrow(
      /stored another tree.*What was begun is undone/,
    );
    expect([live(standIn), imports]).toEqual([changed, 2]);
  });

  it('on a spare says that the next drop replaces it, and with --dry-run changes nothing', async () => {
    const { standIn, changed } = await changedClassifier();
    expect(await carry(await restoring(standIn, { role: 'passive' }), { dryRun: true })).toBe(0);
    expect(said.join('\n')).toContain('the next drop of the active replaces it');
    expect(live(standIn)).toBe(changed);
  });
});

describe('a restore of files', () => {
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(home, path)), { recursive: true });
    writeFileSync(join(home, path), text, { mode: 0o640 });
  };
  const restoringFiles = (): Procedure =>
    restoreFiles(
      {
        ...{ root: join(home, 'root'), source: join(home, 'old'), kept: join(home, 'replaced-files'), role: 'active' },
        generation: {
          component: 'files',
          stream: 'sync-files',
          id: '1-2',
          at: '2026-11-26T08:00:00Z',
          outcome: 'applied',
        },
        now: () => new Date(),
      },
      '--at 1-2 --component files',
    );
  beforeEach(() => {
    write('old/etc/a', 'old a');
    write('old/etc/gone', 'old gone');
    write('root/etc/a', 'new a');
    write('root/etc/other', 'other');
  });
  const isBack = (): void => {
    expect(readFileSync(join(home, 'root/etc/a'), 'utf8')).toBe('old a');
    expect(readFileSync(join(home, 'root/etc/gone'), 'utf8')).toBe('old gone');
    expect(readFileSync(join(home, 'root/etc/other'), 'utf8')).toBe('other');
  };

  it('puts them back, and keeps what was there', async () => {
    expect(await carry(restoringFiles())).toBe(0);
    isBack();
    const kept = (await generations()).find(({ component }) => component === 'files');
    expect(readFileSync(join(kept?.path ?? '', 'etc/a'), 'utf8')).toBe('new a');
    expect(said.join('\n')).not.toContain('new a');
  });

  it.each([[0, false] as const, [0, true] as const, [1, false] as const, [1, true] as const])(
    'killed in step %i (done: %s) is finished when it is typed again',
    async (n, isDone) => {
      await killedIn(restoringFiles(), n, isDone);
      expect(await carry(restoringFiles())).toBe(0);
      isBack();
    },
  );
});
