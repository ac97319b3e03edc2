import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createHousekeeping, type HousekeepingParts } from '../../src/agent/housekeeping.ts';
import { appliedMark } from '../../src/drops/archive.ts';
import { pruneAll, type RetentionParts } from '../../src/drops/retention.ts';
import { dropName } from '../../src/rules/manifest.ts';
import { createHandClock } from '../helpers/hand-clock.ts';
import { memoryLog, startPair, type TestPair } from '../helpers/pair.ts';
import { epochId, plantDrop } from '../helpers/planted-drops.ts';
import { mountSmall, noRoot } from '../helpers/small-disk.ts';

const day = 86_400_000;
const now = Date.UTC(2026, 10, 21);
const epoch = { number: 1, id: epochId };
const drop = (sequence: number): string => dropName({ epoch, sequence });

let pair: TestPair;
beforeAll(async () => {
  pair = await startPair();
});
afterAll(() => pair[Symbol.asyncDispose]());
beforeEach(() => {
  const { archive, holds, journal, state } = pair.b.paths;
  for (const directory of [archive, holds, journal]) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory);
  }
  // Looked at each hour for two days by a clock that went on.
  const watch = { format: 1, at: now - 3_600_000, since: now - 2 * day };
  writeFileSync(join(state, 'clock-watch.json'), JSON.stringify(watch));
});

const archived = (kind: string): string[] => {
  const directory = join(pair.b.paths.archive, kind);
  return existsSync(directory) ? readdirSync(directory).sort() : [];
};

/** A generation of so many bytes, which came there so many days ago. */
function put(kind: string, name: string, { days = 0, bytes = 10_000, good = true } = {}): string {
  const directory = join(pair.b.paths.archive, kind, name);
  mkdirSync(join(directory, 'deep'), { recursive: true });
  writeFileSync(join(directory, 'deep/file'), Buffer.alloc(bytes));
  if (good) writeFileSync(join(directory, appliedMark), '');
  utimesSync(directory, new Date(now - days * day), new Date(now - days * day));
  return directory;
}

const prune = (
  limits: Partial<RetentionParts['limits']> = {},
  extra: Partial<RetentionParts> = {},
): Promise<readonly string[]> =>
  pruneAll({
    paths: pair.b.paths,
    book: pair.spare.book,
    limits: { count: () => 24, ageMs: 30 * day, bytes: 1e9, eventsBytes: 1e6, ...limits },
    now: () => new Date(now),
    wanted: () => Promise.resolve(0),
    cadir: () => Promise.resolve(undefined),
    ...extra,
  });

describe('a spare that settles drops', () => {
  const settle = async (sequence: number, state: 'applied' | 'failed'): Promise<void> => {
    const manifest = { stream: 'nc-dump', sequence, kind: 'whole' };
    plantDrop(join(pair.b.paths.inbox, 'nc-dump/ready'), pair.a, { name: drop(sequence), manifest });
    const next = await pair.spare.intake.next('nc-dump');
    if (next === undefined) throw new Error('nothing arrived');
    await pair.spare.intake.settle(next, { state, why: '' });
  };

  it('keeps the last drop that was live behind thirty that failed, beside the newest 24', async () => {
    for (const sequence of [1, 2]) await settle(sequence, 'applied');
    for (let sequence = 3; sequence < 33; sequence += 1) await settle(sequence, 'failed');
    const kept = [2, ...Array.from({ length: 24 }, (_, n) => n + 9)].map(drop).sort();
    expect(archived('nc-dump')).toEqual(kept);
    await prune({ count: () => 1 });
    expect(archived('nc-dump')).toEqual([drop(2), drop(32)]);
  });
});

describe('what is archived goes', () => {
  it('by age, but for the newest good one of each kind, and by nothing that was not asked for', async () => {
    for (const [sequence, days] of [[1, 50], [2, 40], [3, 35]] as const) put('db-dump.a', drop(sequence), { days }); // prettier-ignore
    put('db-dump.a', drop(4), { days: 31, good: false });
    for (const [sequence, days] of [[5, 90], [6, 80]] as const) put('sync-certs', drop(sequence), { days, good: false }); // prettier-ignore
    put('sync-certs', `${drop(6)}-healed`, { days: 79, good: false });
    for (const name of ['2026-01-01T000000.000Z', '2026-11-20T000000.000Z'])
      put('replaced-files', name, { days: name.includes('-01-') ? 324 : 1, good: false });
    put('replaced-groups', `groups-2026-01-01T000000.000Z-before-${drop(1)}.json`, { days: 324, good: false });
    for (const name of ['accepted.json', 'what somebody put here']) put('replaced-groups', name, { days: 324 });
    put('key-files', 'etc', { days: 324 });
    await prune();
    expect(archived('db-dump.a')).toEqual([drop(3)]);
    expect(archived('sync-certs')).toEqual([`${drop(6)}-healed`]);
    expect(archived('replaced-files')).toEqual(['2026-11-20T000000.000Z']);
    expect(archived('replaced-groups')).toHaveLength(3);
    expect(archived('key-files')).toEqual(['etc']);
  });

  it('by size, the oldest of any kind first', async () => {
    for (const [sequence, days] of [[1, 9], [2, 5], [3, 1]] as const) put('db-dump.a', drop(sequence), { days, bytes: 500_000 }); // prettier-ignore
    for (const [sequence, days] of [[1, 7], [2, 3]] as const) put('sync-files', drop(sequence), { days, bytes: 500_000 }); // prettier-ignore
    await prune({ bytes: 1_700_000 });
    expect([archived('db-dump.a'), archived('sync-files')]).toEqual([[drop(2), drop(3)], [drop(2)]]);
    await prune({ bytes: 1 });
    expect([archived('db-dump.a'), archived('sync-files')]).toEqual([[drop(3)], [drop(2)]]);
  });

  it('where the next dump has no room, the oldest first, for no more than it wants', async (context) => {
    using disk = mountSmall(pair.b.paths.archive, 20);
    if (disk === undefined) return context.skip(noRoot);
    for (let sequence = 1; sequence < 9; sequence += 1) put('db-dump.a', drop(sequence), { bytes: 2_000_000 });
    await prune({}, { wanted: () => Promise.resolve(8_000_000) });
    expect(archived('db-dump.a')).toEqual([3, 4, 5, 6, 7, 8].map(drop));
    await prune({}, { wanted: () => Promise.resolve(1e9) });
    expect(archived('db-dump.a')).toEqual([drop(8)]);
  });

  it('not while a hold, a database in quarantine, an interrupted operation or a drop that waits names it', async () => {
    const { holds, state, journal, taken } = pair.b.paths;
    for (let sequence = 1; sequence < 8; sequence += 1) put('db-dump.a', drop(sequence), { days: 60 });
    const reference = (sequence: number) => ({ stream: 'db-dump.a', epoch, sequence, digest: '' });
    writeFileSync(join(holds, '0123456789ab.json'), JSON.stringify({ drop: reference(1), decision: 'open' }));
    const record = { format: 1, quarantined: { drop: reference(2), why: '' }, staged: { drop: reference(3) } };
    writeFileSync(join(state, 'restore-a.json'), JSON.stringify(record));
    writeFileSync(join(journal, 'restore-dbs.a.jsonl'), `${JSON.stringify({ args: { epoch, sequence: 4 } })}\n{"torn`);
    mkdirSync(join(taken, 'db-dump.a', drop(5)), { recursive: true });
    await prune();
    expect(archived('db-dump.a')).toEqual([1, 2, 3, 4, 5, 7].map(drop));
    for (const path of [holds, journal, join(taken, 'db-dump.a')]) rmSync(path, { recursive: true });
    rmSync(join(state, 'restore-a.json'));
    await prune();
    expect(archived('db-dump.a')).toEqual([drop(7)]);
  });

  it('when the clock jumped a year, not before it went on for a day', async () => {
    for (let sequence = 1; sequence < 4; sequence += 1) put('db-dump.a', drop(sequence), { days: 1 });
    const at = (ms: number) => prune({}, { now: () => new Date(now + 365 * day + ms) });
    for (let hour = 0; hour < 24; hour += 1) await at(hour * 3_600_000);
    expect(archived('db-dump.a')).toHaveLength(3);
    await at(day);
    expect(archived('db-dump.a')).toEqual([drop(3)]);
  });

  it("by one rename each: what a killed one left is nobody's generation, and goes with the next", async () => {
    put('db-dump.a', drop(1));
    put('db-dump.a', `.pe-failover-${drop(2)}.0123456789ab`);
    await prune();
    expect(archived('db-dump.a')).toEqual([drop(1)]);
  });

  it('of CAs that were replaced by number alone, and of what lies beside them nothing', async () => {
    const home = mkdtempSync(join(tmpdir(), 'pe-failover-retention-'));
    const names = ['20240101', '20250101', '20260101'].map((date) => `ca.replaced-${date}T000000Z`);
    for (const name of ['ca', ...names, 'ca.replaced-by-hand', 'backup-20240101T000000Z']) mkdirSync(join(home, name));
    await prune({ count: () => 2 }, { cadir: () => Promise.resolve(join(home, 'ca')) });
    expect(readdirSync(home).sort()).toEqual([
      'backup-20240101T000000Z',
      'ca',
      ...names.slice(1),
      'ca.replaced-by-hand',
    ]);
    rmSync(home, { recursive: true });
  });

  it('of the events the older half', async () => {
    const { events } = pair.b.paths;
    mkdirSync(dirname(events), { recursive: true });
    writeFileSync(events, Buffer.alloc(400_000));
    await prune();
    expect(existsSync(`${events}.1`)).toBe(false);
    writeFileSync(events, Buffer.alloc(600_000));
    await prune();
    expect([existsSync(events), statSync(`${events}.1`).size]).toEqual([false, 600_000]);
  });
});

it('what cannot be removed is a WARNING, once, keeps nothing else, and is told when it is over', async (context) => {
  const clock = createHandClock();
  const log = memoryLog();
  const { paths } = pair.b;
  put('db-dump.b', drop(1), { days: 60 });
  using disk = mountSmall(join(paths.archive, 'db-dump.a'), 1);
  if (disk === undefined) return context.skip(noRoot);
  for (let sequence = 1; sequence < 3; sequence += 1) {
    put('db-dump.a', drop(sequence), { days: 60 });
    put('db-dump.b', drop(sequence), { days: 60 });
  }
  disk.remount('ro');
  let tries = 0;
  const parts: HousekeepingParts = {
    ...{ paths, clock, log, mayPrune: () => true, limits: { share: 0, enough: 0 } },
    prune: () => prune().finally(() => (tries += 1)),
    wanted: () => Promise.resolve(0),
    elsewhere: () => Promise.resolve({}),
  };
  const end = new AbortController();
  const running = createHousekeeping(parts).run(end.signal);
  const untilTried = async (times: number): Promise<void> => {
    const turn = async (): Promise<number> => clock.advance(60_000).then(() => tries);
    await expect.poll(turn, { timeout: 20_000, interval: 5 }).toBe(times);
  };
  await untilTried(1);
  expect(archived('db-dump.b')).toEqual([drop(2)]);
  await untilTried(2);
  expect(log.lines).toEqual([
    expect.stringMatching(/^\[WARNING\] Archives could not be pruned: file system is read-only.*remount/),
  ]);
  disk.remount('rw');
  await untilTried(3);
  expect(archived('db-dump.a')).toEqual([drop(2)]);
  expect(log.lines.slice(1)).toEqual([expect.stringMatching(/^\[SUCCESS\] Archives are pruned again after/)]);
  end.abort();
  await running;
});
