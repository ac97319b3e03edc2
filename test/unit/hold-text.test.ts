import { expect, test } from 'vitest';
import { holdsText, type ShownHold } from '../../src/rules/hold-text.ts';

const hold: ShownHold = {
  id: 'a1b2c3d4e5f6',
  rule: 'groups-vanish',
  stream: 'nc-dump',
  sentence: '12 of 40 node groups would vanish from the spare',
  difference: ['- Web servers, environment production', '- \u001b[2J\u202e evil'],
  raisedAt: '2026-11-01T10:00:30.000Z',
  decision: 'open',
};
const shown = (...holds: ShownHold[]): string =>
  holdsText(holds, new Date('2026-11-01T12:05:30Z'), (id) => `/var/lib/pe_failover/holds/${id}.json`);

test('an open hold says all that an admin decides by', () => {
  expect(shown(hold)).toBe(`1 hold waits for your decision.

a1b2c3d4e5f6  groups-vanish, of nc-dump
  open since 2026-11-01 10:00 UTC, that is for 2 h 5 min

  12 of 40 node groups would vanish from the spare.

    - Web servers, environment production
    - \\x1b[2J\\u202e evil

  Held: the whole import of node groups.
  Live: the node groups that are here, and everything but node groups.

  To let it through:    pe-failover release a1b2c3d4e5f6
    Then the active's node groups are imported; the tree that they replace is
    kept in archive/replaced-groups.

  To keep what is here: pe-failover discard a1b2c3d4e5f6
    Then the node groups here stay, and get no change until the active has these
    groups again.`);
});

test('one that is decided offers what is left to decide, and counts no more', () => {
  const text = shown({ ...hold, decision: 'discarded' }, { ...hold, decision: 'released' });
  expect(text).toMatch(/^0 holds wait for your decision\./);
  expect([text.match(/pe-failover release/g)?.length, text.match(/pe-failover discard/g)?.length]).toEqual([1, 1]);
});

test('a long difference is cut, with the place of the rest; one of another version has what can be said', () => {
  const difference = Array.from({ length: 45 }, (_, n) => `- file ${n}`);
  const text = shown({ ...hold, rule: 'of-tomorrow', difference });
  expect(text).toContain('    ... and 25 more, all of them in /var/lib/pe_failover/holds/a1b2c3d4e5f6.json');
  expect(text).toContain('pe-failover discard a1b2c3d4e5f6');
  expect(text).not.toContain('Held:');
});

test('nothing is said in three words', () => {
  expect(shown()).toBe('Nothing is held.');
});
