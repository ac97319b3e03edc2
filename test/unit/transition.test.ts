import { describe, expect, it } from 'vitest';
import type { Epoch } from '../../src/rules/epoch.ts';
import { judgeData, nextEpoch, planTransition, type Situation } from '../../src/rules/transition.ts';

const epoch = (number: number, id = '00c0ffee00c0ffee'): Epoch => ({ number, id });
const situation = (extra: Partial<Situation>): Situation => ({
  settled: 'passive',
  fact: { role: 'active' },
  ...extra,
});

describe('a transition', () => {
  it.each([
    ['active', 'active', 'resume'],
    ['passive', 'passive', 'resume'],
    ['passive', 'active', 'promote'],
    ['active', 'passive', 'demote'],
  ] as const)('from settled %s to a fact that says %s is: %s', (settled, role, kind) => {
    expect(planTransition(situation({ settled, fact: { role } })).kind).toBe(kind);
  });

  it('is judged from the last settled role, whatever broken fact lay between', () => {
    const broken = planTransition(situation({ fact: { role: 'suspended', why: 'no mode', hint: 'Write one' } }));
    expect(broken).toEqual({ kind: 'suspend', why: 'no mode', hint: 'Write one' });
    expect(planTransition(situation({})).kind).toBe('promote');
  });

  it('is refused without any state, with what to type', () => {
    expect(planTransition(situation({ settled: undefined }))).toMatchObject({
      kind: 'suspend',
      hint: 'Type: pe-failover install',
    });
  });

  it('takes the highest epoch that anybody knows plus one', () => {
    expect(nextEpoch(epoch(3), epoch(7), 'ab')).toEqual({ number: 8, id: 'ab' });
    expect(nextEpoch(epoch(3), undefined, 'ab')).toEqual({ number: 4, id: 'ab' });
  });
});

describe('the data of a spare that is to be promoted', () => {
  const judge = (ca: Epoch | undefined, files: Epoch | undefined, peer?: Epoch) =>
    judgeData({
      seen: epoch(3),
      peer,
      data: [
        { stream: 'sync-certs', epoch: ca },
        { stream: 'sync-files', epoch: files },
      ],
    });

  it.each([
    ['one stream is of an older epoch', judge(epoch(2), epoch(3)), 'sync-certs here is of epoch 2.'],
    ['nothing ever arrived', judge(undefined, undefined), 'nothing has arrived here yet'],
    ['the peer tells of a higher epoch', judge(epoch(3), epoch(3), epoch(4)), 'the highest epoch known is 4.'],
    ['it is of another epoch of the same number', judge(epoch(3, 'f'.repeat(16)), epoch(3)), 'of epoch 3.ffff'],
  ])('is stale when %s', (_, { stale }, sentence) => expect(stale).toContain(sentence));

  it.each([
    ['the peer is silent', judge(epoch(3), epoch(3)), []],
    ['the peer knows nothing newer', judge(epoch(3), epoch(3), epoch(1)), []],
    ['one stream was never in use, which is named', judge(epoch(3), undefined), ['sync-files']],
  ])('is good when %s', (_, judged, missing) => expect(judged).toEqual({ missing }));
});
