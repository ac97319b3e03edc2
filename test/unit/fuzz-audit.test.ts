import fc from 'fast-check';
import { expect, test } from 'vitest';
import { packedAudit, parseAudit } from '../../src/rules/audit.ts';
import { compareMastersWith } from '../../src/rules/compare.ts';
import { comparisonLines } from '../../src/rules/compare-lines.ts';
import { auditOf, databaseOf, digest, now } from '../helpers/audits.ts';
import { fuzz, fuzzMs } from '../helpers/fuzz.ts';
import { mutatedJson } from '../helpers/mutated-json.ts';

const right = [
  auditOf('masterb.test'),
  auditOf('masterb.test', {
    ca: { failed: 'no answer' },
    gems: { off: 'there are none' },
    databases: new Map([
      ['pe-rbac', { found: databaseOf({ staged: { digest: digest('5'), whole: digest('5'), when: 'soon' } }) }],
    ]),
  }),
].map((audit) => packedAudit(audit) as object);
const own = auditOf('mastera.test');
// eslint-disable-next-line no-control-regex
const control = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

test('an audit of a lying peer is refused in words, or compared and shown like any other', { timeout: fuzzMs }, () => {
  fuzz(fc.oneof({ weight: 1, arbitrary: fc.jsonValue() }, { weight: 9, arbitrary: mutatedJson(right) }), {
    parse: parseAudit,
    refusedAs: ['bad-data'],
    accepted: (audit) => {
      expect(parseAudit(JSON.parse(JSON.stringify(packedAudit(audit))))).toEqual(audit);
      for (const [one, other] of [
        [own, audit],
        [audit, own],
      ] as const) {
        const comparison = compareMastersWith(
          { own: one, now },
          { audit: other, clock: { aheadMs: 0, uncertainMs: 1 } },
        );
        expect(comparisonLines(comparison).filter((line) => control.test(line))).toEqual([]);
        expect(JSON.stringify(comparison)).toContain('"code"');
      }
    },
  });
});
