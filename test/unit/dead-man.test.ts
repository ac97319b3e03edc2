import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { verifiedSince, type Reported } from '../../src/rules/dead-man.ts';

const component = (extra: Partial<Reported['components'][number]> = {}): Reported['components'][number] => ({
  ...{ stream: 'sync-certs', state: 'applied', why: '', limitSeconds: 900, ageSeconds: 5 },
  confirmed: '2026-11-21T10:00:00.000Z',
  ...extra,
});
const report = (extra: Partial<Reported> = {}): Reported => ({
  ...{ verdict: { code: 0 }, role: 'active', epoch: '3.00c0ffee00c0ffee', agent: {}, components: [component()] },
  ...extra,
});
const good = verifiedSince(undefined, report());

describe('a dead-man URL', () => {
  it('is pinged where every stream was confirmed within its limit, and again when there is a newer proof', () => {
    expect(good).toBeDefined();
    expect(verifiedSince(good, report())).toBeUndefined();
    const later = report({ components: [component({ confirmed: '2026-11-21T10:01:00.000Z' })] });
    expect(verifiedSince(good, later)).toMatchObject({ newest: '2026-11-21T10:01:00.000Z' });
  });

  it.each([
    ['one stream was confirmed too long ago', { components: [component(), component({ ageSeconds: 901 })] }],
    ['one stream was never confirmed', { components: [component(), component({ ageSeconds: undefined as never })] }],
    ['the spare could not make one live', { components: [component({ state: 'failed' })] }],
    ['the spare refused one', { components: [component({ state: 'refused' })] }],
    ['nothing travels', { components: [] }],
    ['status is critical', { verdict: { code: 2 } }],
    ['this master is suspended', { role: 'suspended' }],
    ['a change of roles goes on', { agent: { changing: 'the fact says passive' } }],
  ] as [string, Partial<Reported>][])('is left in silence where %s', (_, extra) => {
    expect(verifiedSince(undefined, report(extra))).toBeUndefined();
  });

  it.each([
    ['a hold waits for a decision', { verdict: { code: 1 }, components: [component({ state: 'held' })] }],
    ['a loaded database waits for its minute', { components: [component({ state: 'staged' })] }],
  ] as [string, Partial<Reported>][])('is pinged where %s', (_, extra) => {
    expect(verifiedSince(undefined, report(extra))).toBeDefined();
  });

  it('begins anew with a role or an epoch: what was verified in another is no reason for silence', () => {
    expect(verifiedSince(good, report({ role: 'passive' }))).toBeDefined();
    expect(verifiedSince(good, report({ epoch: '4.00c0ffee00c0ffee' }))).toBeDefined();
  });

  it('is never pinged twice for the same proofs, whatever the streams', () => {
    const stream = fc.record({
      ageSeconds: fc.nat(2000),
      at: fc.date({ min: new Date(0), max: new Date(1e12), noInvalidDate: true }),
    });
    fc.assert(
      fc.property(fc.array(stream, { maxLength: 5 }), (streams) => {
        const components = streams.map(({ ageSeconds, at }) => component({ ageSeconds, confirmed: at.toISOString() }));
        const first = verifiedSince(undefined, report({ components }));
        if (first !== undefined) expect(verifiedSince(first, report({ components }))).toBeUndefined();
        expect(first !== undefined).toBe(streams.length > 0 && streams.every(({ ageSeconds }) => ageSeconds <= 900));
      }),
    );
  });
});
