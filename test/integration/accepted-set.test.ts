import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fileWeight, hexOfWeight } from '../../src/rules/set-digest.ts';
import { openAcceptedSet, type AcceptedEntry } from '../../src/system/accepted-set.ts';

const epoch = { number: 3, id: '0123456789abcdef' };
const at = (sequence: number) => ({ epoch, sequence });
const entry = (path: string, sha256 = 'ab'.repeat(32)): AcceptedEntry => ({
  path,
  mode: 0o644,
  size: 5,
  sha256,
  mtimeNs: 1_795_000_000_123_456_789n,
  weight: fileWeight(path, 0o644, sha256),
});

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'pe-failover-set-'));
});
afterEach(() => rm(root, { recursive: true }));
const path = (): string => join(root, 'sync-certs.db');

test('what was committed is there after it was closed, to the nanosecond', () => {
  const set = openAcceptedSet(path());
  expect(set.reference()).toBeUndefined();
  set.commit({ put: [entry('a'), entry('b')], remove: [] }, at(1));
  const digest = set.digest();
  set.close();
  const again = openAcceptedSet(path());
  expect([...again.all()]).toEqual([entry('a'), entry('b')]);
  expect([again.reference(), again.digest(), again.count(), again.count('a')]).toEqual([at(1), digest, 2, 1]);
  again.close();
});

test('the running digest equals that of a set made anew, and says beforehand what a commit leads to', () => {
  const set = openAcceptedSet(path());
  set.commit({ put: [entry('a'), entry('b')], remove: [] }, at(1));
  const changes = { put: [entry('a', 'cd'.repeat(32)), entry('c')], remove: ['b', 'c', 'unknown'] };
  const expected = set.digestAfter(changes);
  set.commit(changes, at(2));
  expect(set.digest()).toBe(expected);
  const other = openAcceptedSet(join(root, 'other.db'));
  other.rebuild([entry('c'), entry('a', 'cd'.repeat(32))], at(9));
  expect(other.digest()).toBe(expected);
  set.close();
  other.close();
});

test('a commit that fails half-way leaves the set, its digest and its reference as before', () => {
  const set = openAcceptedSet(path());
  set.commit({ put: [entry('a')], remove: [] }, at(1));
  const before = set.digest();
  const broken = { ...entry('b'), sha256: null as unknown as string };
  expect(() => set.commit({ put: [entry('c'), broken], remove: ['a'] }, at(2))).toThrow();
  expect([[...set.all()], set.digest(), set.reference()]).toEqual([[entry('a')], before, at(1)]);
  set.close();
});

test('killed in the middle of a commit, it is wholly as before', async () => {
  const module = join(import.meta.dirname, '../../src/system/accepted-set.ts');
  const program = `import { openAcceptedSet } from ${JSON.stringify(module)};
    const set = openAcceptedSet(${JSON.stringify(path())});
    const entry = (path) => ({ path, mode: 1, size: 1, sha256: 'x', mtimeNs: 0n, weight: 1n });
    set.commit({ put: [entry('kept')], remove: [] }, { epoch: ${JSON.stringify(epoch)}, sequence: 1 });
    const put = Array.from({ length: 20000 }, (_, n) => entry('n' + n));
    put.push({ weight: 1n, get path() { process.kill(process.pid, 'SIGKILL'); return 'never'; } });
    set.rebuild(put, { epoch: ${JSON.stringify(epoch)}, sequence: 2 });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'ignore' });
  const [, signal] = (await once(child, 'exit')) as [unknown, string];
  expect(signal).toBe('SIGKILL');
  const set = openAcceptedSet(path());
  expect([[...set.all()].map((one) => one.path), set.reference()?.sequence]).toEqual([['kept'], 1]);
  set.close();
});

test('with 100,000 entries a commit of one file stays a matter of milliseconds', () => {
  const set = openAcceptedSet(path());
  set.rebuild(
    Array.from({ length: 100_000 }, (_, n) => entry(`signed/node${n}.pem`)),
    at(1),
  );
  const times = Array.from({ length: 20 }, (_, n) => {
    const start = performance.now();
    set.commit({ put: [entry(`signed/new${n}.pem`)], remove: [] }, at(n + 2));
    return performance.now() - start;
  }).sort((a, b) => a - b);
  expect(times[10]).toBeLessThan(50);
  set.close();
});

test('owners are remembered, and directories as long as something lies in them', () => {
  const set = openAcceptedSet(path());
  const owned = { ...entry('d/e/f'), owner: 'daemon', group: 'games' };
  const directories = ['d', 'd/e', 'd/empty'].map((name) => ({
    path: name,
    mode: 0o750,
    owner: 'root',
    group: 'games',
  }));
  set.commit({ put: [owned, entry('d/g')], remove: [], directories }, at(1));
  expect([set.get('d/e/f'), set.get('d/g')]).toEqual([owned, entry('d/g')]);
  expect(set.directories()).toEqual(directories.slice(0, 2));
  set.commit({ put: [], remove: ['d/e/f'] }, at(2));
  expect(set.directories()).toEqual(directories.slice(0, 1));
  set.rebuild([entry('d/g')], at(3));
  expect(set.directories()).toEqual([]);
  set.close();
});

test('a set that an earlier version made opens with all that it has, and remembers owners from then on', () => {
  const old = new DatabaseSync(path());
  old.exec(`CREATE TABLE entry (path TEXT PRIMARY KEY, mode INTEGER NOT NULL, size INTEGER NOT NULL,
      sha256 TEXT NOT NULL, mtime_ns INTEGER NOT NULL, weight TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER NOT NULL, sum TEXT NOT NULL,
      reference TEXT)`);
  const { mode, size, sha256, mtimeNs, weight } = entry('a');
  const sum = hexOfWeight(weight);
  old.prepare('INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)').run('a', mode, size, sha256, mtimeNs, sum);
  old.prepare('INSERT INTO state VALUES (1, 1, ?, ?)').run(sum, JSON.stringify(at(7)));
  old.close();
  const owned = { ...entry('b'), owner: 'daemon', group: 'games' };
  const set = openAcceptedSet(path());
  expect([[...set.all()], set.reference(), set.directories()]).toEqual([[entry('a')], at(7), []]);
  set.commit({ put: [owned], remove: [] }, at(8));
  const digest = set.digest();
  set.close();
  const again = openAcceptedSet(path());
  expect([[...again.all()], again.digest()]).toEqual([[entry('a'), owned], digest]);
  again.close();
});

test('a file that is no set stops with its path and the way out', async () => {
  await writeFile(path(), 'not a database, but long enough to be taken for one'.repeat(100));
  expect(() => openAcceptedSet(path())).toThrow(new RegExp(`accepted set is unreadable \\(${path()}\\).*mv `));
});
