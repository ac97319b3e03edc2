import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareGenerations, type LiveSide } from '../../src/drops/difference.ts';
import { createDropBook } from '../../src/drops/drop-book.ts';
import { readGenerations, readHistory, type HistoryParts } from '../../src/drops/history.ts';
import { createOwnTrees, ownTrees } from '../../src/drops/own-trees.ts';
import type { Spare } from '../../src/drops/spare.ts';
import { Failure } from '../../src/errors.ts';
import { createNcDump } from '../../src/jobs/nc-dump.ts';
import { createRestoreNc } from '../../src/jobs/restore-nc/index.ts';
import { openLiveCa } from '../../src/puppet/ca-live.ts';
import { caPast, type CaPast } from '../../src/rules/certificate-words.ts';
import { filesAfter } from '../../src/rules/files-words.ts';
import type { HistoryEntry } from '../../src/rules/history.ts';
import { rootId } from '../../src/rules/groups.ts';
import { createJournal } from '../../src/system/journal.ts';
import { createCaPair } from '../helpers/ca-pair.ts';
import { createWorld, groupsOf, type ClassifierWorld } from '../helpers/classifier-pair.ts';
import { fakeDelivery, passContext } from '../helpers/classifier-fakes.ts';
import { passOfBoth, syncFilesOf, updatePassiveFilesOf, writeSecret } from '../helpers/files-pair.ts';
import { pathsBelow, startPair, type TestMaster, type TestPair } from '../helpers/pair.ts';
import type { ClassifierStandIn } from '../stand-in/classifier.ts';

let world: ClassifierWorld;
let pair: TestPair;
let active: ClassifierStandIn;
let passive: ClassifierStandIn;
beforeAll(async () => {
  world = await createWorld();
  pair = await startPair();
  active = await world.start({ host: 'mastera.test' });
  passive = await world.start({ host: 'masterb.test' });
});
afterAll(async () => {
  await world.close();
  await pair[Symbol.asyncDispose]();
});

const nothing: CaPast = { lines: [], revoked: new Map() };
const partsOf = ({ paths }: TestMaster, receipts: HistoryParts['receipts'], past = nothing): HistoryParts => ({
  ...{ paths, receipts, drops: createDropBook(paths.drops, () => new Date()) },
  caPast: () => Promise.resolve(past),
});
const noReceipts: HistoryParts['receipts'] = { all: () => Promise.resolve([]) };
const ofSpare = (spare: Spare = pair.spare): HistoryParts => partsOf(pair.b, spare.book);
const ofActive = (): HistoryParts => partsOf(pair.a, noReceipts);
const told = (entries: readonly HistoryEntry[]): string[] =>
  entries.map(({ id, outcome, says }) => `${id} ${outcome}: ${says}`);

const liveOf = (standIn: ClassifierStandIn): LiveSide => ({
  groups: () => Promise.resolve(groupsOf(standIn)),
  tables: () => Promise.resolve({}),
  caPast: () => Promise.resolve(nothing),
  files: () => Promise.resolve(filesAfter([])),
});
const differencesOf = async (master: TestMaster, parts: HistoryParts, standIn: ClassifierStandIn) => ({
  all: await readGenerations(parts),
  live: liveOf(standIn),
  hosts: { certname: master.certname, hostMap: [], furtherInfrastructure: [] },
  now: new Date(),
});

const web = { name: 'Web', id: 'bbbbbbbb-0000-4000-8000-000000000001', parent: rootId, environment: 'production' };
const treesOf = ({ paths }: TestMaster) => createOwnTrees(join(paths.archive, ownTrees), 24);

async function shipGroups(): Promise<void> {
  const { delivery } = pair.sender();
  const dump = createNcDump({
    ...{ classifier: world.classifierOf(active), delivery, peer: 'masterb.test', trees: treesOf(pair.a) },
  });
  const restore = createRestoreNc({
    ...{ classifier: world.classifierOf(passive), intake: pair.spare.intake, holds: pair.spare.holds },
    journal: createJournal(join(pair.b.paths.journal, 'restore-nc.jsonl')),
    archive: join(pair.b.paths.archive, 'replaced-groups'),
  });
  await passOfBoth(pair, dump, () => restore.run(pair.context(pair.b)), {}, 'nc-dump');
}

describe('the history of the classifier', () => {
  beforeAll(async () => {
    const variables = { port: 80, admin_password: 'hunter2' };
    active.tree.put({ ...web, environment_trumps: false, classes: {}, variables });
    await shipGroups();
    active.tree.update(web.id, { variables: { port: 8080, admin_password: 'hunter3' } });
    await shipGroups();
  });

  it('says on both masters which groups a drop changed, and on the spare what was live there before it', async () => {
    expect(told(await readHistory(ofActive(), { component: 'nc' }))).toEqual([
      '1-2 applied: 1 group changed: Web',
      expect.stringMatching(/^1-1 applied: \d+ groups; nothing older is kept$/),
    ]);
    const spare = told(await readHistory(ofSpare(), { component: 'nc' }));
    expect(spare.filter((line) => line.includes('applied'))).toEqual([
      '1-2 applied: 1 group changed: Web',
      expect.stringMatching(/^1-1 applied: /),
    ]);
    expect(spare.filter((line) => line.includes('kept: the groups of this master before drop'))).toHaveLength(2);
  });

  it('says in words what changed between two generations, and masks what looks like a secret', async () => {
    for (const [master, parts, standIn] of [
      [pair.a, ofActive(), active],
      [pair.b, ofSpare(), passive],
    ] as const) {
      const [found] = await compareGenerations(await differencesOf(master, parts, standIn), {
        ...{ component: 'nc', from: '1-1', to: '2' },
      });
      expect(found?.lines).toEqual([
        'group Web: variable admin_password changed (not shown)',
        'group Web: variable port 80 -> 8080',
      ]);
    }
  });

  it('compares with what is live here, where host names are exchanged and stock groups are this master`s own', async () => {
    const parts = await differencesOf(pair.b, ofSpare(), passive);
    const [same] = await compareGenerations(parts, { component: 'nc', from: '1-2' });
    expect(same?.lines).toEqual([]);
    passive.tree.update(web.id, { variables: { edited: 'here' } });
    const [edited] = await compareGenerations(parts, { component: 'nc', from: '1-2' });
    expect(edited?.lines).toEqual(['group Web: variable edited unset -> "here"']);
    const [last] = await compareGenerations(parts, { component: 'nc' });
    expect(last?.from).toBe('1-2');
  });

  it('has no generation of another name, and says which there are', async () => {
    const parts = await differencesOf(pair.a, ofActive(), active);
    await expect(compareGenerations(parts, { component: 'nc', from: '7-7' })).rejects.toMatchObject({
      ...{ class: 'usage', message: expect.stringContaining('there are 1-2, 1-1') as string },
    });
  });

  it('goes on while the spare is away: each tree is kept once', async () => {
    const home = mkdtempSync(join(tmpdir(), 'pe-failover-trees-'));
    try {
      const delivery = {
        ...fakeDelivery(undefined),
        catchUp: () => Promise.reject(new Failure('unreachable', 'away')),
      };
      const trees = createOwnTrees(join(home, ownTrees), 24);
      const dump = createNcDump({ ...{ classifier: world.classifierOf(active), delivery, peer: 'b', trees } });
      await expect(dump.run(passContext())).rejects.toThrow('away');
      await expect(dump.run(passContext())).rejects.toThrow('away');
      const [kept, ...more] = await readGenerations({
        ...{ paths: { ...pathsBelow(home), archive: home }, receipts: noReceipts },
        drops: { all: () => Promise.resolve([]) },
      });
      expect([kept?.outcome, more]).toEqual(['kept', []]);
    } finally {
      rmSync(home, { recursive: true });
    }
  });
});

describe('the history of files', () => {
  it('names what came and went by path, size and digest, never by content', async () => {
    const sync = syncFilesOf(pair.a, pair.sender().delivery);
    const update = updatePassiveFilesOf(pair.b, pair.spare);
    const both = () => passOfBoth(pair, sync, () => update.run(pair.context(pair.b)));
    writeSecret(pair.a, 'one', 'hunter2');
    await both();
    writeSecret(pair.a, 'one', 'hunter22');
    writeSecret(pair.a, 'two', 'x');
    await both();
    for (const parts of [ofActive(), ofSpare()])
      expect(told(await readHistory(parts, { component: 'files' }))).toEqual([
        '1-2 applied: 2 came or changed: /etc/puppetlabs/secrets/one, /etc/puppetlabs/secrets/two',
        '1-1 applied: all files sent: 1 in it: /etc/puppetlabs/secrets/one',
      ]);
    const parts = await differencesOf(pair.b, ofSpare(), passive);
    const [found] = await compareGenerations(parts, { component: 'files', from: '1-1', to: '1-2' });
    expect(found?.lines).toEqual([
      expect.stringMatching(/^\/etc\/puppetlabs\/secrets\/one 7 B, sha256 \w{12} -> 8 B, sha256 \w{12}$/),
      expect.stringMatching(/^\/etc\/puppetlabs\/secrets\/two came or changed \(1 B, sha256 \w{12}\)$/),
    ]);
  });
});

describe('the history of certificates', () => {
  it('names who was signed and who was revoked, with serials', async () => {
    await using cas = await createCaPair();
    const times: string[] = []; // the way in memory dates no drop
    const sync = async (): Promise<void> => {
      await cas.sync();
      times.push(new Date().toISOString());
    };
    await sync();
    await cas.active.sign('one.example.com');
    await cas.active.sign('two.example.com');
    await sync();
    await cas.active.revoke('one.example.com');
    const revokedAt = Date.now();
    await sync();
    const book = createDropBook(join(cas.root, 'drops'), () => new Date());
    for (const [n, drop] of cas.drops.entries()) await book.note({ ...drop, capturedAt: times[n] ?? '' });
    const live = openLiveCa(cas.active.directory);
    const [crl] = await live.crls();
    const revoked = new Map([...(crl?.revoked ?? [])].map(([serial]) => [serial, revokedAt])); // the stand-in dates all alike
    const past = caPast(readFileSync(join(cas.active.directory, 'inventory.txt'), 'utf8'), revoked);
    const paths = { ...pathsBelow(cas.root), drops: join(cas.root, 'drops') };
    const parts = { paths, drops: book, receipts: noReceipts, caPast: () => Promise.resolve(past) };
    const said = told(await readHistory(parts, { component: 'certs' }));
    expect(said).toHaveLength(3);
    expect(said[0]).toBe('1-3 sent: 1 revoked: one.example.com');
    expect(said[1]).toBe('1-2 sent: 2 certificates signed: one.example.com, two.example.com');
    const compared = { ...(await differencesOf(pair.a, parts, active)), now: new Date() };
    const [found] = await compareGenerations(
      { ...compared, live: { ...liveOf(active), caPast: parts.caPast } },
      { component: 'certs', from: '1-1' },
    );
    expect(found?.lines).toEqual([
      expect.stringMatching(/^signed: one\.example\.com, serial [0-9A-F]{4}$/),
      expect.stringMatching(/^signed: two\.example\.com, serial [0-9A-F]{4}$/),
      expect.stringMatching(/^revoked: one\.example\.com, serial [0-9A-F]{4}, 20/),
    ]);
  });
});
