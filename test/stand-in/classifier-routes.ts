import { classify, inheritedRule, translated } from './classifier-classify.ts';
import { ApiError, isRecord, isUuid, newGroup, schemaViolation, type ApiGroup } from './classifier-model.ts';
import { notFound, type ClassifierTree } from './classifier-tree.ts';

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Parsed JSON; undefined without a body. */
  readonly body: unknown;
}

export interface Reply {
  readonly status: number;
  readonly json?: unknown;
  readonly text?: string;
  readonly location?: string;
}

export const prefix = '/classifier-api/v1';

type Handler = (tree: ClassifierTree, call: Call, parts: readonly string[]) => Reply;
type Methods = Readonly<Record<string, Handler>>;

/** Answers a call to the classifier, or throws an ApiError. */
export function route(tree: ClassifierTree, call: Call): Reply {
  const path = call.path.slice(prefix.length);
  for (const [pattern, methods] of routes) {
    const found = pattern.exec(path);
    if (found === null) continue;
    const handler = methods[call.method];
    if (handler === undefined) return { status: 405, text: 'Method not allowed.' };
    return handler(tree, call, found.slice(1).map(decodeURIComponent));
  }
  throw notFound(call.path);
}

const routes: readonly (readonly [RegExp, Methods])[] = [
  [/^\/groups$/, { GET: (tree, call) => ({ status: 200, json: page(tree.list(), call) }), POST: createGroup }],
  [
    /^\/groups\/([^/]+)$/,
    {
      GET: (tree, _, [id]) => ({ status: 200, json: tree.get(uuid(id)) }),
      PUT: putGroup,
      POST: (tree, { body }, [id]) => ({ status: 200, json: tree.update(uuid(id), record(body)) }),
      DELETE: (tree, _, [id]) => {
        tree.remove(uuid(id));
        return { status: 204 };
      },
    },
  ],
  [/^\/groups\/([^/]+)\/rules$/, { GET: rules }],
  [/^\/groups\/([^/]+)\/pin$/, { POST: (tree, call, [id]) => repin(tree, call, uuid(id), true) }],
  [/^\/groups\/([^/]+)\/unpin$/, { POST: (tree, call, [id]) => repin(tree, call, uuid(id), false) }],
  [/^\/group-children\/([^/]+)$/, { GET: children }],
  [
    /^\/import-hierarchy$/,
    {
      POST: (tree, { body }) => {
        tree.import(body);
        return { status: 204 };
      },
    },
  ],
  [/^\/validate\/group$/, { POST: (tree, { body }) => ({ status: 200, json: tree.validate(newGroup(record(body))) }) }],
  [/^\/rules\/translate$/, { POST: (_, { body }) => ({ status: 200, json: translated(body) }) }],
  [
    /^\/update-classes$/,
    {
      POST: (tree) => {
        tree.sync();
        return { status: 201 };
      },
    },
  ],
  [/^\/last-class-update$/, { GET: (tree) => ({ status: 200, json: { last_update: tree.lastUpdate } }) }],
  [/^\/classes$/, { GET: (tree, call) => ({ status: 200, json: page(allClasses(tree), call) }) }],
  [
    /^\/environments$/,
    {
      GET: (tree) => ({
        status: 200,
        json: [...tree.catalogue.keys()].map((name) => ({ name, sync_succeeded: true })),
      }),
    },
  ],
  [/^\/environments\/([^/]+)$/, { GET: environment, PUT: putEnvironment }],
  [
    /^\/environments\/([^/]+)\/classes$/,
    { GET: (tree, _, [name]) => ({ status: 200, json: allClasses(tree).filter((one) => one.environment === name) }) },
  ],
  [
    /^\/environments\/([^/]+)\/classes\/([^/]+)$/,
    {
      GET: (tree, call, [name, wanted]) => {
        const found = allClasses(tree).find((one) => one.environment === name && one.name === wanted);
        if (found === undefined) throw notFound(call.path);
        return { status: 200, json: found };
      },
    },
  ],
  [
    /^\/classified\/nodes\/([^/]+)$/,
    {
      POST: (tree, { body }, [name]) => ({ status: 200, json: classify(tree.list(), name ?? '', record(body ?? {})) }),
    },
  ],
];

function createGroup(tree: ClassifierTree, { body }: Call): Reply {
  const { id: _theirs, ...fields } = record(body);
  const group = newGroup(fields);
  if (fields['parent'] === undefined) throw schemaViolation(body, { parent: 'missing-required-key' });
  tree.put(group);
  return { status: 303, location: `${prefix}/groups/${group.id}` };
}

function putGroup(tree: ClassifierTree, { body }: Call, [id]: readonly string[]): Reply {
  const fields = record(body);
  if (fields['id'] !== undefined && fields['id'] !== id)
    throw new ApiError(400, 'conflicting-ids', 'The ids differ.', { submitted: fields['id'], fromUrl: id });
  const result = tree.put(newGroup({ ...(fields as Partial<ApiGroup>), id: uuid(id) }));
  return { status: result === 'same' ? 200 : 201, json: tree.get(uuid(id)) };
}

function rules(tree: ClassifierTree, _: Call, [id]: readonly string[]): Reply {
  const group = tree.get(uuid(id));
  const rule_with_inherited = inheritedRule(tree.list(), group);
  const words = rule_with_inherited === null ? null : translated(rule_with_inherited);
  return { status: 200, json: { rule: group.rule ?? null, rule_with_inherited, translated: words } };
}

function repin(tree: ClassifierTree, { query, body }: Call, id: string, pin: boolean): Reply {
  const given: unknown = query.get('nodes')?.split(',') ?? (isRecord(body) ? body['nodes'] : undefined);
  if (!Array.isArray(given)) throw new ApiError(400, 'missing-parameters', 'The parameter nodes is missing.');
  const names = given.map(String);
  const rule = tree.get(id).rule;
  const parts = rule === undefined ? [] : rule[0] === 'or' ? rule.slice(1) : [rule];
  const rest = parts.filter(
    (part) => !names.some((name) => JSON.stringify(part) === JSON.stringify(['=', 'name', name])),
  );
  const next = pin ? [...rest, ...names.map((name) => ['=', 'name', name])] : rest;
  tree.update(id, { rule: next.length === 0 ? null : ['or', ...next] });
  return { status: 204 };
}

function children(tree: ClassifierTree, { query }: Call, [id]: readonly string[]): Reply {
  const depth = query.has('depth') ? Number(query.get('depth')) : Infinity;
  if (Number.isNaN(depth)) throw new ApiError(400, 'malformed-number', 'depth is not a number.', query.get('depth'));
  if (depth < 0) throw new ApiError(400, 'illegal-count', 'depth is negative.', depth);
  const below = (group: ApiGroup, left: number): unknown => ({
    ...group,
    children:
      left <= 0
        ? []
        : tree.list().flatMap((one) => (one.parent === group.id && one.id !== group.id ? [below(one, left - 1)] : [])),
  });
  return { status: 200, json: [below(tree.get(uuid(id)), depth)] };
}

function environment(tree: ClassifierTree, call: Call, [name]: readonly string[]): Reply {
  if (!tree.catalogue.has(name ?? '')) throw notFound(call.path);
  return { status: 200, json: { name, sync_succeeded: true } };
}

function putEnvironment(tree: ClassifierTree, _: Call, [name]: readonly string[]): Reply {
  const status = tree.catalogue.has(name ?? '') ? 200 : 201;
  if (status === 201) tree.catalogue.set(name ?? '', {});
  return { status, json: { name, sync_succeeded: true } };
}

const allClasses = (tree: ClassifierTree): { name: string; environment: string; parameters: unknown }[] =>
  [...tree.catalogue].flatMap(([environment, classes]) =>
    Object.entries(classes).map(([name, parameters]) => ({ name, environment, parameters })),
  );

function page<T>(items: readonly T[], { query }: Call): readonly T[] {
  const number = (key: string, otherwise: number): number => {
    const text = query.get(key);
    if (text === null) return otherwise;
    if (/^\d+$/.test(text)) return Number(text);
    throw new ApiError(400, 'malformed-number', `${key} is not a non-negative integer.`, text);
  };
  const offset = number('offset', 0);
  return items.slice(offset, offset + number('limit', items.length));
}

function uuid(text: string | undefined): string {
  if (isUuid(text)) return text.toLowerCase();
  throw new ApiError(400, 'malformed-uuid', `${text} is not a UUID.`, text);
}

function record(body: unknown): Record<string, unknown> {
  if (isRecord(body)) return body;
  throw schemaViolation(body, '(not (map? a))');
}
