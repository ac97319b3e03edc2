import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Failure } from '../../src/errors.ts';
import type { Outcome } from '../../src/jobs/job.ts';
import {
  passOfBoth,
  readSecret as read,
  secretsOf,
  syncFilesOf,
  updatePassiveFilesOf,
  writeSecret as write,
} from '../helpers/files-pair.ts';
import { startPair, type TestPair } from '../helpers/pair.ts';
import { snapshot } from '../helpers/trees.ts';

interface Bench {
  /** Both sides; what the spare threw is kept. */
  pass(): Promise<Outcome>;
  /** The spare alone. */
  update(): Promise<Outcome>;
  readonly thrown: Failure[];
}

function openBench(pair: TestPair): Bench {
  const { a, b, spare } = pair;
  const [sync, job] = [syncFilesOf(a, pair.sender().delivery), updatePassiveFilesOf(b, spare)];
  const thrown: Failure[] = [];
  const update = (): Promise<Outcome> => job.run(pair.context(b));
  const noting = () => update().catch((error: unknown) => void thrown.push(error as Failure));
  return { pass: () => passOfBoth(pair, sync, noting), update, thrown };
}

const same = ({ a, b }: TestPair): void => expect(snapshot(secretsOf(b))).toEqual(snapshot(secretsOf(a)));
const isJournalOpen = ({ b }: TestPair): boolean => existsSync(join(b.paths.journal, 'update-passive-files.jsonl'));
const stateOn = async ({ spare }: TestPair): Promise<string | undefined> =>
  (await spare.book.all('sync-files')).at(-1)?.state;

test('a file that becomes a directory, and a directory that becomes a file, are so on the spare too', async () => {
  await using pair = await startPair();
  const { pass, thrown } = openBench(pair);
  const { a, b } = pair;
  write(a, 'turns', 'a file');
  write(a, 'back/deep/er', 'in a directory');
  await expect(pass()).resolves.toMatchObject({ kind: 'done' });

  for (const name of ['turns', 'back']) rmSync(join(secretsOf(a), name), { recursive: true });
  write(a, 'turns/y', 'below');
  write(a, 'back', 'a file now');
  await expect(pass()).resolves.toMatchObject({ kind: 'done' });
  same(pair);
  expect(thrown).toEqual([]);
  const archive = join(b.paths.archive, 'sync-files/1.00c0ffee00c0ffee-2/etc/puppetlabs/secrets');
  expect(readdirSync(archive, { recursive: true }).sort()).toEqual(['back', 'back/deep', 'back/deep/er', 'turns']);
});

test('a file that cannot be placed is left out with a hint; the others, newer drops and the file itself come through', async () => {
  await using pair = await startPair();
  const { pass, update, thrown } = openBench(pair);
  const { a, b } = pair;
  mkdirSync(join(secretsOf(b), 'x'), { recursive: true });
  writeFileSync(join(secretsOf(b), 'x/own'), 'of the spare');
  write(a, 'other', '1');
  write(a, 'x', 'a file', 0o600);
  await expect(pass()).resolves.toMatchObject({
    kind: 'waiting',
    why: expect.stringMatching(/^failed there: .*secrets\/x/) as string,
  });
  expect(thrown).toMatchObject([
    { class: 'incomplete', hint: expect.stringContaining('mv /etc/puppetlabs/secrets/x ') as string },
  ]);
  expect([read(b, 'other'), read(b, 'x/own'), isJournalOpen(pair)]).toEqual(['1', 'of the spare', false]);
  await expect(pass()).resolves.toMatchObject({
    kind: 'unchanged',
    why: expect.stringContaining('failed there') as string,
  });

  write(a, 'other', '2');
  await pass();
  expect([read(b, 'other'), await stateOn(pair)]).toEqual(['2', 'failed']);
  await expect(update()).rejects.toMatchObject({ class: 'incomplete' });

  rmSync(join(secretsOf(b), 'x'), { recursive: true });
  await expect(update()).resolves.toMatchObject({ why: '1 file put back' });
  same(pair);
  expect(await stateOn(pair)).toBe('applied');
  await expect(pass()).resolves.toMatchObject({ kind: 'done', why: expect.stringContaining('live now') as string });
  await expect(update()).resolves.toMatchObject({ kind: 'unchanged' });
});

test('what could not be placed and is gone from the active again is no trouble any more', async () => {
  await using pair = await startPair();
  const { pass, update } = openBench(pair);
  const { a, b } = pair;
  mkdirSync(join(secretsOf(b), 'x'), { recursive: true });
  writeFileSync(join(secretsOf(b), 'x/own'), 'of the spare');
  write(a, 'other', '1');
  write(a, 'x', 'a file');
  await pass();
  rmSync(join(secretsOf(a), 'x'));
  write(a, 'new', 'new');
  await pass();
  expect([read(b, 'new'), read(b, 'x/own'), await stateOn(pair)]).toEqual(['new', 'of the spare', 'applied']);
  await expect(update()).resolves.toMatchObject({ kind: 'unchanged' });
});

function mountReadOnly(directory: string): Disposable | undefined {
  try {
    execFileSync('mount', ['--bind', directory, directory], { stdio: 'ignore' });
    execFileSync('mount', ['-o', 'remount,ro,bind', directory], { stdio: 'ignore' });
    return { [Symbol.dispose]: () => execFileSync('umount', ['-l', directory]) };
  } catch {
    return undefined;
  }
}

test('a file system that is read-only for long is tried again, fills no archive, and is caught up with', async (context) => {
  await using pair = await startPair();
  const { pass, update, thrown } = openBench(pair);
  const { a, b } = pair;
  write(a, 'fixed/old', '1');
  write(a, 'fixed/gone', '1');
  await pass();
  {
    using mount = mountReadOnly(join(secretsOf(b), 'fixed'));
    if (mount === undefined) context.skip('only root may mount read-only');
    write(a, 'fixed/old', '2');
    rmSync(join(secretsOf(a), 'fixed/gone'));
    write(a, 'other', '2');
    await pass();
    expect(thrown).toMatchObject([{ class: 'incomplete', why: expect.stringContaining('read-only') as string }]);
    for (let n = 0; n < 3; n += 1) await expect(update()).rejects.toMatchObject({ class: 'incomplete' });
    expect([read(b, 'other'), read(b, 'fixed/old'), read(b, 'fixed/gone')]).toEqual(['2', '1', '1']);
    expect(readdirSync(join(b.paths.archive, 'replaced-files'))).toEqual([]);
  }
  await update();
  same(pair);
  expect([await stateOn(pair), readdirSync(join(b.paths.archive, 'replaced-files')).length]).toEqual(['applied', 1]);
});

test('what is damaged on the spare between drops and cannot be put back is heard by the active once, and when it is over', async () => {
  await using pair = await startPair();
  const { pass, update } = openBench(pair);
  const { a, b, spare } = pair;
  const greetingAnew = (): Bench => openBench(pair); // a greeting is good for ten seconds
  write(a, 'x', 'a file');
  write(a, 'other', 'well');
  await pass();
  await expect(pass()).resolves.toMatchObject({ kind: 'unchanged' });

  rmSync(join(secretsOf(b), 'x'));
  mkdirSync(join(secretsOf(b), 'x'));
  writeFileSync(join(secretsOf(b), 'x/own'), 'of the spare');
  for (let n = 0; n < 3; n += 1) await expect(update()).rejects.toMatchObject({ class: 'incomplete' });
  const states = async (): Promise<string[]> => (await spare.book.all('sync-files')).map(({ state }) => state);
  expect(await states()).toEqual(['applied', 'failed']);
  const failed = expect.stringMatching(/failed there: .*secrets\/x/) as string;
  await expect(greetingAnew().pass()).resolves.toMatchObject({ kind: 'waiting', why: failed });
  expect(a.log.lines.filter((line) => line.includes('FAILURE'))).toHaveLength(1);
  await expect(greetingAnew().pass()).resolves.toMatchObject({ kind: 'unchanged', why: failed });
  expect(a.log.lines.filter((line) => line.includes('FAILURE'))).toHaveLength(1);

  rmSync(join(secretsOf(b), 'x'), { recursive: true });
  await expect(update()).resolves.toMatchObject({ why: '1 file put back' });
  expect(await states()).toEqual(['applied', 'failed', 'applied']);
  await expect(greetingAnew().pass()).resolves.toMatchObject({
    kind: 'done',
    why: expect.stringContaining('live now') as string,
  });
  same(pair);
});
