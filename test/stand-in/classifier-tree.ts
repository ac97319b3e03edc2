import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  ApiError,
  applyDelta,
  checkHierarchy,
  copyOf,
  isRecord,
  newGroup,
  parseBody,
  refuseCycle,
  refuseSameName,
  rootId,
  schemaError,
  schemaViolation,
  type ApiGroup,
} from './classifier-model.ts';
import { stockClasses, stockGroups, type Classes } from './classifier-stock.ts';

export interface TreeOptions {
  readonly host: string;
  /** Groups are kept here and found again at the next start. */
  readonly file?: string;
  /** Whether import takes GET's `deleted` key; unknown of today's service, so refused by default. */
  readonly acceptsDeleted?: boolean;
  /** 2016: no last_edited, serial_number, config_data. */
  readonly level?: 2016 | 2018;
}

interface KnownClass {
  readonly params: Set<string>;
  readonly deleted: boolean;
  readonly gone: Set<string>;
}
type Known = Map<string, Map<string, KnownClass>>;

/** Groups, what the code base has (`catalogue`) and what the service believes that it has since the last sync. */
export class ClassifierTree {
  readonly catalogue = new Map<string, Classes>();
  /** A test's hand in what is stored, to play a service that stores other than it was given. */
  onStore: (group: ApiGroup) => ApiGroup = (group) => group;
  lastUpdate: string | null = null;
  #groups: Map<string, ApiGroup>;
  readonly #known: Known = new Map();
  readonly #options: TreeOptions;

  constructor(options: TreeOptions) {
    this.#options = options;
    const saved =
      options.file !== undefined && existsSync(options.file) ? readFileSync(options.file, 'utf8') : undefined;
    const groups = saved === undefined ? stockGroups(options.host) : (parseBody(saved) as ApiGroup[]);
    this.#groups = new Map(groups.map((group) => [group.id, this.#stamped(group)]));
    for (const { environment } of groups) this.catalogue.set(environment, stockClasses());
    this.sync();
    this.#save();
  }

  list(): ApiGroup[] {
    return [...this.#groups.values()].map((group) => this.#shown(group));
  }

  get(id: string): ApiGroup {
    const group = this.#groups.get(id.toLowerCase());
    if (group === undefined) throw notFound(`/classifier-api/v1/groups/${id}`);
    return this.#shown(group);
  }

  has(id: string): boolean {
    return this.#groups.has(id.toLowerCase());
  }

  import(body: unknown): void {
    const root = this.#groups.get(rootId);
    if (root === undefined) throw new Error('no root');
    const next = checkHierarchy(body, root, this.#options.acceptsDeleted ?? false);
    // Unknown classes do not fail an import: they get placeholders, which the next sync marks as deleted.
    for (const group of next.values()) this.#place(group);
    this.#groups = new Map(
      [...next].map(([id, group]) => [id, this.#stamped(this.onStore({ ...group, serial_number: 0 }))]),
    );
    this.#save();
  }

  /** Creates or replaces; says whether it was new, changed or the same. */
  put(group: ApiGroup): 'created' | 'changed' | 'same' {
    this.validate(group);
    const old = this.#groups.get(group.id);
    if (old !== undefined && sameContent(old, group)) return 'same';
    this.#groups.set(group.id, this.#stamped(this.onStore({ ...group, serial_number: old?.serial_number ?? 0 })));
    this.#save();
    return old === undefined ? 'created' : 'changed';
  }

  update(id: string, delta: Record<string, unknown>): ApiGroup {
    const old = this.#groups.get(id);
    if (old === undefined) throw notFound(`/classifier-api/v1/groups/${id}`);
    if (delta['serial_number'] !== undefined && delta['serial_number'] !== old.serial_number)
      throw new ApiError(409, 'conflict', 'The group was edited by somebody else.', {
        serial_number: old.serial_number,
      });
    if (id === rootId && 'rule' in delta && JSON.stringify(delta['rule']) !== JSON.stringify(old.rule))
      throw new ApiError(422, 'root-rule-edit', "The root group's rule cannot be edited.", delta);
    this.put(applyDelta(old, delta));
    return this.get(id);
  }

  remove(id: string): void {
    if (id === rootId) throw new ApiError(500, 'application-error', 'The root group cannot be deleted.', { trace: [] });
    const group = this.get(id);
    const children = this.list().filter((other) => other.parent === id && other.id !== id);
    if (children.length > 0)
      throw new ApiError(422, 'children-present', `The group ${group.name} has children.`, { group, children });
    this.#groups.delete(id);
    this.#save();
  }

  validate(value: unknown): ApiGroup {
    const error = schemaError(value);
    if (error !== undefined) throw schemaViolation(value, error);
    const group = newGroup(value as ApiGroup);
    if (group.id !== rootId && group.id !== group.parent && !this.has(group.parent))
      throw new ApiError(422, 'missing-parent', `The parent group ${group.parent} does not exist.`, group);
    const others = [...this.#groups.values()].filter((other) => other.id !== group.id);
    refuseSameName([...others, group]);
    refuseCycle([group], new Map([...this.#groups, [group.id, group]]));
    const missing = this.#missing(group);
    if (missing.length > 0)
      throw new ApiError(
        422,
        'missing-referents',
        'The group refers to classes or parameters that do not exist.',
        missing,
      );
    return group;
  }

  /** What update-classes does: what is used and no longer in the code is kept and marked as deleted. */
  sync(): void {
    this.#known.clear();
    for (const [environment, classes] of this.catalogue)
      this.#known.set(
        environment,
        new Map(
          Object.entries(classes).map(([name, params]) => [
            name,
            { params: new Set(Object.keys(params)), deleted: false, gone: new Set<string>() },
          ]),
        ),
      );
    for (const group of this.#groups.values()) this.#place(group, true);
    this.lastUpdate = new Date().toISOString();
  }

  #place(group: ApiGroup, gone = false): void {
    const known = getOrMake(this.#known, group.environment, () => new Map<string, KnownClass>());
    for (const [name, params] of [...Object.entries(group.classes), ...Object.entries(group.config_data ?? {})]) {
      const row = getOrMake(known, name, () => ({ params: new Set<string>(), deleted: gone, gone: new Set<string>() }));
      for (const param of Object.keys(params)) {
        if (row.params.has(param)) continue;
        row.params.add(param);
        if (gone) row.gone.add(param);
      }
    }
  }

  #missing(group: ApiGroup): unknown[] {
    const known = this.#known.get(group.environment);
    const about = { environment: group.environment, group: group.name, defined_by: group.name };
    return Object.entries(group.classes).flatMap(([name, params]): unknown[] => {
      const row = known?.get(name);
      if (row === undefined || row.deleted) return [{ kind: 'missing-class', missing: name, ...about }];
      const lost = Object.keys(params).filter((param) => !row.params.has(param));
      return lost.map((param) => ({ kind: 'missing-parameter', missing: [name, param], ...about }));
    });
  }

  #shown(group: ApiGroup): ApiGroup {
    const shown = copyOf(group);
    if (this.#options.level === 2016) {
      delete shown.config_data;
      delete shown.last_edited;
      delete shown.serial_number;
    }
    const flag = 'puppetlabs.classifier/deleted';
    const deleted = Object.entries(group.classes).flatMap(([name, params]) => {
      const row = this.#known.get(group.environment)?.get(name);
      const gone = Object.keys(params).filter((param) => row?.gone.has(param));
      if (row === undefined || (!row.deleted && gone.length === 0)) return [];
      const values = gone.map((param) => [param, { [flag]: true, value: params[param] }]);
      return [[name, { [flag]: row.deleted, ...(Object.fromEntries(values) as object) }] as const];
    });
    return deleted.length === 0 ? shown : { ...shown, deleted: Object.fromEntries(deleted) };
  }

  #stamped(group: ApiGroup): ApiGroup {
    const { deleted: _deleted, ...rest } = group;
    const data = Object.entries(group.config_data ?? {}).filter(([, params]) => Object.keys(params).length > 0);
    return {
      ...rest,
      config_data: Object.fromEntries(data),
      last_edited: new Date().toISOString(),
      serial_number: (group.serial_number ?? 0) + 1,
    };
  }

  #save(): void {
    const { file } = this.#options;
    if (file === undefined) return;
    writeFileSync(`${file}.new`, JSON.stringify([...this.#groups.values()], undefined, 2), { flush: true });
    renameSync(`${file}.new`, file);
    // The real one keeps them in a database, which loses nothing of what it has answered.
    const directory = openSync(dirname(file), 'r');
    fsyncSync(directory);
    closeSync(directory);
  }
}

export const notFound = (uri: string): ApiError =>
  new ApiError(404, 'not-found', 'The resource could not be found.', uri);

function sameContent(a: ApiGroup, b: ApiGroup): boolean {
  const content = (group: ApiGroup): string =>
    JSON.stringify({ ...group, config_data: group.config_data ?? {}, last_edited: 0, serial_number: 0 }, sorted);
  return content(a) === content(b);
}

const sorted = (_key: string, value: unknown): unknown =>
  isRecord(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value;

function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key) ?? make();
  map.set(key, found);
  return found;
}
