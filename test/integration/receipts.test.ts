import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digest, receiptOf, startLyingGate, type LyingGate } from '../helpers/lying-gate.ts';

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
