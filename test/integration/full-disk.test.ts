import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Failure, toFailure } from '../../src/errors.ts';
import type { Job } from '../../src/jobs/job.ts';
import { appendWhole } from '../../src/system/append-whole.ts';
import { namingDisk } from '../../src/system/file-systems.ts';
import { temporaryPattern } from '../../src/system/files.ts';
import { syncFilesOf, updatePassiveFilesOf } from '../helpers/files-pair.ts';
import { fill, mountSmall, noRoot } from '../helpers/small-disk.ts';
import { startPair, type TestMaster, type TestPair } from '../helpers/pair.ts';
import { snapshot } from '../helpers/trees.ts';

const secrets = (master: TestMaster): string => join(master.root, 'etc/puppetlabs/secrets');

interface Bench {
  readonly pair: TestPair;
  readonly sync: Job;
  readonly update: Job;
  /** A pass of the active, and of the spare whenever something lies in its inbox. */
  pass(apply?: () => Promise<unknown>): Promise<unknown>;
}

function openBench(pair: TestPair): Bench {
  const { a, b } = pair;
  const [sync, update] = [syncFilesOf(a, pair.sender().delivery), updatePassiveFilesOf(b, pair.spare)];
  const ready = join(b.paths.inbox, 'sync-files/ready');
  const pass: Bench['pass'] = async (apply = () => update.run(pair.context(b))) => {
    let sending = true;
    const sent = sync.run(pair.context(a)).finally(() => (sending = false));
    sent.catch(() => undefined); // awaited below
    while (sending) {
      if (readdirSync(ready).some((name) => name.includes('-'))) await apply();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return await sent;
  };
  return { pair, sync, update, pass };
}

function write(pair: TestPair, text: string): void {
  mkdirSync(secrets(pair.a), { recursive: true });
  writeFileSync(join(secrets(pair.a), 'small'), text);
  writeFileSync(join(secrets(pair.a), 'large'), text.repeat(500_000));
}

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'full-disk-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

it("the inbox's disk runs full during a push: one failure with its hint, and the next push passes", async (context) => {
  await using pair = await startPair();
  const home = join(pair.b.paths.inbox, 'sync-files');
  using disk = mountSmall(home, 8);
  if (disk === undefined) context.skip(noRoot);
  const { pass } = openBench(pair);
  write(pair, 'a');
  await pass();
  const before = snapshot(secrets(pair.b));
  write(pair, 'b');
  const free = fill(home);
  const failed: unknown = await pass().catch((error: unknown) => error);
  expect(failed).toMatchObject({ class: 'dependency', message: expect.stringMatching(/disk.* full/) as string });
  expect(snapshot(secrets(pair.b))).toEqual(before);
  free();
  await expect(pass()).resolves.toMatchObject({ kind: 'done' });
  expect(snapshot(secrets(pair.b))).toEqual(snapshot(secrets(pair.a)));
});

it.for([
  ['that the spare keeps its data on, before it takes over a drop', (b: TestMaster) => b.paths.data, 16],
  ['that the files live on, while they are placed', secrets, 4],
  ['of the journal alone', (b: TestMaster) => b.paths.journal, 1],
] as const)(
  'a full disk %s: one failure with its hint, the old files stay, and it is done when there is room',
  async ([, where, size], context) => {
    await using pair = await startPair();
    const { b } = pair;
    using disk = mountSmall(where(b), size);
    if (disk === undefined) context.skip(noRoot);
    const { pass, update } = openBench(pair);
    write(pair, 'a');
    await pass();
    const before = snapshot(secrets(b));
    write(pair, 'b');
    let failures = 0;
    await pass(async () => {
      if (failures > 0) return void (await update.run(pair.context(b)));
      const free = fill(where(b));
      const error: unknown = await update.run(pair.context(b)).catch((thrown: unknown) => thrown);
      expect(toFailure(error)).toMatchObject({
        class: 'dependency',
        what: expect.stringMatching(/^(disk is full|too little space for a drop of sync-files)$/) as string,
        hint: expect.stringContaining('df -h') as string,
      });
      failures += 1;
      const now = snapshot(secrets(b));
      delete now['filler'];
      expect(now).toEqual(before);
      expect(readdirSync(secrets(b)).filter((name) => temporaryPattern.test(name))).toEqual([]);
      free();
      await update.run(pair.context(b));
    });
    expect(failures).toBe(1);
    expect(snapshot(secrets(b))).toEqual(snapshot(secrets(pair.a)));
    expect(existsSync(join(b.paths.journal, 'update-passive-files.jsonl'))).toBe(false);
  },
);

it('an inventory to which others append: what a full disk took of our lines is taken back', async (context) => {
  const directory = temporaryDirectory();
  using disk = mountSmall(directory, 1);
  if (disk === undefined) context.skip(noRoot);
  const path = join(directory, 'inventory.txt');
  writeFileSync(path, 'a line of before\n');
  const free = fill(directory);
  const handle = await open(path, 'a+');
  try {
    const lines = 'a line of ours\n'.repeat(1000);
    await expect(appendWhole(handle, lines)).rejects.toThrow(/ENOSPC/);
    expect(readFileSync(path, 'utf8')).toBe('a line of before\n');
    free();
    await appendWhole(handle, lines);
    expect(readFileSync(path, 'utf8')).toBe(`a line of before\n${lines}`);
  } finally {
    await handle.close();
  }
});

it('is told by the file system that is full, whichever file it was, or whether the error names none', async (context) => {
  const directory = temporaryDirectory();
  using disk = mountSmall(directory, 1);
  if (disk === undefined) context.skip(noRoot);
  fill(directory);
  const path = join(directory, 'any/file');
  const named = [
    Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }),
    Object.assign(new Error(`EROFS: read-only file system, open '${path}'`), { code: 'EROFS', path }),
    Object.assign(new Error('ENOSPC: no space left on device, copyfile'), { code: 'ENOSPC', path: '/etc', dest: path }),
  ].map((error) => namingDisk(toFailure(error), ['/', directory]));
  for (const { class: errorClass, where, hint } of named) {
    expect({ errorClass, where }).toEqual({ errorClass: 'dependency', where: directory });
    expect(hint).toContain(directory);
  }
  const other = new Failure('config', 'something else');
  expect(namingDisk(other, [directory])).toBe(other);
});
