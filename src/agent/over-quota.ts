import type { Failure } from '../errors.ts';
import type { Gate } from '../rules/gate.ts';
import { isOverQuota, overQuota, overQuotaName } from '../rules/inbox-quota.ts';
import { mountPointOf } from '../system/file-systems.ts';
import { takeNote } from './gate-notes.ts';

/** What the gate noted about a push that brought too much, as a Failure to be said here as well. */
export async function findOverQuota(inbox: string, gate: Gate | undefined): Promise<Failure | undefined> {
  if (gate?.quota === undefined) return undefined;
  const note = await takeNote(inbox, overQuotaName);
  return isOverQuota(note) ? overQuota(note, gate.quota, gate.certname, mountPointOf(inbox)) : undefined;
}
