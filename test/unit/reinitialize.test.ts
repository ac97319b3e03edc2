import { describe, expect, it } from 'vitest';
import type { FetchAnewBook, ForgottenWords } from '../../src/drops/fetch-anew.ts';
import { Failure } from '../../src/errors.ts';
import { carryOut, type CarryOutOptions } from '../../src/procedures/carry-out.ts';
import { reinitialize, type ReinitializeParts } from '../../src/procedures/reinitialize.ts';
import { bad, good } from '../../src/rules/findings.ts';
import { countingWords, streamsToFetch } from '../../src/rules/fetch-anew.ts';
import type { Receipt, ReceiptState } from '../../src/rules/receipt.ts';
import { systemClock } from '../../src/system/clock.ts';
import type { Journal } from '../../src/system/journal.ts';
import type { JournalLine } from '../../src/rules/journal-line.ts';
import type { Task, Terminal } from '../../src/system/terminal.ts';

const word = (n: number, state: ReceiptState = 'applied', stream = 'nc-dump'): Receipt => ({
  ...{ format: 1, n, stream, epoch: { number: 1, id: '0123456789abcdef' }, sequence: n },
  ...{
    digest: `sha256:${'0'.repeat(64)}`,
    state,
    why: 'said so',
    at: '2026-11-26T12:00:00.000Z',
    spare: 'masterb.lab',
  },
});

/** A spare in memory, whose active sends when it is asked. */
function createWorld(answer: ReceiptState | 'nothing' = 'applied', more: Partial<ReinitializeParts> = {}) {
  const words: Receipt[] = [word(1), word(2)];
  const said: string[] = [];
  let marks: ForgottenWords = {};
  let open: JournalLine | undefined;
  const book: FetchAnewBook = {
    read: () => Promise.resolve(marks),
    add: (added) => Promise.resolve(void (marks = { ...marks, ...added })),
    remove: (streams) =>
      Promise.resolve(
        void (marks = Object.fromEntries(Object.entries(marks).filter(([stream]) => !streams.includes(stream)))),
      ),
  };
  const journal: Journal = {
    open: () => Promise.resolve(open),
    record: (line) => Promise.resolve(void (open = line)),
    close: () => Promise.resolve(void (open = undefined)),
  };
  const parts: ReinitializeParts = {
    ...{
      certname: 'masterb.lab',
      active: 'mastera.lab',
      streams: ['nc-dump'],
      prepareOnly: false,
      waitMs: 0,
      goesOn: false,
    },
    ...{ book, words: () => Promise.resolve(words), introduce: () => Promise.resolve() },
    ...{ discardDamaged: () => Promise.resolve(0), liftRefusal: () => Promise.resolve() },
    lookAtActive: () => Promise.resolve([good('it answers')]),
    lookHere: () => Promise.resolve([good('it is the spare')]),
    askActive: () => {
      // It sends what the greeting lacks.
      if (answer !== 'nothing' && marks['nc-dump'] !== undefined) words.push(word(words.length + 1, answer));
      return Promise.resolve();
    },
    clock: systemClock,
    ...more,
  };
  const say = (line: string): void => void said.push(line);
  const terminal: Terminal = {
    ...{ isInteractive: false, say, confirm: () => Promise.resolve(true) },
    follow: async (tasks: readonly Task[]) => {
      for (const { run } of tasks) await run(say);
    },
  };
  const carry = (options: Partial<CarryOutOptions> = {}): Promise<number> =>
    carryOut(
      reinitialize(parts),
      { listSteps: false, dryRun: false, yes: true, undo: false, passing: [], ...options },
      { journal, terminal, clock: systemClock, operator: 'alice', log: { success: say, warning: say, failure: say } },
      new AbortController().signal,
    );
  return { parts, words, said, journal, carry, marks: () => marks };
}

describe('reinitialize', () => {
  it('ends when all came and is well, and leaves no mark', async () => {
    const { carry, words, marks } = createWorld();
    expect([await carry(), words.length, marks()]).toEqual([0, 3, {}]);
  });

  it.each(['held', 'failed'] as const)('exits with 79 where what came is %s', async (state) => {
    const { carry, marks } = createWorld(state);
    expect([await carry(), marks()]).toEqual([79, {}]);
  });

  it('exits with 79 where it does not come in time, and what is missing stays asked for', async () => {
    const { carry, marks } = createWorld('nothing');
    expect([await carry(), marks()]).toEqual([79, { 'nc-dump': 2 }]);
  });

  it('fetches anew whatever an earlier one has left', async () => {
    const { carry, parts, words, marks } = createWorld();
    await parts.book.add({ 'nc-dump': 1 }); // of one that did not wait: it came meanwhile
    expect([await carry(), words.length, marks()]).toEqual([0, 3, {}]);
  });

  it('says of a loaded database how it goes live', async () => {
    const { carry, said } = createWorld('staged');
    expect([await carry(), said.join('\n')]).toEqual([0, expect.stringContaining('pe-failover apply --now')]);
  });

  it('is refused, and changes nothing, where the active cannot be asked; to prepare it is not asked', async () => {
    const lookAtActive = () => Promise.resolve([bad('it is dead', 'type it with --prepare')]);
    const { carry, marks } = createWorld('applied', { lookAtActive });
    await expect(carry()).rejects.toMatchObject({ class: 'refused' });
    expect(marks()).toEqual({});
    const prepared = createWorld('applied', { lookAtActive, prepareOnly: true });
    expect([await prepared.carry(), prepared.marks()]).toEqual([0, { 'nc-dump': 2 }]);
  });

  it.each([0, 1, 2, 3])('killed in step %i fetches once when it is typed again', async (n) => {
    const { carry, parts, journal, words, marks } = createWorld('applied', { goesOn: true });
    const { steps } = reinitialize(parts);
    for (const step of steps.slice(0, n))
      await step.do({ tell: () => undefined, signal: new AbortController().signal });
    const { name = '' } = steps[n] ?? {};
    const at = '2026-11-26T12:00:00.000Z';
    await journal.record({ run: 'reinitialize', job: 'reinitialize', step: name, n, of: 4, args: {}, at });
    expect([await carry(), words.length, marks(), await journal.open()]).toEqual([0, 3, {}, undefined]);
  });

  it('whose active fails meanwhile is undone: the spare says again what it has', async () => {
    const askActive = () => Promise.reject(new Failure('unreachable', 'gone'));
    const { carry, marks, journal } = createWorld('applied', { askActive });
    await expect(carry()).rejects.toThrow('gone');
    expect([marks(), await journal.open()]).toEqual([{}, undefined]);
  });
});

it('what is forgotten does not count, and what came since does', () => {
  const words = [word(1), word(2), word(3, 'held')];
  expect(countingWords(words, undefined)).toEqual(words);
  expect(countingWords(words, 2).map(({ n }) => n)).toEqual([3]);
});

it('fetched is what was named, in the order of the pair, or all', () => {
  const known = ['sync-certs', 'db-dump.a', 'db-dump.b'];
  expect(streamsToFetch([], known)).toEqual(known);
  expect(streamsToFetch(['db-dump.b', 'sync-certs'], known)).toEqual(['sync-certs', 'db-dump.b']);
  expect(() => streamsToFetch(['db-dump.c'], known)).toThrow('nothing of that name is fetched here');
});
