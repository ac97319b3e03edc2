import { bad, good, note, type Finding } from './findings.ts';
import type { Group } from './groups.ts';
import { isJsonObject, type Json } from './json.ts';

export interface NativeFacts {
  readonly groups: readonly Group[];
  /** Certname of this master. */
  readonly own: string;
  /** Whether databases are to be carried over. */
  readonly databases: boolean;
}

/** Whether PE's own disaster recovery is on, and where PostgreSQL is, as the classifier has it. */
export function findNative({ groups, own, databases }: NativeFacts): Finding[] {
  const replicas = nativeReplicas(groups);
  const elsewhere = databaseHosts(groups).filter((host) => host !== own);
  return [
    replicas.length === 0
      ? good("PE's own disaster recovery is not enabled")
      : bad(
          `PE's own disaster recovery is enabled, with ${replicas.join(', ')}: it is not supported beside a warm spare`,
          `Both would write the same databases and lists. To use this one, type: puppet infrastructure forget ${replicas[0] ?? 'HOST'}`,
        ),
    ...elsewhere.map((host) =>
      databases
        ? bad(
            `PE's PostgreSQL is on ${host}: its databases are not carried over`,
            'Take them out of databases in the configuration; the CA, node groups and files travel all the same',
          )
        : note(`PE's PostgreSQL is on ${host}: its databases are not carried over`),
    ),
  ];
}

/** Hosts that PE takes for its replicas: of the node groups that provisioning one makes, and of what enabling it sets. */
export function nativeReplicas(groups: readonly Group[]): string[] {
  const found = groups.flatMap((group) => [
    ...(group.name === 'PE HA Replica' ? pins(group.rule) : []),
    ...['classes', 'config_data'].flatMap((place) => [
      ...hostsIn(parameter(group[place], 'puppet_enterprise', 'ha_enabled_replicas')),
      ...hostsIn(parameter(group[place], 'puppet_enterprise::profile::master', 'provisioned_replicas')),
    ]),
  ]);
  return [...new Set(found)].sort();
}

function databaseHosts(groups: readonly Group[]): string[] {
  const infrastructure = groups.filter(({ name }) => name === 'PE Infrastructure');
  return infrastructure.flatMap(({ classes }) => hostsIn(parameter(classes, 'puppet_enterprise', 'database_host')));
}

function parameter(classes: Json | undefined, className: string, name: string): Json | undefined {
  const params = isJsonObject(classes) ? classes[className] : undefined;
  return isJsonObject(params) ? params[name] : undefined;
}

function hostsIn(value: Json | undefined): string[] {
  const values = Array.isArray(value) ? (value as readonly Json[]) : [value];
  return values.flatMap((host) => (typeof host === 'string' && host !== '' ? [host.toLowerCase()] : []));
}

const pins = (rule: readonly Json[] | undefined): string[] =>
  (rule?.[0] === 'or' ? rule.slice(1) : []).flatMap((part) =>
    Array.isArray(part) && part[0] === '=' && part[1] === 'name' ? hostsIn(part[2] as Json) : [],
  );
