import type { GroupEdit } from './group-edits.ts';
import { rootId, type Group } from './groups.ts';
import { agentLists, agentProfile } from './host-map.ts';
import { isJsonObject, sameJson, type Json } from './json.ts';

// Where agents are told to go: lists of HOST or HOST:PORT in PE's class for agents.

export const topologies = ['mono', 'mono-with-compile'] as const;
export type Topology = (typeof topologies)[number];

export interface EnableOrder {
  /** Certnames. */
  readonly own: string;
  readonly spare: string;
  readonly topology: Topology;
  /** Leaves all but the infrastructure's own nodes alone. */
  readonly skipAgentConfig: boolean;
  /** Of PE, such as "2019.8.1"; decides how a list is called. */
  readonly build: string;
}

export interface ListsPlan {
  readonly edits: readonly GroupEdit[];
  /** Sentences on lists that stay as they are, and why. */
  readonly left: readonly string[];
}

export const agentGroup = 'PE Agent';
export const infrastructureGroup = 'PE Infrastructure Agent';

/**
 * Puts the spare right behind this master in each list that names it. A list that is unset in the two stock groups is made; with
 * compilers, agents go to these, so then that of the infrastructure's own nodes alone. A list that names others (the load balancer
 * of a place, say) is left.
 */
export function planEnable(groups: readonly Group[], order: EnableOrder): ListsPlan {
  const edits: GroupEdit[] = [];
  const left: string[] = [];
  for (const group of groups) {
    if (order.skipAgentConfig && group.name !== infrastructureGroup) continue;
    const isMade = group.name === infrastructureGroup || (group.name === agentGroup && order.topology === 'mono');
    const names = new Set([...setLists(group), ...(isMade ? listNames(order.build, setLists(group)) : [])]);
    for (const parameter of names) {
      const slot = slotOf(group, parameter);
      const after = withSpare(slot.before, order, parameter);
      if (after === undefined) left.push(`${group.name}: ${parameter} does not name this master, and stays as it is`);
      else if (!sameJson(slot.before, after)) edits.push({ ...slot, after });
    }
  }
  return { edits, left };
}

/** Everything out that names a host: entries of lists, and pins. */
export function planRemoval(groups: readonly Group[], host: string): GroupEdit[] {
  return groups.flatMap((group) => [
    ...setLists(group).flatMap((parameter) => withoutHostIn(slotOf(group, parameter), host)),
    ...(group.id === rootId ? [] : withoutPin(group, host)),
  ]);
}

/**
 * What `enable` wrote is as it was before it. A list that somebody edited since loses the host alone. Without a word of what it
 * wrote, each list that names the host beside this master does.
 */
export function planDisable(
  groups: readonly Group[],
  { own, spare }: Pick<EnableOrder, 'own' | 'spare'>,
  written: readonly GroupEdit[] | undefined,
): ListsPlan {
  if (written === undefined) {
    const edits = groups.flatMap((group) =>
      setLists(group).flatMap((parameter) => {
        const slot = slotOf(group, parameter);
        return entriesOf(slot.before)?.some(names(own)) === true ? withoutHostIn(slot, spare) : [];
      }),
    );
    return { edits, left: [] };
  }
  const edits = written.flatMap((edit): GroupEdit[] => {
    const group = groups.find(({ id }) => id === edit.id);
    if (group === undefined) return []; // it is gone, with its list
    const slot = slotOf(group, edit.parameter ?? '');
    if (slot.place !== edit.place || !sameJson(slot.before, edit.after)) return withoutHostIn(slot, spare);
    const owns = edit.ownsClass === undefined ? {} : { ownsClass: edit.ownsClass };
    return [{ ...slot, ...owns, ...(edit.before === undefined ? {} : { after: edit.before }) }];
  });
  const done = new Set(edits.map(({ id, parameter }) => `${id} ${parameter ?? ''}`));
  const left = planRemoval(groups, spare)
    .filter(({ id, place, parameter }) => place !== 'rule' && !done.has(`${id} ${parameter ?? ''}`))
    .map(({ group, parameter }) => `${group}: ${parameter ?? ''} names ${spare}, and was not written by enable`);
  return { edits, left };
}

/** Whether PE's agents have compilers to go to: masters beside this one, by the groups that pin them. */
export function compilersOf(groups: readonly Group[], own: string): string[] {
  const pinned = groups
    .filter(({ name }) => name === 'PE Compiler' || name === 'PE Master')
    .flatMap(({ rule }) => pinsOf(rule));
  return [...new Set(pinned)].filter((name) => name.toLowerCase() !== own);
}

/** The lists that PE of this version reads, where they are unset; whichever name is in use stays. */
function listNames(build: string, inUse: readonly string[]): string[] {
  const year = Number(/^(\d{4})\./.exec(build)?.[1] ?? 9999);
  const uris = inUse.find((name) => name.endsWith('_uris')) ?? (year < 2021 ? 'master_uris' : 'primary_uris');
  return ['server_list', 'pcp_broker_list', uris];
}

const setLists = (group: Group): string[] => [
  ...new Set(
    (['classes', 'config_data'] as const).flatMap((place) => {
      const params = group[place]?.[agentProfile];
      return isJsonObject(params) ? Object.keys(params).filter((name) => agentLists.has(name)) : [];
    }),
  ),
];

/** Where a list stands, or would. What a class is given wins over its data, so a list that is in the data stays there. */
function slotOf(group: Group, parameter: string): GroupEdit {
  const params = (place: 'classes' | 'config_data') => {
    const found = group[place]?.[agentProfile];
    return isJsonObject(found) ? found : undefined;
  };
  const [given, data] = [params('classes'), params('config_data')];
  const place = given?.[parameter] === undefined && data?.[parameter] !== undefined ? 'config_data' : 'classes';
  const before = place === 'classes' ? given?.[parameter] : data?.[parameter];
  return {
    ...{ id: group.id, group: group.name, place, className: agentProfile, parameter },
    ...(before === undefined ? {} : { before }),
    ...(place === 'classes' && given === undefined ? { ownsClass: true } : {}),
  };
}

/** Undefined: it is somebody else's. */
function withSpare(list: Json | undefined, { own, spare }: EnableOrder, parameter: string): string[] | undefined {
  const entries = list === undefined ? [] : entriesOf(list);
  if (entries === undefined) return undefined;
  const port = parameter === 'pcp_broker_list' ? 8142 : 8140;
  if (entries.length === 0) return [`${own}:${port}`, `${spare}:${port}`];
  if (!entries.some(names(own))) return undefined;
  return entries
    .filter((entry) => !names(spare)(entry))
    .flatMap((entry) => (names(own)(entry) ? [entry, renamed(entry, spare)] : [entry]));
}

function withoutHostIn(slot: GroupEdit, host: string): GroupEdit[] {
  const entries = entriesOf(slot.before);
  if (entries?.some(names(host)) !== true) return [];
  const after = entries.filter((entry) => !names(host)(entry));
  return [{ ...slot, ...(after.length === 0 ? {} : { after }) }];
}

function withoutPin(group: Group, host: string): GroupEdit[] {
  if (!pinsOf(group.rule).some((name) => name.toLowerCase() === host)) return [];
  const rest = (group.rule as readonly Json[]).slice(1).filter((part) => pinOf(part)?.toLowerCase() !== host);
  const slot: GroupEdit = { id: group.id, group: group.name, place: 'rule', before: group.rule as Json };
  return [{ ...slot, ...(rest.length === 0 ? {} : { after: ['or', ...rest] }) }];
}

/** The classifier stores pins as leaves of an outermost "or". */
const pinsOf = (rule: readonly Json[] | undefined): string[] =>
  rule?.[0] === 'or' ? rule.slice(1).flatMap((part) => pinOf(part) ?? []) : [];

const pinOf = (rule: Json): string | undefined =>
  Array.isArray(rule) && rule.length === 3 && rule[0] === '=' && rule[1] === 'name' && typeof rule[2] === 'string'
    ? rule[2]
    : undefined;

function entriesOf(list: Json | undefined): readonly string[] | undefined {
  if (typeof list === 'string') return list.split(',').map((entry) => entry.trim());
  if (!Array.isArray(list)) return undefined;
  const entries = list as readonly Json[];
  return entries.every((entry) => typeof entry === 'string') ? entries : undefined;
}

const entry = /^(https?:\/\/)?([^:/]+)(:\d+)?\/?$/;
const names =
  (host: string) =>
  (text: string): boolean =>
    entry.exec(text)?.[2]?.toLowerCase() === host;
const renamed = (text: string, host: string): string => {
  const [, scheme = '', , port = ''] = entry.exec(text) ?? [];
  return `${scheme}${host}${port}`;
};
