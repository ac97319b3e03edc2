import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { createReceiptBook } from '../../src/drops/receipt-book.ts';
import type { Receipt } from '../../src/rules/receipt.ts';
import { appendLine, ensureDirectory, temporaryPattern, writeFileAtomic } from '../../src/system/files.ts';
import {
  createJournal,
  directionAfter,
  recover,
  runOperation,
  type Operation,
  type Step,
} from '../../src/system/journal.ts';
import { createState } from '../../src/system/state.ts';

const base = mkdtempSync(join(tmpdir(), 'durable-test-'));
afterAll(() => rmSync(base, { recursive: true }));
let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(base, 'd-'));
});

describe('a file', () => {
  it('is written whole with its mode, and nothing is left beside it when that fails', async () => {
    const path = join(directory, 'file');
    await writeFileAtomic(path, 'old', { mode: 0o640 });
    expect(statSync(path).mode & 0o777).toBe(0o640);
    await expect(writeFileAtomic(path, 'new', { mode: 0o640, uid: -5 })).rejects.toThrow();
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(directory).filter((name) => temporaryPattern.test(name))).toEqual([]);
  });

  it('a line goes behind whole lines only: what a crash tore is cut off first', async () => {
    const path = join(directory, 'lines');
    await appendLine(path, 'one', 0o600);
    writeFileSync(path, `one\n${'torn'.repeat(3000)}`);
    await appendLine(path, 'two');
    expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n');
    writeFileSync(path, 'torn');
    await appendLine(path, 'three');
    expect(readFileSync(path, 'utf8')).toBe('three\n');
  });

  it('a directory whose place a file has taken is refused with what to type', async () => {
    writeFileSync(join(directory, 'x'), '');
    await expect(ensureDirectory(join(directory, 'x'), { mode: 0o700 })).rejects.toMatchObject({
      class: 'config',
      hint: expect.stringContaining('mv ') as string,
    });
  });
});

describe('a state file', () => {
  it('is read as it was written, and is nothing before', async () => {
    const state = createState(directory);
    await expect(state.read('epoch')).resolves.toBeUndefined();
    await state.write('epoch', { seen: 1 });
    await expect(state.read('epoch')).resolves.toEqual({ format: 1, seen: 1 });
    await state.remove('epoch');
    await state.remove('epoch');
    await expect(state.read('epoch')).resolves.toBeUndefined();
  });

  it.each([
    ['torn', '{"format": 1, "seen"'],
    ['empty', ''],
    ['full of zeros', '\0\0\0\0'],
    ['of another format', '{"format": 2}'],
    ['a list', '[]'],
    ['null', 'null'],
  ])('that is %s stops with its path and the way out', async (_, text) => {
    writeFileSync(join(directory, 'epoch.json'), text);
    await expect(createState(directory).read('epoch')).rejects.toMatchObject({
      class: 'config',
      where: join(directory, 'epoch.json'),
      hint: expect.stringContaining('pe-failover install') as string,
    });
  });
});

describe('a journalled operation', () => {
  const path = (): string => join(directory, 'journal/job.jsonl');
  const done: string[] = [];
  beforeEach(() => (done.length = 0));
  const step = (name: string, extra: Partial<Step> = {}): Step => ({
    name,
    isDone: () => Promise.resolve(false),
    do: async () => void done.push(`do ${name}`),
    undo: async () => void done.push(`undo ${name}`),
    ...extra,
  });
  const operation = (steps: Step[], pointOfNoReturn: string): Operation<object> => ({
    job: 'job',
    run: 'r',
    args: { a: 1 },
    steps,
    pointOfNoReturn,
  });
  const failing = { do: () => Promise.reject(new Error('no')) };

  it('is on disk before its step begins, and gone when it is over', async () => {
    const seen: string[] = [];
    const look = (name: string): Step =>
      step(name, { do: async () => void seen.push(readFileSync(path(), 'utf8').trim().split('\n').at(-1) ?? '') });
    await runOperation(createJournal(path()), operation([look('a'), look('b')], 'a'));
    expect(seen.map((line) => (JSON.parse(line) as { step: string }).step)).toEqual(['a', 'b']);
    expect(existsSync(path())).toBe(false);
  });

  it.each([
    ['a', ['do a'], 'finish', ['do b', 'do c'], ['finished']],
    ['c', ['do a', 'undo b', 'undo a'], 'undo', [], ['nothing']],
  ])('that fails at b, with no return from %s', async (turn, first, direction, later, how) => {
    const steps = [step('a'), step('b', failing), step('c')];
    const journal = createJournal(path());
    await expect(runOperation(journal, operation(steps, turn))).rejects.toThrow('no');
    expect(done).toEqual(first);
    expect(directionAfter(operation(steps, turn), 1)).toBe(direction);
    done.length = 0;
    await expect(
      recover(journal, () => Promise.resolve(operation([step('a'), step('b'), step('c')], turn))),
    ).resolves.toBe(how[0]);
    expect(done).toEqual(later);
  });

  it('is made again from what the journal says, and a step that the world shows as done is not repeated', async () => {
    const journal = createJournal(path());
    await journal.record({ run: 'r', job: 'job', step: 'b', n: 1, of: 3, args: { a: 1 }, at: '' });
    const steps = [step('a'), step('b', { isDone: () => Promise.resolve(true) }), step('c')];
    await recover(journal, (args: object) => {
      expect(args).toEqual({ a: 1 });
      return Promise.resolve(operation(steps, 'a'));
    });
    expect(done).toEqual(['do c']);
    await expect(recover(journal, () => Promise.reject(new Error('not asked')))).resolves.toBe('nothing');
  });

  it('with a torn last line goes on from the whole one before, twice in a row', async () => {
    const journal = createJournal(path());
    const line = { run: 'r', job: 'job', step: 'a', n: 0, of: 2, args: {}, at: '' };
    await journal.record(line);
    writeFileSync(path(), `${readFileSync(path(), 'utf8')}{"run": "r", "st`);
    await expect(journal.open()).resolves.toEqual(line);
    await journal.record({ ...line, step: 'b', n: 1 });
    await expect(journal.open()).resolves.toEqual({ ...line, step: 'b', n: 1 });
  });

  it('whose journal is no JSON stops with its path', async () => {
    await createJournal(path()).record({ run: '', job: '', step: '', n: 0, of: 0, args: {}, at: '' });
    writeFileSync(path(), 'nonsense\n');
    await expect(createJournal(path()).open()).rejects.toMatchObject({ class: 'config', where: path() });
  });

  it('whose point of no return is no step is our bug', () => {
    expect(() => directionAfter(operation([step('a')], 'z'), 0)).toThrow(expect.objectContaining({ class: 'bug' }));
  });
});

it.each([
  ['refused drops', { state: 'refused' }],
  ['reports of a drop that waits', { state: 'held', waits: true }],
] as const)('a flood of %s does not push out of the receipts what was settled', async (_, flood) => {
  rmSync(join(directory, 'sync-files.jsonl'), { force: true });
  const signer = { publicKey: '', sign: () => 'signed' };
  const book = createReceiptBook(directory, signer, 'b.test', { mode: 0o640 }, () => new Date(0));
  const word = (sequence: number, state: Receipt['state']) => ({
    ...{
      stream: 'sync-files',
      epoch: { number: 1, id: '0'.repeat(16) },
      sequence,
      digest: `sha256:${'0'.repeat(64)}`,
      state,
      why: '',
    },
  });
  await book.write(word(7, 'applied'));
  for (let n = 0; n < 900; n += 1) await book.write({ ...word(1000 + n, 'held'), ...flood });
  const all = await book.all('sync-files');
  expect(all.find(({ state }) => state === 'applied')?.sequence).toBe(7);
  expect(all.length).toBeLessThan(500);
  expect(all.map(({ n }) => n)).toEqual(all.map(({ n }) => n).sort((a, b) => a - b));
  expect(all.at(-1)?.n).toBe(901);
});
