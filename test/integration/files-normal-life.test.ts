import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Job, Outcome } from '../../src/jobs/job.ts';
import { systemClock } from '../../src/system/clock.ts';
import { passOfBoth, secretsOf, syncFilesOf, updatePassiveFilesOf, writeSecret } from '../helpers/files-pair.ts';
import { startPair, type TestMaster, type TestPair } from '../helpers/pair.ts';

let pair: TestPair;
let sync: Job;
let update: Job;
let now: Date;
beforeEach(async () => {
  pair = await startPair();
  sync = syncFilesOf(pair.a, pair.sender().delivery);
  update = updatePassiveFilesOf(pair.b, pair.spare);
  now = new Date();
});
afterEach(() => pair[Symbol.asyncDispose]());

const clock = { ...systemClock, now: () => now };
const later = (minutes: number): void => void (now = new Date(now.getTime() + minutes * 60_000));
const pass = (): Promise<Outcome> => passOfBoth(pair, sync, () => update.run(pair.context(pair.b, { clock })));
const filesOf = (release: string, count = 30): string[] =>
  Array.from({ length: count }, (_, n) => `gems/${String(n).padStart(2, '0')}-${release}.gem`);
const write = (names: readonly string[], master = pair.a): void => {
  for (const name of names) writeSecret(master, name, name);
};
const remove = (names: readonly string[]): void => {
  for (const name of names) rmSync(join(secretsOf(pair.a), name));
};
const of = (master: TestMaster): string[] =>
  (readdirSync(secretsOf(master), { recursive: true }) as string[]).filter((name) => /\./.test(name)).sort();
const expectSame = (): void => expect(of(pair.b)).toEqual(of(pair.a));
const kept = async (): Promise<string[]> => (await pair.spare.holds.list()).map(({ rule }) => rule);
const failures = (): string[] => pair.b.log.lines.filter((line) => line.startsWith('[FAILURE]'));

describe('holds nothing', () => {
  beforeEach(async () => {
    write([...filesOf('1.0'), 'keys.json', 'hiera.yaml']);
    await pass();
  });
  afterEach(async () => {
    expect([await kept(), failures()]).toEqual([[], []]);
    expectSame();
  });

  test('of files that an upgrade replaces whole, under other names', async () => {
    remove(filesOf('1.0'));
    write(filesOf('2.0'));
    await pass();
  });

  test('of an upgrade that brings the new ones first and removes the old ones in a moment, and of a second one', async () => {
    for (const [old, next] of [
      ['1.0', '2.0'],
      ['2.0', '3.0'],
    ] as const) {
      write(filesOf(next));
      await pass();
      later(2);
      remove(filesOf(old).slice(0, 20));
      await pass();
      later(2);
      remove(filesOf(old).slice(20));
      await pass();
    }
  });

  test('of a directory that is moved, and of files that all change', async () => {
    renameSync(join(secretsOf(pair.a), 'gems'), join(secretsOf(pair.a), 'moved'));
    await pass();
    for (const name of ['keys.json', 'hiera.yaml']) writeSecret(pair.a, name, 'changed');
    await pass();
  });
});

test('at first, other content on the spare is replaced and kept, and what only the spare has stays', async () => {
  write(filesOf('1.0'));
  for (const name of filesOf('1.0')) writeSecret(pair.b, name, 'of another life');
  write(filesOf('0.9', 60), pair.b);
  await pass();
  expect([await kept(), failures()]).toEqual([[], []]);
  expect(of(pair.b)).toEqual([...filesOf('1.0'), ...filesOf('0.9', 60)].sort());
});

describe('of an upgrade that removes first', () => {
  const both = [...filesOf('1.0'), 'keys.json', 'hiera.yaml'];

  test('the removals are held, and done by themselves when the new ones come', async () => {
    write(both);
    await pass();
    remove(filesOf('1.0'));
    await pass();
    expect([await kept(), failures().length]).toEqual([['files-vanish'], 1]);
    write(filesOf('2.0', 10));
    await pass();
    expect(await kept()).toEqual(['files-vanish']);
    write(filesOf('2.0'));
    await pass();
    expect([await kept(), failures().length]).toEqual([[], 1]);
    expect(pair.b.log.lines).toContainEqual(expect.stringMatching(/SUCCESS.*is lifted.*30 files removed/));
    expectSame();
  });

  test('the removal of all is, too; the same newcomers let no others go', async () => {
    write(filesOf('1.0'));
    mkdirSync(secretsOf(pair.a), { recursive: true });
    await pass();
    remove(filesOf('1.0'));
    await pass();
    expect(await kept()).toEqual(['files-source-empty']);
    write(filesOf('2.0'));
    await pass();
    expect(await kept()).toEqual([]);
    later(5);
    remove(filesOf('2.0').slice(0, 12));
    await pass();
    expect(await kept()).toEqual(['files-vanish']);
  });
});

describe('holds', () => {
  test('files that vanish an hour after others came', async () => {
    write([...filesOf('1.0'), 'keys.json']);
    await pass();
    write(filesOf('2.0'));
    await pass();
    later(61);
    remove(filesOf('1.0'));
    await pass();
    expect(await kept()).toEqual(['files-vanish']);
  });

  test('files that vanish right after the first sync: what came with that is no replacement', async () => {
    write(filesOf('1.0', 60));
    await pass();
    later(1);
    remove(filesOf('1.0', 60).slice(0, 20));
    await pass();
    expect(await kept()).toEqual(['files-vanish']);
  });
});
