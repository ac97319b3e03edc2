// Compares the node groups of two consoles as their API shows them. Each function says what is amiss.
import { isDeepStrictEqual } from 'node:util';
import type { ApiGroup } from '../stand-in/classifier-model.ts';
import { stockGroups } from '../stand-in/classifier-stock.ts';
import type { Problem } from './compare-ca.ts';
import type { DemoMaster } from './master.ts';

type Side = Pick<DemoMaster, 'letter' | 'certname' | 'console'>;

const stockNames = new Set(stockGroups('any').map(({ name }) => name));
const agentProfile = 'puppet_enterprise::profile::agent';
/** Where agents go: the same on both, whoever is active. */
const agentLists = ['server_list', 'pcp_broker_list', 'primary_uris', 'master_uris'];

/** The groups that people made are the same, but for the names of the two masters, exchanged. */
export async function groupsProblem(from: Side, to: Side): Promise<Problem> {
  const [theirs, ours] = [await from.console.groups(), await to.console.groups()];
  const [wanted, found] = [peoples(theirs), peoples(ours)];
  const names = { [from.certname]: to.certname, [to.certname]: from.certname };
  for (const [id, group] of wanted) {
    const there = found.get(id);
    if (there === undefined) return `${to.letter} has no group ${group.name}`;
    const expected = expectedThere(group, names);
    if (!isDeepStrictEqual(expected, content(there)))
      return `the group ${group.name} is ${JSON.stringify(content(there))} on ${to.letter}, not ${JSON.stringify(expected)}`;
  }
  const extra = [...found.values()].filter(({ id }) => !wanted.has(id));
  return extra.length === 0 ? undefined : `${to.letter} still has ${extra.map(({ name }) => name).join(', ')}`;
}

/**
 * The groups of the platform are the active's in id and place, but the spare's in what makes its services work: its
 * pins and its host parameters, as they were `before` the first import.
 */
export async function infrastructureProblem(from: Side, to: Side, before: readonly ApiGroup[]): Promise<Problem> {
  const [theirs, ours] = [await from.console.groups(), await to.console.groups()];
  for (const own of before.filter(({ name }) => stockNames.has(name))) {
    const [active, now] = [theirs, ours].map((groups) => groups.find(({ name }) => name === own.name));
    if (active === undefined || now === undefined) return `${own.name} is not on both`;
    if (now.id !== active.id || now.parent !== active.parent) return `${own.name} has not the active's id and parent`;
    if (!isDeepStrictEqual(now.rule, own.rule)) return `the rule of ${own.name} is ${JSON.stringify(now.rule)}`;
    if (!isDeepStrictEqual(withoutLists(now), withoutLists(own)))
      return `${own.name} is ${JSON.stringify(withoutLists(now))}, was ${JSON.stringify(withoutLists(own))}`;
    const lists = (group: ApiGroup): unknown[] => agentLists.map((key) => group.classes[agentProfile]?.[key]);
    if (!isDeepStrictEqual(lists(now), lists(active))) return `${own.name} sends agents elsewhere than the active does`;
  }
  return undefined;
}

const peoples = (groups: readonly ApiGroup[]): Map<string, ApiGroup> =>
  new Map(groups.filter(({ name }) => !stockNames.has(name)).map((group) => [group.id, group]));

/** Without what each console counts by itself. */
function content({ last_edited: _edited, serial_number: _serial, deleted: _deleted, ...rest }: ApiGroup): unknown {
  return { ...rest, config_data: rest.config_data ?? {} };
}

function withoutLists({ classes, config_data: data = {} }: ApiGroup): unknown {
  const kept = Object.entries(classes).map(([name, params]) => [
    name,
    name === agentProfile
      ? Object.fromEntries(Object.entries(params).filter(([key]) => !agentLists.includes(key)))
      : params,
  ]);
  return { classes: Object.fromEntries(kept) as unknown, data };
}

/**
 * A group as the other master must have it: names of hosts are exchanged as whole words. A value (a parameter, a
 * variable, the rule, the description) that has both names is about the pair, and left alone.
 */
function expectedThere(group: ApiGroup, names: Names): unknown {
  const each = (values: Record<string, unknown>): Record<string, unknown> =>
    Object.fromEntries(Object.entries(values).map(([key, value]) => [key, exchanged(value, names)]));
  const eachClass = (classes: ApiGroup['classes']): unknown =>
    Object.fromEntries(Object.entries(classes).map(([name, params]) => [name, each(params)]));
  return content({
    ...group,
    classes: eachClass(group.classes) as ApiGroup['classes'],
    config_data: eachClass(group.config_data ?? {}) as ApiGroup['classes'],
    variables: each(group.variables),
    ...(group.rule === undefined ? {} : { rule: exchanged(group.rule, names) as unknown[] }),
    ...(group.description === undefined ? {} : { description: exchanged(group.description, names) as string }),
  });
}

type Names = Readonly<Record<string, string>>;

function exchanged(value: unknown, names: Names): unknown {
  const text = JSON.stringify(value);
  const [only, ...others] = Object.keys(names).filter((name) => wholeWord(name).test(text));
  if (only === undefined || others.length > 0) return value;
  return JSON.parse(text.replaceAll(wholeWord(only), names[only] ?? only)) as unknown;
}

const wholeWord = (name: string): RegExp =>
  new RegExp(`(?<![\\w.-])${name.replaceAll('.', '\\.')}(?![\\w-]|\\.\\w)`, 'gi');
