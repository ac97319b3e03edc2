import { readFile } from 'node:fs/promises';
import { kindOf } from '../rules/ca-paths.ts';
import type { CaFile } from '../rules/ca-plan.ts';
import { parseInventoryLine, wholeLines } from '../rules/inventory.ts';
import type { AcceptedSet } from '../system/accepted-set.ts';
import { readCertificates, type Certificate } from '../system/certificates.ts';
import type { ContentStore } from '../system/content-store.ts';
import { readIfThere } from '../system/files.ts';
import { contentProblem, liveLists, type LiveCa } from './ca-live.ts';

/** The inventory of the active, as it was accepted last. */
export async function acceptedInventory(set: AcceptedSet, content: ContentStore): Promise<readonly string[]> {
  const entry = set.get('inventory.txt');
  return entry === undefined ? [] : wholeLines((await readIfThere(content.path(entry.sha256))) ?? '');
}

/**
 * Of certificates that the active has as before but that differ live: those that this master renewed itself. They are
 * of our CA, not revoked, and of a serial that the active never issued (`issuedThere`: lines of its inventory); what is torn or
 * was put there is not.
 */
export async function ownRenewals(
  live: LiveCa,
  issuedThere: () => Promise<readonly string[]>,
  unchanged: readonly CaFile[],
  hashes: ReadonlyMap<string, string>,
  authorities: readonly Certificate[],
): Promise<string[]> {
  const differing = unchanged.filter(({ path, sha256 }) => {
    return kindOf(path) === 'certificate' && ![undefined, sha256].includes(hashes.get(path));
  });
  if (differing.length === 0) return [];
  const issued = new Set((await issuedThere()).map((line) => parseInventoryLine(line)?.serial));
  const lists = await liveLists(live);
  const own: string[] = [];
  for (const { path } of differing) {
    if ((await contentProblem(path, live.path(path), authorities, live.readCrls)) !== undefined) continue;
    const serial = readCertificates(await readFile(live.path(path)), path)[0]?.serial;
    if (serial === undefined || issued.has(serial) || lists.some(({ revoked }) => revoked.has(serial))) continue;
    own.push(path);
  }
  return own;
}
