import { createHash } from 'node:crypto';
import { Failure } from '../errors.ts';
import { mergeStockGroup, shellOf, type Drift } from './merge-stock-group.ts';
import { rootId, treeProblem, type Group } from './groups.ts';
import { sameJson } from './json.ts';

/**
 * Stock groups that say where PE's own services run: each installation has its own, with ids of its own. The others (the
 * root, environment groups, PE Patch Management) hold what people decided and no host of PE: they travel like any group.
 */
export const infrastructureGroups: readonly string[] = [
  'PE Infrastructure',
  'PE Agent',
  'PE Infrastructure Agent',
  'PE Certificate Authority',
  'PE Console',
  'PE Master',
  'PE PuppetDB',
  'PE Orchestrator',
  'PE Database',
  'PE Compiler',
  'PE HA Master',
  'PE HA Replica',
  'PE MCollective',
  'PE ActiveMQ Broker',
  'PE Primary A',
  'PE Primary B',
  'PE Compiler Group A',
  'PE Compiler Group B',
];

export interface Merged {
  readonly groups: readonly Group[];
  /** Differences between the stock groups of the two masters that stay: for the admin to read. */
  readonly drift: readonly Drift[];
}

/**
 * The tree that the spare should have: the active's (host names exchanged already), with the active's ids, so that
 * permissions and parents fit; in the infrastructure's groups the spare keeps what makes its own services work.
 * `further`: names of groups that count as the platform's. Everything else that only the spare had is not in it. The result has no `treeProblem`.
 */
export function mergeGroups(active: readonly Group[], live: readonly Group[], further: readonly string[] = []): Merged {
  const stock = new Set([...infrastructureGroups, ...further]);
  const counterpart = pair(active, live, stock);
  const drift: Drift[] = [];
  const taken = active.map((group) => {
    const own = counterpart.get(group.id);
    if (group.id === rootId) return withRuleOf(group, own, drift);
    if (own !== undefined) return mergeStockGroup(group, own, drift);
    return stock.has(group.name) ? shellOf(group, drift) : group;
  });
  const kept = keepOwn(active, live, counterpart, stock);
  for (const group of kept) drift.push({ group: group.name, what: 'exists on the spare only', kept: 'kept' });
  const groups = [...taken, ...kept];
  const problem = treeProblem(groups);
  if (problem !== undefined) throw new Failure('bug', 'merged node groups can not be imported', { why: problem });
  return { groups, drift };
}

// By name, for ids are random. A stock group that the active's people renamed is theirs then, and travels; the spare
// keeps its own beside it.
function pair(
  active: readonly Group[],
  live: readonly Group[],
  stock: ReadonlySet<string>,
): ReadonlyMap<string, Group> {
  const pairs = new Map<string, Group>();
  const used = new Set<string>();
  const match = (fits: (a: Group, b: Group) => boolean): void => {
    for (const own of live) {
      if (used.has(own.id) || !(stock.has(own.name) || own.id === rootId)) continue;
      const theirs = active.find((group) => !pairs.has(group.id) && fits(group, own));
      if (theirs === undefined) continue;
      pairs.set(theirs.id, own);
      used.add(own.id);
    }
  };
  const isRoot = (group: Group): boolean => group.id === rootId;
  match((a, b) => isRoot(a) && isRoot(b));
  match((a, b) => !isRoot(a) && !isRoot(b) && a.name === b.name && a.environment === b.environment);
  match((a, b) => !isRoot(a) && !isRoot(b) && a.name === b.name);
  return pairs;
}

// Import refuses any change of the root's rule (422 root-rule-edit), so the spare's own stays.
function withRuleOf(root: Group, own: Group | undefined, drift: Drift[]): Group {
  if (own === undefined || sameJson(root.rule, own.rule)) return root;
  drift.push({ group: root.name, what: 'rule of the root group differs', kept: "the spare's" });
  const { rule: _theirs, ...rest } = root;
  return own.rule === undefined ? rest : { ...rest, rule: own.rule };
}

// A stock group that only the spare has makes a service of the spare work: it stays, below what stands for its parent.
function keepOwn(
  active: readonly Group[],
  live: readonly Group[],
  counterpart: ReadonlyMap<string, Group>,
  stock: ReadonlySet<string>,
): readonly Group[] {
  const newId = new Map([...counterpart].map(([id, own]) => [own.id, id]));
  const byId = new Map(live.map((group) => [group.id, group]));
  const ids = new Set(active.map((group) => group.id));
  const own = live.filter((group) => stock.has(group.name) && group.id !== rootId && !newId.has(group.id));
  for (const group of own) {
    const id = freeId(group.id, ids);
    newId.set(group.id, id);
    ids.add(id);
  }
  const parentOf = (group: Group): string => {
    for (let parent = byId.get(group.parent); parent !== undefined; parent = byId.get(parent.parent)) {
      const id = newId.get(parent.id);
      if (id !== undefined) return id;
      if (parent.id === parent.parent) break;
    }
    return rootId;
  };
  return own.map((group) => ({ ...group, id: newId.get(group.id) ?? group.id, parent: parentOf(group) }));
}

function freeId(id: string, taken: ReadonlySet<string>): string {
  let free = id;
  while (taken.has(free)) {
    const hex = createHash('sha256').update(free).digest('hex');
    free = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  }
  return free;
}
