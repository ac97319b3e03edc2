import { describe, expect, test } from 'vitest';
import { caRenewal, renewalSentence, type CaCertificateFacts } from '../../src/rules/ca-renewal.ts';

const now = new Date('2030-06-01T00:00:00Z');
const issuing: CaCertificateFacts = {
  ...{
    name: 'Puppet CA: lab',
    fingerprint: 'aa',
    subject: 'ca',
    issuer: 'root',
    key: 'k1',
    isCa: true,
    isSigned: true,
  },
  ...{ notBefore: new Date('2026-01-01T00:00:00Z'), notAfter: new Date('2031-01-01T00:00:00Z') },
};
const root: CaCertificateFacts = { ...issuing, name: 'Root', fingerprint: 'rr', subject: 'root', key: 'k2' };
const renewed: CaCertificateFacts = {
  ...issuing,
  ...{ fingerprint: 'bb', notBefore: new Date('2030-05-31T00:00:00Z'), notAfter: new Date('2045-01-01T00:00:00Z') },
};

describe('a CA certificate with the same key', () => {
  test('and a longer life is a renewal, in a chain and alone, in whatever order; both are named', () => {
    for (const after of [
      [renewed, root],
      [root, renewed],
    ]) {
      const found = caRenewal([issuing, root], after, now) ?? [];
      expect(found).toMatchObject([{ name: 'Puppet CA: lab', from: { fingerprint: 'aa' }, to: { fingerprint: 'bb' } }]);
      expect(renewalSentence(found)).toContain('Puppet CA: lab: aa (until 2031-01-01) -> bb (until 2045-01-01)');
    }
    expect(caRenewal([issuing], [renewed], now)).toHaveLength(1);
    expect(caRenewal([issuing, root], [issuing, root], now)).toEqual([]);
  });

  test.each<[string, CaCertificateFacts[]]>([
    ['another key', [{ ...renewed, key: 'other' }, root]],
    ['another name', [{ ...renewed, subject: 'other' }, root]],
    ['another issuer', [{ ...renewed, issuer: 'ca' }, root]],
    ['a shorter life', [{ ...renewed, notAfter: new Date('2030-12-31T00:00:00Z') }, root]],
    ['a life that is over', [{ ...renewed, notAfter: new Date('2030-05-31T12:00:00Z') }, root]],
    ['a life that has not begun', [{ ...renewed, notBefore: new Date('2030-06-02T00:00:00Z') }, root]],
    ['a signature of nobody in the chain', [{ ...renewed, isSigned: false }, root]],
    ['no right to sign', [{ ...renewed, isCa: false }, root]],
    ['its root left out', [renewed]],
    ['another root', [renewed, { ...root, key: 'other' }]],
    ['one more authority', [renewed, root, { ...root, subject: 'third' }]],
    ['nothing that can be read', []],
  ])('and %s is no renewal', (_title, after) => {
    expect(caRenewal([issuing, root], after, now)).toBeUndefined();
  });
});
