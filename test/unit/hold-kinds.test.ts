import { expect, test } from 'vitest';
import { brakeCa, type CaChange } from '../../src/rules/brakes-ca.ts';
import { classifierBrakes, type Trees } from '../../src/rules/brakes-classifier.ts';
import { databaseBrakes } from '../../src/rules/brakes-database.ts';
import { filesBrake } from '../../src/rules/brakes-files.ts';
import { rootId } from '../../src/rules/groups.ts';
import { holdsText } from '../../src/rules/hold-text.ts';
import { holdWords, type HoldRule } from '../../src/rules/hold-words.ts';
import { group } from '../helpers/arbitrary-groups.ts';

interface Raised {
  readonly rule: string;
  readonly sentence: string;
  readonly difference: readonly string[];
}

const none = { vanishing: [], old: [], waiting: [], expected: 0, before: 0, replaced: 0 };
const paths = Array.from({ length: 30 }, (_, n) => `signed/agent-${n}.site.example.com.pem`);
const ca = (change: Partial<CaChange>): readonly Raised[] =>
  brakeCa({ changedCa: [], crls: [], certificatesBefore: 40, certificatesAfter: 10, vanish: none, ...change });
const crl = (lists: Partial<CaChange['crls'][number]>): readonly Raised[] =>
  ca({ crls: [{ lost: [], waiting: [], madeHere: [], issuerName: 'Puppet CA: lab', ...lists } as never] });
const gone = { ...none, vanishing: paths, old: paths };
const root = group({ id: rootId, name: 'All Nodes', rule: ['and', ['~', 'name', '.*']] });
const tree = [
  root,
  ...paths.map((path, n) => group({ id: `${String(n).padStart(8, '0')}-0000-4000-8000-000000000000`, name: path })),
];
const groups = (trees: Partial<Trees>): readonly Raised[] =>
  classifierBrakes({ incoming: tree, wanted: tree, live: tree, ...trees });
const files = (removed: number): readonly Raised[] => {
  const brake = filesBrake({ before: 30, removed, added: 0 });
  return brake === undefined ? [] : [{ ...brake, difference: paths.slice(0, removed).map((path) => `- /${path}`) }];
};
const sha = 'f'.repeat(64);

/** How each hold comes about. A rule that has no place here does not compile. */
const kinds: Readonly<Record<HoldRule, () => readonly Raised[]>> = {
  'ca-changed': () => ca({ changedCa: [{ path: 'ca_crt.pem', from: `Puppet CA: lab, sha256 ${sha}`, to: 'other' }] }),
  'crl-lost': () => crl({ lost: [3n, 4n] }),
  'crl-unmerged': () => crl({ waiting: [3n], madeHere: [4n] }),
  'ca-source-empty': () => ca({ vanish: gone, certificatesBefore: 30, certificatesAfter: 0 }),
  'certificates-vanish': () => ca({ vanish: gone }),
  'source-empty': () => groups({ incoming: [root], wanted: [root] }),
  'groups-vanish': () => groups({ wanted: tree.slice(0, 10) }),
  'root-rule-changed': () => groups({ incoming: [{ ...root, rule: ['=', 'name', 'x'] }, ...tree.slice(1)] }),
  'rows-vanish': () =>
    databaseBrakes('pe-rbac', { live: { rows: { 'public.roles': 20 } }, staged: { rows: { 'public.roles': 2 } } }),
  'administrators-vanish': () =>
    databaseBrakes('pe-rbac', { live: { rows: {}, administrators: 2 }, staged: { rows: {}, administrators: 0 } }),
  'files-vanish': () => files(20),
  'files-source-empty': () => files(30),
  'database-failed': () => [
    { rule: 'database-failed', sentence: 'services were not healthy', difference: [`content sha256:${sha}`] },
  ],
};

test.each(Object.keys(holdWords) as HoldRule[])(
  'of %s is told what is held, why, what goes on all the same and what to type, in 80 columns',
  (rule) => {
    const found = kinds[rule]().find((one) => one.rule === rule);
    if (found === undefined) throw new Error(`nothing is held by ${rule}`);
    const hold = {
      ...found,
      id: 'a1b2c3d4e5f6',
      stream: 'x',
      raisedAt: '2026-11-01T10:00:00Z',
      decision: 'open',
    } as const;
    const text = holdsText([hold], new Date('2026-11-01T12:00:00Z'), (id) => `/holds/${id}.json`);
    const oneLine = text.replaceAll(/\s+/g, ' ');
    const { held, live, release, discard } = holdWords[rule];
    expect(found.difference.length).toBeGreaterThan(0);
    for (const what of [found.sentence, ...found.difference.slice(0, 20), held, live, release, discard])
      expect([what.length > 10, oneLine]).toEqual([true, expect.stringContaining(what)]);
    expect(text).toMatch(/^ {2}To let it through: +pe-failover release a1b2c3d4e5f6$/m);
    expect(text).toMatch(/^ {2}To keep what is here: +pe-failover discard a1b2c3d4e5f6$/m);
    const tooLong = text.split('\n').filter((line) => line.length > 80 && line.trim().includes(' '));
    expect(tooLong.filter((line) => !/^ +(- )?\S+$/.test(line))).toEqual([]);
  },
);
