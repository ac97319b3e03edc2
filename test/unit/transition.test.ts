import { describe, expect, it } from 'vitest';
import type { Epoch } from '../../src/rules/epoch.ts';
import { nextEpoch, planTransition, type Situation } from '../../src/rules/transition.ts';

const epoch = (number: number, id = '00c0ffee00c0ffee'): Epoch => ({ number, id });
const situation = (extra: Partial<Situation>): Situation => ({
  settled: 'passive',
  seen: epoch(3),
  data: epoch(3),
  forceStale: false,
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

  it.each([
    ['the data is of an older epoch', { data: epoch(2) }, undefined],
    ['nothing ever arrived', { data: undefined }, undefined],
    ['the peer tells of a higher epoch', {}, epoch(4)],
    ['the data is of another epoch of the same number', { data: epoch(3, 'ffffffffffffffff') }, undefined],
  ])('does not promote while %s, and names the way out', (_, extra, peer) => {
    const plan = planTransition(situation(extra), peer);
    expect(plan.kind).toBe('suspend');
    expect(plan).toMatchObject({ hint: expect.stringContaining('pe-failover promote --force-stale') as string });
    expect(planTransition(situation({ ...extra, forceStale: true }), peer).kind).toBe('promote');
  });

  it('promotes when the peer is silent, or knows nothing newer', () => {
    expect(planTransition(situation({}), undefined).kind).toBe('promote');
    expect(planTransition(situation({}), epoch(1)).kind).toBe('promote');
  });

  it('takes the highest epoch that anybody knows plus one', () => {
    expect(nextEpoch(epoch(3), epoch(7), 'ab')).toEqual({ number: 8, id: 'ab' });
    expect(nextEpoch(epoch(3), undefined, 'ab')).toEqual({ number: 4, id: 'ab' });
  });
});
