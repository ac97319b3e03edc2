import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { streamsWithNews } from '../../src/drops/stream-state.ts';
import type { Hello } from '../../src/rules/hello.ts';
import type { Receipt } from '../../src/rules/receipt.ts';
import { createState } from '../../src/system/state.ts';
import { digest, epoch, receiptOf, startLyingGate, type LyingGate } from '../helpers/lying-gate.ts';

let gate: LyingGate;
beforeEach(async () => {
  gate = await startLyingGate();
});
afterEach(() => gate[Symbol.dispose]());

const push = () =>
  gate.delivery.deliver(
    { stream: 'sync-certs', digest: digest('b'), kind: 'whole', pack: () => Promise.resolve([]) },
    gate.context,
  );

describe('a genuine receipt in the answer to a push', () => {
  it.each([
    ['another stream', { stream: 'sync-files' }],
    ['another epoch', { epoch: { number: 1, id: '1'.repeat(16) } }],
    ['another drop', { sequence: 7 }],
    ['another content', { digest: digest('a') }],
  ])('of %s is not the word on this drop', async (_, words) => {
    gate.onPush = () => receiptOf(words);
    expect(await push()).toEqual({ kind: 'pushed', sequence: 1, receipt: undefined });
    const known = await gate.known();
    expect([known?.acknowledged, known?.last, known?.confirmedAt]).toEqual([undefined, undefined, undefined]);
  });

  it('is it, where it names stream, epoch, number and content', async () => {
    gate.onPush = () => receiptOf();
    expect(await push()).toMatchObject({ receipt: { state: 'applied' } });
    expect(await gate.known()).toMatchObject({ acknowledged: { n: 3 }, heard: 3 });
  });
});

it('a confirmation brings the last word along, which need not be a good one', async () => {
  await gate.published({ last: receiptOf({ state: 'held' }), acknowledged: receiptOf({ state: 'held' }) });
  expect(await push()).toMatchObject({ kind: 'confirmed', receipt: { state: 'held' } });
});

describe('a gate that is asked for receipts', () => {
  const older = { epoch: { number: 1, id: '1'.repeat(16) } };

  it.each([
    ['repeats what was heard', (): number => 3],
    ['has always something new to tell of others', (): number => 3 + gate.asked],
  ])('and %s is asked once where nothing is waited for', async (_, n) => {
    await gate.published();
    gate.onAsked = () => [receiptOf({ ...older, n: n() })];
    expect(await gate.delivery.catchUp('sync-certs', gate.context.signal)).toEqual([]);
    expect(gate.asked).toBe(1);
  });

  it('and repeats what was heard is not waited for', async () => {
    gate.onAsked = () => [receiptOf({ ...older })];
    expect(await push()).toMatchObject({ kind: 'pushed', receipt: undefined });
    expect(gate.asked).toBe(2); // what it said first was news
  });

  it('tells a word once', async () => {
    await gate.published();
    gate.onAsked = () => [receiptOf({ state: 'staged' })];
    expect(await gate.delivery.catchUp('sync-certs', gate.context.signal)).toHaveLength(1);
    expect(await gate.delivery.catchUp('sync-certs', gate.context.signal)).toEqual([]);
  });

  it('counts anew on a spare that took the place of another', async () => {
    await gate.published({ heard: 50 });
    gate.onAsked = () => [receiptOf({ n: 1 })];
    expect(await gate.delivery.catchUp('sync-certs', gate.context.signal)).toMatchObject([{ n: 1 }]);
    expect(await gate.known()).toMatchObject({ heard: 1, acknowledged: { n: 1 } });
  });
});

describe('a drop that was settled long ago', () => {
  const settled = receiptOf({ n: 3, state: 'applied' });
  const greeted = (n: number, at = '2026-01-02T00:00:00.000Z'): void =>
    void (gate.hello = { at, receipts: { 'sync-certs': n }, accepted: accepted() });
  const accepted = (): Hello['accepted'] => ({ 'sync-certs': { epoch, sequence: 1, digest: digest('b') } });
  const heard = (): Promise<Receipt[]> => gate.delivery.catchUp('sync-certs', gate.context.signal);
  const unheard = (): Promise<string[]> =>
    streamsWithNews(createState(gate.streams), epoch, { format: 1, at: '', pairing: '', accepted: {}, ...gate.hello });
  beforeEach(() => gate.published({ last: settled, acknowledged: settled, heard: 3 }));

  it('is asked about again when the greeting has a later word, and not before', async () => {
    greeted(3);
    gate.onAsked = () => [receiptOf({ n: 4, state: 'failed', why: 'not put back' })];
    expect([await unheard(), await heard(), gate.asked]).toEqual([[], [], 0]);
    greeted(4);
    expect(await unheard()).toEqual(['sync-certs']);
    expect(await heard()).toMatchObject([{ n: 4, state: 'failed' }]);
    expect(await gate.known()).toMatchObject({ acknowledged: { state: 'failed' }, heard: 4 });
    expect([await unheard(), await heard()]).toEqual([[], []]);
  });

  it('is no news when all is still well, with other counts', async () => {
    greeted(4);
    gate.onAsked = () => [receiptOf({ n: 4, state: 'unchanged', madeHere: { certificates: 1 } })];
    expect([await heard(), (await gate.known())?.heard]).toEqual([[], 4]);
  });

  it('keeps its word when a later one is about an older drop', async () => {
    await gate.published({ sequence: 2, last: { ...settled, sequence: 2 }, heard: 3 });
    greeted(4);
    gate.onAsked = () => [receiptOf({ n: 4, sequence: 1, state: 'refused' })];
    await heard();
    expect(await gate.known()).toMatchObject({ last: { sequence: 2, state: 'applied' }, heard: 4 });
  });

  it('has the last word that root signed, in whatever order the gate hands them on', async () => {
    greeted(5);
    gate.onAsked = () => [receiptOf({ n: 5, state: 'failed' }), receiptOf({ n: 4, state: 'unchanged' })];
    await heard();
    expect(await gate.known()).toMatchObject({ last: { n: 5, state: 'failed' }, heard: 5 });
  });

  it.each([
    ['the same number', () => greeted(7)],
    ['an old greeting', () => greeted(2, '2025-12-31T00:00:00.000Z')],
  ])('cannot be made well again by an old word of it, beside %s', async (_, greet) => {
    const failed = receiptOf({ n: 7, state: 'failed', why: 'not put back' });
    await gate.published({ last: failed, acknowledged: failed, heard: 7 });
    greet();
    gate.onAsked = () => [settled];
    expect([await heard(), await gate.known()]).toMatchObject([[], { last: { n: 7, state: 'failed' }, heard: 7 }]);
  });

  it('is to be sent again at once when the greeting of the spare lacks it: its disk is new', async () => {
    gate.hello = { at: '2026-01-02T00:00:00.000Z', receipts: {}, accepted: {} };
    expect(await unheard()).toEqual(['sync-certs']);
  });

  it('counts anew where a greeting says so: the spare was restored from a backup', async () => {
    await gate.published({ last: { ...settled, n: 50 }, acknowledged: { ...settled, n: 50 }, heard: 50 });
    greeted(4);
    gate.onAsked = () => [receiptOf({ n: 4, state: 'failed', why: 'not put back' })];
    expect([await unheard(), await heard()]).toMatchObject([['sync-certs'], [{ n: 4 }]]);
    expect(await gate.known()).toMatchObject({ heard: 4 });
  });
});

describe('a spare that has a drop of this epoch that was never made here', () => {
  const ahead = (sequence: number): void =>
    void (gate.hello = {
      at: '2026-01-02T00:00:00.000Z',
      receipts: { 'sync-certs': 40, 'sync-files': 40 },
      accepted: Object.fromEntries(
        ['sync-certs', 'sync-files'].map((stream) => [stream, { epoch, sequence, digest: digest('c') }]),
      ),
    });
  const catchUp = (stream: string) => gate.delivery.catchUp(stream, gate.context.signal);
  const asks = (): Promise<string[]> =>
    streamsWithNews(createState(gate.streams), epoch, { format: 1, at: '', pairing: '', accepted: {}, ...gate.hello });

  it('is brought the CA behind it, which is said once, and nothing that is lacking here counts as removed', async () => {
    await gate.published({ acknowledged: receiptOf(), last: receiptOf(), heard: 3 });
    ahead(9);
    expect(await asks()).toContain('sync-certs');
    await catchUp('sync-certs');
    await catchUp('sync-certs');
    expect(gate.said).toEqual([expect.stringMatching(/set back.*drop 9.*made here is 1/)]);
    expect(await gate.delivery.unites('sync-certs')).toBe(true);
    gate.onPush = () => receiptOf({ n: 41, sequence: 10 });
    expect(await push()).toMatchObject({ kind: 'pushed', sequence: 10, receipt: { state: 'applied' } });
    expect(await gate.delivery.unites('sync-certs')).toBe(false);
  });

  it('and gets ahead again in the same epoch has another one that pushes: the CA is latched, too', async () => {
    ahead(9);
    await catchUp('sync-certs');
    gate.onPush = () => receiptOf({ n: 41, sequence: 10 });
    await push();
    ahead(12);
    await expect(catchUp('sync-certs')).rejects.toMatchObject({ class: 'latched' });
    expect(await gate.delivery.unites('sync-certs')).toBe(true); // in the next epoch
  });

  it('or has another drop under a number of ours is forked just the same: the CA goes on behind it, once', async () => {
    gate.onPush = () => receiptOf({ state: 'refused', why: 'its sequence is forked or rolled back' });
    await push();
    ahead(1);
    await catchUp('sync-certs');
    await catchUp('sync-certs');
    expect(gate.said).toEqual([
      expect.stringMatching(/has drop 1 of the CA, and the one of that number that was made here is another/),
    ]);
    gate.onPush = () => receiptOf({ n: 41, sequence: 2 });
    expect(await push()).toMatchObject({ kind: 'pushed', sequence: 2, receipt: { state: 'applied' } });
  });

  it('is brought nothing else: one of the two would be lost', async () => {
    ahead(9);
    await expect(catchUp('sync-files')).rejects.toThrow(/forked or rolled back.*drop 9.*none was made here/);
    expect(gate.said).toEqual([]);
  });
});
