import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createNcDump } from '../../src/jobs/nc-dump.ts';
import { createRestoreNc } from '../../src/jobs/restore-nc/index.ts';
import { canonicalGroups, digestGroups, rootId, type Group } from '../../src/rules/groups.ts';
import { digestOf } from '../../src/rules/json.ts';
import { createJournal } from '../../src/system/journal.ts';
import { group } from '../helpers/arbitrary-groups.ts';
import { createWorld, groupsOf, type ClassifierWorld } from '../helpers/classifier-pair.ts';
import { createDropBench, left, type DropBench } from '../helpers/drop-bench.ts';
import { startPair, type TestPair } from '../helpers/pair.ts';
import type { ApiGroup } from '../stand-in/classifier-model.ts';
import type { ClassifierStandIn } from '../stand-in/classifier.ts';

let pair: TestPair;
let world: ClassifierWorld;
let active: ClassifierStandIn;
let spare: ClassifierStandIn;
let bench: DropBench;
let count = 0;

beforeAll(async () => {
  [pair, world] = await Promise.all([startPair(), createWorld()]);
  active = await world.start({ host: 'mastera.test' });
  spare = await world.start({ host: 'masterb.test' });
  const { delivery } = pair.sender();
  const archive = join(pair.b.paths.archive, 'replaced-groups');
  mkdirSync(archive, { recursive: true });
  bench = createDropBench({
    pair,
    stream: 'nc-dump',
    delivery,
    send: createNcDump({ classifier: world.classifierOf(active), delivery, peer: 'masterb.test' }),
    apply: createRestoreNc({
      classifier: world.classifierOf(spare),
      intake: pair.spare.intake,
      holds: pair.spare.holds,
      journal: createJournal(join(pair.b.paths.journal, 'restore-nc.jsonl')),
      archive,
    }),
    change: () => active.tree.put(own((count += 1)) as unknown as ApiGroup),
    agrees: () => expect(namesOf(spare)).toEqual(namesOf(active)),
    elsewhere: () => [canonicalGroups(groupsOf(spare)), spare.tree.lastUpdate],
  });
  for (let n = 1; n < 20; n += 1) active.tree.put(own(1000 + n) as unknown as ApiGroup);
  await bench.expectHonest();
});
afterAll(async () => {
  await pair[Symbol.asyncDispose]();
  await world.close();
});
afterEach(() => bench.expectHonest());

const own = (n: number): Group =>
  group({ id: `${String(n).padStart(8, 'a')}-0000-4000-8000-000000000000`, name: `Own ${n}` });
const namesOf = (one: ClassifierStandIn): string[] =>
  groupsOf(one)
    .map(({ id, name }) => `${id} ${name}`)
    .sort();

/** The groups of the active with something done to them; what is no tree has the digest of its text. */
const tree = (change: (groups: Record<string, unknown>[]) => unknown): string => {
  const groups = JSON.parse(canonicalGroups(groupsOf(active))) as Record<string, unknown>[];
  return JSON.stringify(change(groups) ?? groups);
};
const withOne = (fields: Readonly<Record<string, unknown>>) => (): string =>
  tree((groups) => [...groups, { ...own(9001), ...fields }]);
const raw = (json: string) => (): string => withOne({ x: 0 })().replace('"x":0', json);
const other = '99999999-0000-4000-8000-000000000000';

const texts: [string, () => string, RegExp][] = [
  ['no JSON', () => '<html>', /list of node groups is not JSON/],
  ['nothing', () => '', /list of node groups is not JSON/],
  ['bytes', () => '\0\u0001\ufffd', /list of node groups is not JSON/],
  ['a map', () => '{}', /node groups\): are not a list/],
  ['null', () => 'null', /node groups\): are not a list/],
  ['a list without end', () => '['.repeat(100_000), /list of node groups is (not JSON|nested more than 100 deep)/],
  ['a list nested 5,000 deep', () => '['.repeat(5000) + ']'.repeat(5000), /is nested more than 100 deep/],
  ['50,001 groups', () => JSON.stringify(Array.from({ length: 50_001 }, () => 0)), /are more than 50000/],
  ['70 MB', () => ' '.repeat(7e7), /is longer than 67108864 bytes/],
  ['no groups', () => '[]', /lack the root group/],
  ['numbers for groups', () => '[1,2]', /group 0\): is not an object/],
  ['a group twice', () => tree((groups) => [...groups, groups[3]]), /have an id twice/],
  ['two groups of one name', () => tree((groups) => [...groups, own(9001), { ...own(9002), name: 'Own 9001' }]), /have a name twice: Own 9001/],
  ['two roots', withOne({ parent: own(9001).id }), /have a circle of parents at Own 9001/],
  ['a circle of parents', () => tree((groups) => [...groups, { ...own(9001), parent: own(9002).id }, { ...own(9002), parent: own(9001).id }]), /have a circle of parents/],
  ['a parent that is none', withOne({ parent: other }), /lack the parent 99999999/],
  ['no root', () => tree((groups) => groups.filter(({ id }) => id !== rootId)), /lack the root group/],
  ['a root with a parent', () => tree((groups) => groups.map((one) => (one['id'] === rootId ? { ...one, parent: groups.find(({ id }) => id !== rootId)?.['id'] } : one))), /have a root group with a parent/],
  ['an id that is a path', withOne({ id: '../../v1/groups' }), /id\): is not a lower-case UUID/],
  ['an id in capitals', withOne({ id: other.replaceAll('9', 'A') }), /id\): is not a lower-case UUID/],
  ['a name that is a list', withOne({ name: ['x'] }), /name\): is not text/],
  ['a name of 20,000 characters', withOne({ name: 'x'.repeat(20_000) }), /name\): is not text/],
  ['no environment', withOne({ environment: '' }), /environment\): is not text/],
  ['classes that are a list', withOne({ classes: ['exec'] }), /classes\): is not class -> parameters/],
  ['parameters that are text', withOne({ classes: { exec: 'id' } }), /classes\): is not class -> parameters/],
  ['variables that are text', withOne({ variables: 'x' }), /variables\): are not an object/],
  ['data that is a list', withOne({ config_data: [] }), /config_data\): is not class -> parameters/],
  ['a description that is a map', withOne({ description: {} }), /description\): is not text/],
  ['a trump that is text', withOne({ environment_trumps: 'yes' }), /environment_trumps\): is not true or false/],
  ['a rule that is text', withOne({ rule: 'name = x' }), /rule\): is not a list/],
  ['a rule with a command', withOne({ rule: ['exec', 'id', 'x'] }), /rule\): has the unknown operator/],
  ['a rule of nothing', withOne({ rule: ['and'] }), /rule\): has an empty "and"/],
  ['a rule nested 200 deep', withOne({ rule: Array.from({ length: 200 }).reduce<unknown>((inner) => ['not', inner], ['=', 'a', 'b']) }), /is nested more than 100 deep/],
  ['a rule for a map', withOne({ rule: ['=', {}, 'x'] }), /rule\): has the unknown path/],
  ['a prototype with a digest of other groups', raw('"__proto__":{"classes":{"x":{}}}'), /are not those of the manifest/],
]; // prettier-ignore

function goods(text: string, path = 'groups.json', digest = digestOf(text)) {
  const sha256 = createHash('sha256').update(text).digest('hex');
  return {
    digest,
    pack: (directory: string) => {
      writeFileSync(join(directory, path), text);
      return Promise.resolve([
        { path, size: Buffer.byteLength(text), sha256, mode: 0o600, owner: 'root', group: 'root' },
      ]);
    },
  };
}

describe('a drop of node groups with', () => {
  it.each(texts)('%s is refused, and the next honest one passes', async (_, make, sentence) => {
    await bench.judges(() => bench.deliver(goods(make())), { sentence, mayChange: left('nc-dump') });
  });

  it('another payload is refused, and the next honest one passes', async () => {
    const sentence = /the drop has no groups.json/;
    await bench.judges(() => bench.deliver(goods('[]', 'other.json')), { sentence, mayChange: left('nc-dump') });
  });

  it('the root and the stock alone is held, and the next honest one passes', async () => {
    const few = groupsOf(active)
      .filter(({ id, parent }) => id === rootId || parent === rootId)
      .slice(0, 2);
    const mayChange = [...left('nc-dump'), /\/holds\//, /archive\/nc-dump\//];
    const expected = { sentence: /To let it through, type: pe-failover release/, state: 'held', mayChange } as const;
    await bench.judges(() => bench.deliver(goods(canonicalGroups(few), 'groups.json', digestGroups(few))), expected);
  });
});
