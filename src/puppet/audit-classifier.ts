import type { ClassifierAudit } from '../rules/audit.ts';
import { mapHosts, type HostPair } from '../rules/host-map.ts';
import { maskGroups } from '../rules/mask-groups.ts';
import type { Mac } from '../system/keyed-digest.ts';
import type { Classifier } from './classifier.ts';

export interface ClassifierAuditOrder {
  readonly hostMap: readonly HostPair[];
  readonly infrastructure: readonly string[];
  /** Whose names are exchanged in this tree; undefined: it stays as it is. Asked when the tree is at hand. */
  readonly exchange: (() => Promise<readonly HostPair[]>) | undefined;
  readonly mac: Mac;
  readonly signal: AbortSignal;
}

export async function auditClassifier(
  classifier: Pick<Classifier, 'groups'>,
  { hostMap, infrastructure, exchange, mac, signal }: ClassifierAuditOrder,
): Promise<ClassifierAudit> {
  const live = await classifier.groups(signal);
  const exchanged = exchange === undefined ? live : mapHosts(live, await exchange()).groups;
  return { groups: maskGroups(exchanged, mac), hostMap, infrastructure };
}
