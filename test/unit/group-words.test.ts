import { describe, expect, it } from 'vitest';
import { groupChanges, groupLines, groupSummary } from '../../src/rules/group-words.ts';
import { rootId, type Group } from '../../src/rules/groups.ts';
import { ruleWords } from '../../src/rules/rule-words.ts';
import { shownValue } from '../../src/rules/shown-value.ts';

const id = (n: number): string => `aaaaaaaa-0000-4000-8000-00000000000${n}`;
const group = (n: number, name: string, fields: Partial<Group> = {}): Group => ({
  ...{ id: id(n), name, parent: rootId, environment: 'production', environment_trumps: false, classes: {} },
  ...{ variables: {} },
  ...fields,
});
const root: Group = { ...group(0, 'All Nodes'), id: rootId };
const nginx = (port: number): Partial<Group> => ({ classes: { 'profile::nginx': { port } } });
const said = (before: readonly Group[], after: readonly Group[]): string[] =>
  groupLines(groupChanges([root, ...before], [root, ...after]));
const web = (fields: Partial<Group> = {}): Group[] => [group(1, 'Web', fields)];

const rows: readonly (readonly [string, Partial<Group>, Partial<Group>, readonly string[]])[] = [
  ['another parameter', nginx(80), nginx(8080), ['profile::nginx port 80 -> 8080']],
  ['a new class', {}, nginx(80), ['class profile::nginx added (port 80)']],
  ['a class that went', { classes: { ntp: {} } }, {}, ['class ntp removed']],
  [
    'a parameter that is set and one that is not any more',
    { classes: { ntp: { old: 'a' } } },
    { classes: { ntp: { servers: ['a', 'b'] } } },
    ['ntp old "a" -> unset', 'ntp servers unset -> ["a","b"]'],
  ],
  ['a variable', { variables: { tier: 'a' } }, { variables: { tier: 'b' } }, ['variable tier "a" -> "b"']],
  [
    'configuration data',
    { config_data: { ntp: { panic: 0 } } },
    { config_data: { ntp: { panic: 1 } } },
    ['data of ntp panic 0 -> 1'],
  ],
  [
    'nodes that are pinned or no longer',
    { rule: ['or', ['=', 'name', 'a.example.com']] },
    { rule: ['or', ['=', 'name', 'b.example.com']] },
    ['pinned: b.example.com', 'no longer pinned: a.example.com'],
  ],
  [
    'another rule',
    { rule: ['=', ['fact', 'os', 'family'], 'Debian'] },
    { rule: ['and', ['=', ['fact', 'os', 'family'], 'Debian'], ['not', ['~', 'name', '^db']]] },
    ['rule os.family = "Debian" -> os.family = "Debian" and not (name ~ "^db")'],
  ],
  ['a rule that went', { rule: ['=', ['trusted', 'certname'], 'a'] }, {}, ['rule trusted.certname = "a" -> no rule']],
  ['another environment', {}, { environment: 'test' }, ['environment production -> test']],
  ['an environment group', {}, { environment_trumps: true }, ['is an environment group']],
  ['another name', {}, { name: 'Front' }, ['renamed from Web']],
  ['a description', { description: 'old' }, { description: 'new' }, ['description "old" -> "new"']],
  ['a field of a later PE', {}, { shape: 'round' }, ['shape unset -> "round"']],
  [
    'a secret',
    { classes: { db: { admin_password: 'x' } } },
    { classes: { db: { admin_password: 'y' } } },
    ['db admin_password changed (not shown)'],
  ],
  ['what the server makes up', {}, { serial_number: 7, last_edited: 'now' }, []],
];

describe('a change of node groups', () => {
  it.each(rows)('says in words: %s', (_what, before, after, lines) => {
    const name = after.name ?? 'Web';
    expect(said(web(before), web(after))).toEqual(lines.map((line) => `group ${name}: ${line}`));
  });

  it('names a group that moved by its parents', () => {
    expect(said([group(1, 'Web'), group(2, 'Prod')], [group(1, 'Web', { parent: id(2) }), group(2, 'Prod')])).toEqual([
      'group Web: parent All Nodes -> Prod',
    ]);
  });

  it('names what comes or goes with a group above it there alone', () => {
    const tree = [group(1, 'Top'), group(2, 'Mid', { parent: id(1) }), group(3, 'Leaf', { parent: id(2) })];
    expect(said([], tree)).toEqual([
      'group Top: added below All Nodes, environment production, with 2 groups below it: Mid, Leaf',
    ]);
    expect(said(tree, [])).toEqual(['group Top: removed from below All Nodes, with 2 groups below it: Mid, Leaf']);
  });

  it('takes a tree that was made anew under other ids for the same', () => {
    const tree = [group(1, 'Top'), group(2, 'Mid', { parent: id(1) })];
    expect(said(tree, [group(3, 'Top'), group(4, 'Mid', { parent: id(3) })])).toEqual([]);
  });

  it('is summed up with the names of the groups', () => {
    const before = [root, group(1, 'Web', nginx(80)), group(2, 'Old')];
    const after = [root, group(1, 'Web', nginx(81)), group(3, 'New')];
    expect(groupSummary(groupChanges(before, after))).toBe('1 group changed: Web; 1 added: New; 1 removed: Old');
    expect(groupSummary([])).toBe('the same groups');
  });
});

describe('a shown value', () => {
  it.each([
    ['password', 'hunter2'],
    ['api_token', 'hunter2'],
    ['ssh_key', 'hunter2'],
    ['content', '-----BEGIN PRIVATE KEY-----\nhunter2'],
    ['content', 'ENC[PKCS7,hunter2]'],
    ['url', 'https://admin:hunter2@host/'],
    ['options', 'user=a password=hunter2'],
  ])('keeps the secret of %s: %s', (name, value) => {
    expect(shownValue(name, value)).not.toContain('hunter2');
    expect(shownValue('any', { inner: [{ [name]: value }] })).not.toContain('hunter2');
  });

  it('is shortened to one line', () => {
    expect(shownValue('text', `${'x'.repeat(500)}\n`)).toHaveLength(60);
    expect(shownValue('text', 'a\nb')).toBe('"a\\nb"');
  });

  it('of a rule is masked, too', () => {
    expect(ruleWords(['=', ['fact', 'join_token'], 'hunter2'])).toBe('join_token = ***');
  });
});
