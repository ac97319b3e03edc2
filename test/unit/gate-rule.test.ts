import { describe, expect, it } from 'vitest';
import { isGate, judgeEntry, type Gate } from '../../src/rules/gate.ts';
import { arrived, isFinal, judgeSequence, receiptStates, type DropReference } from '../../src/rules/receipt.ts';

const own = { number: 5, id: 'a'.repeat(16) };
const callers = {
  same: own,
  higher: { number: 6, id: 'b'.repeat(16) },
  lower: { number: 4, id: 'b'.repeat(16) },
  conflict: { number: 5, id: 'b'.repeat(16) },
};
const gate: Gate = {
  ...{ format: 1, role: 'passive', certname: 'b.test', epoch: own, peer: 'a.test', since: '', fact: 'as judged' },
};

describe('who may enter', () => {
  const rows = (['active', 'passive', 'suspended'] as const).flatMap((role) =>
    (Object.keys(callers) as (keyof typeof callers)[]).flatMap((order) =>
      [undefined, 'promoting'].flatMap((closed) =>
        ['as judged', 'edited', undefined].map((fact) => ({ role, order, closed, fact })),
      ),
    ),
  );

  it.each(rows)('$role, caller $order, closed: $closed, fact $fact', ({ role, order, closed, fact }) => {
    const entry = judgeEntry({ ...gate, role, ...(closed === undefined ? {} : { closed }) }, fact, {
      peer: 'a.test',
      epoch: callers[order],
    });
    const latches = order === 'lower' || order === 'conflict';
    const open = !latches && role === 'passive' && closed === undefined && fact === 'as judged';
    expect(entry.open).toBe(open);
    if (!entry.open) expect(entry.class).toBe(latches ? 'latched' : 'refused');
    if (!entry.open && latches) {
      expect(entry.why).toContain(`5.${own.id}`);
      expect(entry.why).toContain(`${callers[order].number}.${callers[order].id}`);
    }
  });

  it('nobody, where no role was ever settled', () => {
    expect(judgeEntry(undefined, 'as judged', { peer: 'a.test', epoch: own })).toMatchObject({
      open: false,
      class: 'refused',
      why: expect.stringContaining('pe-failover install') as string,
    });
  });

  it('the one peer alone, and the refusal names both', () => {
    expect(judgeEntry(gate, 'as judged', { peer: 'c.test', epoch: own })).toEqual({
      open: false,
      class: 'refused',
      why: 'b.test takes drops from a.test, not from c.test',
    });
    const { peer: _, ...anybody } = gate;
    expect(judgeEntry(anybody, 'as judged', { peer: 'c.test', epoch: own }).open).toBe(true);
  });

  it.each([
    ['nothing', undefined],
    ['another format', { ...gate, format: 2 }],
    ['an unknown role', { ...gate, role: 'both' }],
    ['no epoch', { ...gate, epoch: undefined }],
    ['no fact', { ...gate, fact: undefined }],
    ['a closed that is no text', { ...gate, closed: true }],
    ['a peer that is no text', { ...gate, peer: ['a.test'] }],
    ['a key that is no text', { ...gate, peerKey: 7 }],
    ['a quota that is no number', { ...gate, quota: { size: '50GB', files: 1, free: 1 } }],
  ])('a gate file is unreadable with %s', (_, value) => expect(isGate(value)).toBe(false));
});

describe('how a drop stands to the last settled one', () => {
  const drop = (number: number, sequence: number, digest = 'x', id = 'a'): DropReference => ({
    ...{ stream: 'sync-files', epoch: { number, id: id.repeat(16) }, sequence, digest },
  });
  const last = drop(5, 10);
  it.each([
    ['the first ever', drop(1, 1), undefined, 'new'],
    ['the next', drop(5, 11), last, 'new'],
    ['one with a gap', drop(5, 99), last, 'new'],
    ['the first of a higher epoch', drop(6, 1), last, 'new'],
    ['the same again', drop(5, 10), last, 'repeated'],
    ['the same number, other content', drop(5, 10, 'y'), last, 'forked or rolled back'],
    ['a lower number', drop(5, 9), last, 'settled before'],
    ['a lower number, other content', drop(5, 9, 'y'), last, 'settled before'],
    ['a lower epoch', drop(4, 11), last, 'older epoch'],
    ['the same epoch number, other id', drop(5, 11, 'x', 'b'), last, 'older epoch'],
  ])('%s', (_, one, before, verdict) => expect(judgeSequence(one, before)).toBe(verdict));

  it('a receipt says by its state whether the drop arrived, and whether more is to come', () => {
    expect(receiptStates.filter(arrived)).toEqual(['staged', 'applied', 'unchanged', 'held', 'failed']);
    expect(receiptStates.filter((state) => !isFinal(state))).toEqual(['staged', 'held', 'failed']);
  });
});
