import { toFailure } from '../errors.ts';
import type { ClassifierAudit } from './audit.ts';
import { bothFound, holdsOf, isUnderWay, many, some, type Findings, type Sides } from './differences.ts';
import { digestGroups, rootId, type Group } from './groups.ts';
import { isJsonObject, sameJson, type Json, type JsonObject } from './json.ts';
import { mergeGroups } from './merge-groups.ts';

/** Group by group: what the spare has, beside what it should have by the active's tree, whose names are exchanged already. */
export function compareClassifier(sides: Sides, findings: Findings): void {
  const found = bothFound(sides, ({ classifier }) => classifier, 'classifier', findings);
  if (found === undefined) return;
  const { a, b } = found;
  compareMaps(sides, found, findings);
  try {
    const { groups: wanted, drift } = mergeGroups(a.groups, b.groups, b.infrastructure);
    if (digestGroups(wanted) === digestGroups(b.groups)) findings.equal(many(wanted.length, 'node group'));
    else compareTrees(sides, wanted, b.groups, findings);
    const points = drift.map(({ group, what }) => `${group}: ${what}`);
    if (points.length > 0)
      findings.note(
        `in its own groups of Puppet each master keeps its own, in ${many(points.length, 'point')}: ${some(points, 5)}`,
      );
  } catch (error) {
    findings.warning(`the trees cannot be compared: ${toFailure(error).message}`);
  }
}

function compareMaps(
  { a, b }: Sides,
  found: { readonly a: ClassifierAudit; readonly b: ClassifierAudit },
  findings: Findings,
): void {
  const pairs = ({ hostMap }: ClassifierAudit): string =>
    hostMap
      .map(({ active, passive }) => [active, passive].sort().join(' ').toLowerCase())
      .sort()
      .join();
  const fix = 'Write the same below `classifier` into the configuration of both masters';
  if (pairs(found.a) !== pairs(found.b))
    findings.warning(
      `classifier.host_map differs between ${a.certname} and ${b.certname}: that of the spare counts`,
      fix,
    );
  if ([...found.a.infrastructure].sort().join() !== [...found.b.infrastructure].sort().join())
    findings.warning(`classifier.infrastructure_groups differs between ${a.certname} and ${b.certname}`, fix);
}

const mostSaid = 20;

function compareTrees(sides: Sides, wanted: readonly Group[], live: readonly Group[], findings: Findings): void {
  const { a, b } = sides;
  const said = pairUp(wanted, live).flatMap(({ one, other }) => {
    if (one === undefined) return [`group ${nameOf(other)} is on ${b.certname} alone`];
    if (other === undefined) return [`group ${nameOf(one)} is on ${a.certname} alone`];
    const fields = fieldsThatDiffer(one, other, { wanted, live });
    return fields.length === 0 ? [] : [`group ${nameOf(one)} differs: ${some(fields, 4)}`];
  });
  const [hold] = holdsOf(b, 'nc-dump');
  const fix =
    hold === undefined
      ? `On ${a.certname}, type: pe-failover run nc-dump; on ${b.certname}: pe-failover run restore-nc`
      : `It is held. On ${b.certname}, type: pe-failover holds`;
  const isMoving = hold === undefined && isUnderWay(sides, 'nc-dump');
  const tell = (says: string, first: boolean): void =>
    isMoving ? findings.note(`${says}; a drop is under way`) : findings.warning(says, first ? fix : undefined);
  for (const [n, says] of said.slice(0, mostSaid).entries()) tell(says, n === 0);
  const more = said.length - mostSaid;
  if (more > 0) tell(`${many(more, 'more group', 'more groups')} ${more === 1 ? 'differs' : 'differ'}`, false);
  // Ids alone: the same groups under other numbers, as before a first import.
  if (said.length === 0) tell('the groups are alike, and have other ids', true);
  findings.equal(`${many(wanted.length - said.length, 'other node group')}`);
}

const nameOf = (group: Group | undefined): string =>
  group === undefined ? '' : group.environment === 'production' ? group.name : `${group.name} (${group.environment})`;

interface GroupPair {
  readonly one: Group | undefined;
  readonly other: Group | undefined;
}

/** By id, and by name where that is all. */
function pairUp(wanted: readonly Group[], live: readonly Group[]): GroupPair[] {
  const keyOf = ({ environment, name }: Group): string => `${environment}/${name}`;
  const byId = new Map(live.map((group) => [group.id, group]));
  const wantedIds = new Set(wanted.map(({ id }) => id));
  const byName = new Map(live.filter(({ id }) => !wantedIds.has(id)).map((group) => [keyOf(group), group]));
  const pairs = wanted.map((one) => ({ one, other: byId.get(one.id) ?? byName.get(keyOf(one)) }));
  const used = new Set(pairs.map(({ other }) => other?.id));
  return [...pairs, ...live.filter(({ id }) => !used.has(id)).map((other) => ({ one: undefined, other }))];
}

interface Trees {
  readonly wanted: readonly Group[];
  readonly live: readonly Group[];
}

function fieldsThatDiffer(one: Group, other: Group, { wanted, live }: Trees): string[] {
  const parent = (group: Group, tree: readonly Group[]): string =>
    group.id === rootId ? '' : (tree.find(({ id }) => id === group.parent)?.name ?? '');
  const moved = parent(one, wanted) === parent(other, live) ? [] : ['parent'];
  const keys = new Set([...Object.keys(one), ...Object.keys(other)]);
  for (const key of ['id', 'parent', 'last_edited', 'serial_number', 'deleted']) keys.delete(key);
  return [
    ...moved,
    ...[...keys].flatMap((key) => (sameJson(one[key], other[key]) ? [] : inside(key, one[key], other[key]))),
  ];
}

/** Which parameters of which classes, by name: their values may be secrets. */
function inside(key: string, one: Json | undefined, other: Json | undefined): string[] {
  const [mine, theirs] = [objectIn(one), objectIn(other)];
  if (key === 'variables') return differingKeys(mine, theirs).map((name) => `variable ${name}`);
  if (key !== 'classes' && key !== 'config_data') return [key];
  return differingKeys(mine, theirs).flatMap((name) => {
    const [a, b] = [mine[name], theirs[name]];
    if (a === undefined || b === undefined) return [`class ${name}`];
    return differingKeys(objectIn(a), objectIn(b)).map((parameter) => `${name}: ${parameter}`);
  });
}

const objectIn = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {});
const differingKeys = (one: JsonObject, other: JsonObject): string[] =>
  [...new Set([...Object.keys(one), ...Object.keys(other)])].filter((key) => !sameJson(one[key], other[key]));
