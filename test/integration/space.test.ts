import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { createHousekeeping, type Housekeeping, type HousekeepingParts } from '../../src/agent/housekeeping.ts';
import { nearlyFullSentence } from '../../src/rules/space.ts';
import { demandSpace, fileSystemOf } from '../../src/system/file-systems.ts';
import { createHandClock } from '../helpers/hand-clock.ts';
import { createTestSpare, memoryLog, startPair, type MemoryLog, type TestPair } from '../helpers/pair.ts';
import { epochId, plantDrop } from '../helpers/planted-drops.ts';
import { fill, mountSmall, noRoot } from '../helpers/small-disk.ts';

const mega = 1_000_000;

async function startedPair(): Promise<TestPair> {
  const pair = await startPair();
  onTestFinished(() => pair[Symbol.asyncDispose]());
  return pair;
}

interface Look {
  readonly housekeeping: Housekeeping;
  readonly log: MemoryLog;
  /** Lets minutes pass until it was looked so often. */
  looks(more: number): Promise<void>;
}

function lookAfter(pair: TestPair, extra: Partial<HousekeepingParts> = {}): Look {
  const [clock, log] = [createHandClock(), memoryLog()];
  let looked = 0;
  // The last thing that a look asks for.
  const monotonic = (): number => {
    looked += 1;
    return clock.monotonic();
  };
  const housekeeping = createHousekeeping({
    ...{ paths: pair.b.paths, clock: { ...clock, monotonic }, log, mayPrune: () => true },
    prune: () => Promise.resolve([]),
    limits: { share: 0.1, enough: 4 * mega },
    wanted: () => Promise.resolve(0),
    elsewhere: () => Promise.resolve({}),
    ...extra,
  });
  const end = new AbortController();
  const running = housekeeping.run(end.signal);
  onTestFinished(async () => {
    end.abort();
    await running;
  });
  const looks = async (more: number): Promise<void> => {
    const turn = async (): Promise<boolean> => clock.advance(60_000).then(() => looked >= until);
    const until = looked + 3 * more;
    await expect.poll(turn, { timeout: 10_000, interval: 5 }).toBe(true);
  };
  return { housekeeping, log, looks };
}

it('a file system that is nearly full is one WARNING with the largest of ours, and a SUCCESS when it has room again', async (context) => {
  const pair = await startedPair();
  const { archive } = pair.b.paths;
  using disk = mountSmall(archive, 20);
  if (disk === undefined) return context.skip(noRoot);
  const small = join(archive, 'sync-files/1');
  const large = join(archive, 'db-dump.a/1');
  for (const directory of [small, large]) mkdirSync(directory, { recursive: true });
  writeFileSync(join(small, 'file'), Buffer.alloc(mega));
  const { log, looks, housekeeping } = lookAfter(pair);
  await looks(2);
  expect(log.lines.filter((line) => line.includes(archive))).toEqual([]);
  writeFileSync(join(large, 'dump'), Buffer.alloc(18 * mega)); // of 20.9 MB: less than a tenth is left
  await looks(3);
  const said = (): string[] => log.lines.filter((line) => line.includes(archive));
  expect(said()).toEqual([
    expect.stringMatching(
      /\[WARNING\] .* is nearly full: 2\.0 MB of 21 MB free\. The largest of ours there: .*\/db-dump\.a, 18 MB\. .*du -xh/,
    ),
  ]);
  expect(housekeeping.nearlyFull().map(nearlyFullSentence).join()).toContain(archive);
  writeFileSync(join(large, 'dump'), Buffer.alloc(17.5 * mega)); // more than the limit, but not by a quarter
  await looks(2);
  expect(said()).toHaveLength(1);
  rmSync(join(large, 'dump'));
  await looks(2);
  expect(said().slice(1)).toEqual([
    expect.stringMatching(/\[SUCCESS\] .*\/archive has room again: 20 MB of 21 MB free/),
  ]);
  expect(housekeeping.nearlyFull()).toEqual([]);
});

it('where the next dump would have no room it is said before that dump is refused', async (context) => {
  const pair = await startedPair();
  const { outbox } = pair.b.paths;
  using disk = mountSmall(outbox, 20);
  if (disk === undefined) return context.skip(noRoot);
  const { log, looks } = lookAfter(pair, { wanted: () => Promise.resolve(30 * mega) });
  await looks(2);
  expect(log.lines).toEqual([expect.stringMatching(/\[WARNING\] .*\/outbox is nearly full: 21 MB of 21 MB free/)]);
});

it('a drop that has no room is not taken over: it waits, and what a killed take-over left is not in its way', async (context) => {
  const pair = await startedPair();
  const { taken, inbox } = pair.b.paths;
  using disk = mountSmall(taken, 1);
  if (disk === undefined) return context.skip(noRoot);
  const ready = join(inbox, 'sync-files/ready');
  const half = join(taken, 'sync-files/.1.half-3');
  mkdirSync(half, { recursive: true });
  plantDrop(ready, pair.a, {});
  const next = (): Promise<unknown> => pair.spare.intake.next('sync-files');
  const free = fill(taken);
  await expect(next()).rejects.toMatchObject({
    ...{ class: 'dependency', what: 'too little space for a drop of sync-files', where: taken },
    hint: expect.stringContaining(`df -h ${taken}`) as string,
  });
  expect([existsSync(join(ready, `1.${epochId}-50`)), existsSync(half)]).toEqual([true, false]);
  free();
  mkdirSync(half);
  fill(half);
  expect(await next()).toMatchObject({ manifest: { sequence: 50 } });
});

it('what is kept free is kept free of dumps, and a certificate or a file has room still', async () => {
  const pair = await startedPair();
  const { b, a } = pair;
  const spare = createTestSpare(b, a.pairing, { freeSpace: 1e15 });
  const dumps = join(b.paths.inbox, 'db-dump.a/ready');
  mkdirSync(dumps, { recursive: true });
  plantDrop(dumps, a, { manifest: { stream: 'db-dump.a', kind: 'whole' } });
  plantDrop(join(b.paths.inbox, 'sync-files/ready'), a, {});
  await expect(spare.intake.next('db-dump.a')).rejects.toThrow(
    /too little space for a drop of db-dump\.a.*1000 TB are to stay free.*df -h/,
  );
  expect(existsSync(join(dumps, `1.${epochId}-50`))).toBe(true);
  expect((await spare.intake.next('sync-files'))?.manifest.sequence).toBe(50);
});

it('a spare says in its greeting how large a dump it has room for, without what is kept free', async () => {
  const pair = await startedPair();
  const { b, a } = pair;
  const { free = 0 } = (await fileSystemOf(b.paths.inbox)) ?? {};
  const roomWith = async (freeSpace: number): Promise<number> => {
    const spare = createTestSpare(b, a.pairing, { freeSpace });
    await spare.introduce();
    const { delivery, close } = pair.sender();
    const { room = -1 } = await delivery.sizes('db-dump.a', AbortSignal.timeout(10_000));
    await close();
    return room;
  };
  const room = await roomWith(0);
  // Twice as much is needed, and others write on this disk meanwhile.
  expect(Math.abs(room - free / 2)).toBeLessThan(free / 10);
  expect(Math.abs((await roomWith(free / 2)) - free / 4)).toBeLessThan(free / 10);
  expect(await roomWith(2 * free)).toBe(0);
});

it('too little space names the file system, what is free and what is needed, and a path that does not exist yet is no obstacle', async (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'pe-failover-space-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  using disk = mountSmall(directory, 10);
  if (disk === undefined) return context.skip(noRoot);
  const path = join(directory, 'not/yet/there');
  await demandSpace(path, { what: 'x', bytes: 5 * mega, reserve: 5 * mega });
  await expect(demandSpace(path, { what: 'the dump of a', bytes: 5 * mega, reserve: 6 * mega })).rejects.toMatchObject({
    class: 'dependency',
    message: expect.stringMatching(
      new RegExp(
        `^too little space for the dump of a \\(${directory}\\): 10 MB free, 5\\.0 MB needed, and 6\\.0 MB are to stay free.*df -h ${directory}`,
      ),
    ) as string,
  });
});
