import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSpare } from '../../src/drops/spare.ts';
import type { VerifiedDrop } from '../../src/drops/intake.ts';
import { systemClock } from '../../src/system/clock.ts';
import { startPair, type TestPair } from '../helpers/pair.ts';
import { epochId, payload, pipe, plantDrop, replace, type Plant } from '../helpers/planted-drops.ts';

const stream = 'sync-files';
let pair: TestPair;
beforeEach(async () => void (pair = await startPair()));
afterEach(() => pair[Symbol.asyncDispose]());

const ready = (): string => join(pair.b.paths.inbox, stream, 'ready');
const named = (sequence: number): string => `1.${epochId}-${sequence}`;
const plant = (what: Plant = {}): void => plantDrop(ready(), pair.a, what);
const arrived = (sequence: number): Plant => ({ name: named(sequence), manifest: { sequence } });
const next = (): Promise<VerifiedDrop | undefined> => pair.spare.intake.next(stream);
const words = async (): Promise<[number, string][]> =>
  (await pair.spare.book.all(stream)).map(({ sequence, state }) => [sequence, state]);
const lastFailure = (): string | undefined => pair.b.log.lines.findLast((line) => line.startsWith('[FAILURE]'));

async function settled(sequence: number): Promise<void> {
  plant(arrived(sequence));
  const drop = await next();
  if (drop !== undefined) await pair.spare.intake.settle(drop, { state: 'applied', why: '' });
}

const garbage: [string, (directory: string) => void][] = [
  ['an empty directory', (directory) => mkdirSync(directory)],
  [
    'another manifest',
    (directory) => {
      mkdirSync(directory);
      writeFileSync(join(directory, 'manifest.json'), 'garbage');
    },
  ],
  ['a link', (directory) => symlinkSync('/etc', directory)],
  ['a file', (directory) => writeFileSync(directory, '')],
  ['a copy without its payload', () => plant({ spoil: (directory) => rmSync(join(directory, payload)) })],
  [
    'a number that was signed twice, spoiled',
    () => plant({ manifest: { build: 'other' }, spoil: replace(payload, pipe) }),
  ],
];

describe.each(garbage)('%s under the name of an honest drop', (_, put) => {
  it('neither removes the one that waits nor speaks of it', async () => {
    plant();
    await next();
    put(join(ready(), named(50)));
    const waiting = await next();
    expect(waiting?.manifest.sequence).toBe(50);
    expect(readFileSync(join(waiting?.directory ?? '', payload), 'utf8')).toBe('planted');
    expect(await words()).toEqual([]);
    expect(readdirSync(ready())).toEqual([]);
  });
});

it.each(garbage.slice(0, 4))('%s under the name of a settled drop changes no word on it', async (_, put) => {
  await settled(50);
  put(join(ready(), named(50)));
  expect(await next()).toBeUndefined();
  expect(await words()).toEqual([[50, 'applied']]);
  expect(lastFailure()).toMatch(/Nothing live was touched$/);
});

it.each([50, 51])('nothing of a settled drop that is put there again is copied (%i)', async (sequence) => {
  for (const each of [50, 51]) await settled(each);
  plant({ ...arrived(sequence), spoil: replace(payload, pipe) }); // who opens the pipe refuses the drop
  expect(await next()).toBeUndefined();
  expect(await words()).toEqual([
    [50, 'applied'],
    [51, 'applied'],
  ]);
  expect(lastFailure() ?? '').not.toContain('not a regular file');
});

it('what a killed gate left is removed after a minute, and nothing sooner', async () => {
  for (const name of ['.confirm.4711', 'left']) writeFileSync(join(ready(), name), 'half');
  mkdirSync(join(ready(), 'deep/er'), { recursive: true });
  await next();
  expect(readdirSync(ready())).toHaveLength(3);
  const clock = { ...systemClock, now: () => new Date(Date.now() + 61_000) };
  const later = createSpare({
    ...{ paths: pair.b.paths, clock, log: pair.b.log, signer: pair.b.signer, own: pair.b.pairing },
    source: () => Promise.resolve(pair.a.pairing),
    published: { mode: 0o640 },
    archives: () => 0,
    quota: { size: 1e9, files: 1000, free: 0 },
  });
  plant();
  expect((await later.intake.next(stream))?.manifest.sequence).toBe(50);
  expect(readdirSync(ready())).toEqual([]);
});

it('a drop that was made anew under its number takes the place of the one that waits', async () => {
  plant();
  await next();
  plant({ manifest: { build: 'other' } });
  expect((await next())?.manifest.build).toBe('other');
});

it.each([
  ['was settled before: it is cleared away', true],
  ['waits: it is asked for again', false],
])('a drop that was taken over, of whose manifest the disk lost the content, and that %s', async (_, isSettled) => {
  if (isSettled) await settled(50);
  else {
    plant(arrived(50));
    await next();
  }
  const taken = join(pair.b.paths.taken, stream, named(50));
  mkdirSync(taken, { recursive: true });
  writeFileSync(join(taken, 'manifest.json'), Buffer.alloc(1_000));
  plant(arrived(51));
  expect((await next())?.manifest.sequence).toBe(51);
  expect(existsSync(taken)).toBe(false);
  expect(await words()).toEqual([[50, isSettled ? 'applied' : 'refused']]);
  const said = /50 of sync-files was taken over whole and is unreadable now/;
  const warnings = pair.b.log.lines.filter((line) => line.startsWith('[WARNING]'));
  expect(warnings).toEqual(isSettled ? [] : [expect.stringMatching(said)]);
});
