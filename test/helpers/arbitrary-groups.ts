import fc from 'fast-check';
import { rootId, type Group } from '../../src/rules/groups.ts';
import type { Json } from '../../src/rules/json.ts';
import { infrastructureGroups } from '../../src/rules/merge-groups.ts';

export const a = 'mastera.example.com';
export const b = 'masterb.example.com';

/** Text with host names of both masters and of neighbours in it. */
export const hostText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.constantFrom(a, b, 'mastera', 'master', 'mastera.example.com.au', `x.${a}`, `${a}-2`, `x${b}`),
      fc.constantFrom(':8140', '/', 'https://', ',', ' ', '.', '-', '_', '\\.', '^', '$', 'é'),
      fc.string({ maxLength: 4 }),
    ),
    { maxLength: 5 },
  )
  .map((parts) => parts.join(''));

export const json: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    hostText,
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(hostText, tie('value'), { maxKeys: 3 }),
  ),
})).value;

const classNames = [
  'puppet_enterprise',
  'puppet_enterprise::profile::agent',
  'puppet_enterprise::profile::master',
  'role::web',
  'pe_repo',
];
const parameters = ['server_list', 'pcp_broker_list', 'console_host', 'java_args', 'r10k_remote'];
const classes = fc.dictionary(
  fc.constantFrom(...classNames),
  fc.dictionary(fc.constantFrom(...parameters), json, { maxKeys: 3 }),
  { maxKeys: 3 },
);
const pin = hostText.map((name): Json => ['=', 'name', name]);
const rule = fc.oneof(
  fc.array(pin, { minLength: 1, maxLength: 3 }).map((pins): readonly Json[] => ['or', ...pins]),
  hostText.map((text): readonly Json[] => ['and', ['~', ['fact', 'fqdn'], text]]),
);

const ids = Array.from({ length: 14 }, (_, n) => `${n.toString(16).padStart(8, '0')}-1111-4111-8111-111111111111`);
const names = [...infrastructureGroups.slice(0, 6), 'Web', 'Database', 'Custom'];

interface Seed {
  readonly name: string;
  readonly environment: string;
  readonly parent: number;
  readonly classes: Group['classes'];
  readonly rule: readonly Json[] | undefined;
}

const seed: fc.Arbitrary<Seed> = fc.record({
  name: fc.constantFrom(...names),
  environment: fc.constantFrom('production', 'production', 'test'),
  parent: fc.nat(20),
  classes,
  rule: fc.option(rule, { nil: undefined }),
});

/** Valid trees whose ids, names and stock groups overlap with those of the next one drawn. */
export const tree: fc.Arbitrary<readonly Group[]> = fc
  .tuple(
    fc.uniqueArray(seed, { maxLength: 10, selector: ({ name, environment }) => `${name}/${environment}` }),
    fc.shuffledSubarray(ids, { minLength: 10 }),
    fc.constantFrom('.*', '.+'),
  )
  .map(([seeds, drawn, rootRule]) => {
    const root = group({ id: rootId, name: 'All Nodes', rule: ['and', ['~', 'name', rootRule]] });
    const known = [root];
    for (const [n, { rule: ofGroup, parent, ...fields }] of seeds.entries()) {
      const id = drawn[n] ?? '';
      const above = known[parent % known.length]?.id ?? rootId;
      known.push(group({ ...fields, id, parent: above, ...(ofGroup === undefined ? {} : { rule: ofGroup }) }));
    }
    return known;
  });

export const group = (fields: Partial<Group>): Group => ({
  id: ids[0] ?? '',
  name: 'Web',
  parent: rootId,
  environment: 'production',
  environment_trumps: false,
  classes: {},
  variables: {},
  ...fields,
});
