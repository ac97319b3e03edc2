import type { Group } from './groups.ts';
import { agentLists, agentProfile } from './host-map.ts';
import { canonicalJson, isJsonObject, sameJson, type Json, type JsonObject } from './json.ts';
import { splitRule } from './rule-words.ts';

export interface Drift {
  readonly group: string;
  readonly what: string;
  /** Whose side the spare has after the restore. */
  readonly kept: string;
}

// What differs between two healthy masters by nature: never reported.
const hostParameters = new Set([
  'certificate_authority_host',
  'console_host',
  'database_host',
  'pcp_broker_host',
  'puppet_master_host',
  'puppetdb_host',
  'puppetdb_port',
  'mcollective_middleware_hosts',
  'ha_enabled_replicas',
  'replicating',
  'classifier_host',
  'classifier_port',
  'classifier_client_certname',
  'replication_mode',
  'provisioned_replicas',
  'replica_hostnames',
  'sync_allowlist',
  'sync_whitelist',
  'sync_peers',
  'compile_master_pool_address',
  'database_host_puppetdb',
]);

/** True for classes that belong to PE; what people add to a stock group is theirs and travels. */
const isPlatformClass = (name: string): boolean => /^(puppet_enterprise|pe_[a-z0-9_]+)(::|$)/.test(name);

/**
 * A stock group that both masters have. The active's: id, parent, name, classes that people added, variables, and the
 * lists of where agents go. The spare's: its rule with its pins, and the parameters of PE's own classes. Differences in
 * these that are not host names are drift.
 */
export function mergeStockGroup(active: Group, own: Group, drift: Drift[]): Group {
  const report = (what: string): void => void drift.push({ group: active.name, what, kept: "the spare's" });
  reportRule(active.rule, own.rule, report);
  const classes = mergeClasses(active.classes, own.classes, report);
  const data = mergeClasses(active.config_data ?? {}, own.config_data ?? {}, report);
  const { rule: _rule, config_data: _data, ...rest } = active;
  return {
    ...rest,
    classes,
    ...(own.rule === undefined ? {} : { rule: own.rule }),
    ...(Object.keys(data).length === 0 ? {} : { config_data: data }),
  };
}

/** A stock group that the spare lacks: kept as a parent for what lies below, configuring nothing of the spare. */
export function shellOf(active: Group, drift: Drift[]): Group {
  drift.push({ group: active.name, what: 'exists on the active only', kept: 'without rule and classes of PE' });
  const { rule: _rule, config_data: _data, ...rest } = active;
  // The same merge as with a shell that an earlier restore left: a second restore finds nothing to do.
  return mergeStockGroup(active, { ...rest, classes: {} }, []);
}

function mergeClasses(active: JsonObject, own: JsonObject, report: (what: string) => void): JsonObject {
  const merged = new Map<string, Json | undefined>();
  for (const [name, params] of Object.entries(own)) if (isPlatformClass(name)) merged.set(name, params);
  for (const [name, params] of Object.entries(active)) {
    if (!isPlatformClass(name)) merged.set(name, params);
    else if (!merged.has(name)) reportMissing(name, params, merged, report);
  }
  for (const [name, params] of merged) {
    if (!isPlatformClass(name) || !isJsonObject(params)) continue;
    const theirs = active[name];
    if (isJsonObject(theirs)) merged.set(name, mergeParameters(name, theirs, params, report));
    else report(`class ${name} is on the spare only`);
  }
  return Object.fromEntries<Json | undefined>(merged);
}

function reportMissing(
  name: string,
  params: Json | undefined,
  merged: Map<string, Json | undefined>,
  report: (what: string) => void,
): void {
  // Agents are told where to go by this class: without it the spare would tell them something else.
  if (name === agentProfile && isJsonObject(params) && Object.keys(params).some((key) => agentLists.has(key)))
    merged.set(name, {});
  else report(`class ${name} is on the active only`);
}

function mergeParameters(
  name: string,
  active: JsonObject,
  own: JsonObject,
  report: (what: string) => void,
): JsonObject {
  const isShared = (key: string): boolean => name === agentProfile && agentLists.has(key);
  for (const key of new Set([...Object.keys(active), ...Object.keys(own)])) {
    if (!isShared(key) && !hostParameters.has(key) && !sameJson(active[key], own[key]))
      report(`${name}: ${key} is ${shown(active[key])} on the active, ${shown(own[key])} here`);
  }
  return Object.fromEntries([
    ...Object.entries(own).filter(([key]) => !isShared(key)),
    ...Object.entries(active).filter(([key]) => isShared(key)),
  ]);
}

function reportRule(
  active: readonly Json[] | undefined,
  own: readonly Json[] | undefined,
  report: (what: string) => void,
): void {
  const [theirs, ours] = [splitRule(active), splitRule(own)];
  if (!sameJson(theirs.condition, ours.condition)) report('rule differs');
  const missing = theirs.pins.filter((pin) => !ours.pins.includes(pin));
  if (missing.length > 0) report(`pinned on the active only: ${missing.join(', ')}`);
}

// A parameter can be a secret: what is shown says that it differs, and of long values no more than that.
const shown = (value: Json | undefined): string => {
  if (value === undefined) return 'unset';
  return typeof value === 'boolean' || typeof value === 'number' ? canonicalJson(value) : 'other';
};
