import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isOutsideDigest, kindOf } from '../rules/ca-paths.ts';
import { inventoryWeight, wholeLines } from '../rules/inventory.ts';
import type { Manifest, ManifestFile } from '../rules/manifest.ts';
import { addWeight, fileWeight, formatSetDigest } from '../rules/set-digest.ts';
import type { AcceptedEntry, AcceptedSet } from '../system/accepted-set.ts';
import type { ContentStore } from '../system/content-store.ts';
import { readBytesIfThere } from '../system/files.ts';

/** A drop of the CA, laid over the accepted set. */
export interface ResolvedDrop {
  readonly files: readonly ManifestFile[];
  /** As they will be accepted; their time is not known yet. */
  readonly entries: readonly AcceptedEntry[];
  /** Paths of the accepted set that the new one lacks. */
  readonly deleted: readonly string[];
  readonly whole: boolean;
  readonly source: (path: string, sha256: string) => string;
  /** Lines of the inventory that the active has and did not have before; all of them where that is unknown. */
  readonly inventoryLines: readonly string[];
}

/** Either the drop resolved, or why it does not fit: then the active sends a whole one. */
export async function resolveDrop(
  drop: { readonly manifest: Manifest; readonly directory: string },
  set: AcceptedSet,
  content: ContentStore,
): Promise<ResolvedDrop | string> {
  const { manifest, directory } = drop;
  const whole = manifest.kind === 'whole';
  const foreign = manifest.files.find(({ path }) => [undefined, 'key'].includes(kindOf(path)));
  if (foreign !== undefined) return `${foreign.path} is no file of a CA that travels`;
  const inventory = await resolveInventory(drop, set, content);
  if (typeof inventory === 'string') return inventory;
  const weightOf = ({ path, mode, sha256 }: ManifestFile): bigint => {
    if (isOutsideDigest(path)) return 0n;
    return path === 'inventory.txt' ? inventory.weight : fileWeight(path, mode, sha256);
  };
  const entries = manifest.files.map((file) => ({ ...entryOf(file), weight: weightOf(file) }));
  const digest = whole ? digestOf(entries) : set.digestAfter({ put: entries, remove: manifest.deleted });
  if (digest !== manifest.digest) return 'it does not fit what was accepted before';
  return {
    files: manifest.files,
    entries,
    deleted: whole ? absent(set, manifest.files) : manifest.deleted.filter((path) => set.get(path) !== undefined),
    whole,
    source: (path, sha256) => (path === 'inventory.txt' ? content.path(sha256) : join(directory, path)),
    inventoryLines: inventory.lines,
  };
}

interface Inventory {
  readonly weight: bigint;
  readonly lines: readonly string[];
}

/** Puts an appended inventory together and checks the whole: nobody could before. */
async function resolveInventory(
  { manifest, directory }: { readonly manifest: Manifest; readonly directory: string },
  set: AcceptedSet,
  content: ContentStore,
): Promise<Inventory | string> {
  const file = manifest.files.find(({ path }) => path === 'inventory.txt');
  if (file === undefined) return { weight: 0n, lines: [] };
  const tail = await readFile(join(directory, file.path));
  const accepted = set.get(file.path);
  const before = file.append === undefined ? Buffer.alloc(0) : await acceptedBytes(accepted, content);
  const prefix = before?.subarray(0, file.append?.from ?? 0);
  if (prefix === undefined || (file.append !== undefined && sha256Of(prefix) !== file.append.prefixSha256))
    return 'its inventory does not continue the accepted one';
  const bytes = Buffer.concat([prefix, tail]);
  if (bytes.length !== file.size || sha256Of(bytes) !== file.sha256)
    return 'its inventory is not what the manifest says';
  await content.addBytes(bytes, file.sha256);
  const lines = wholeLines(tail.toString('utf8'));
  const continues = accepted !== undefined && file.append?.from === accepted.size;
  if (continues) return { weight: addWeight(accepted.weight, inventoryWeight(lines)), lines };
  return { weight: inventoryWeight(wholeLines(bytes.toString('utf8'))), lines };
}

const acceptedBytes = async (entry: AcceptedEntry | undefined, content: ContentStore): Promise<Buffer | undefined> =>
  entry === undefined ? undefined : readBytesIfThere(content.path(entry.sha256));

const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const entryOf = ({ path, mode, size, sha256 }: ManifestFile) => ({ path, mode, size, sha256, mtimeNs: 0n });

const digestOf = (entries: readonly AcceptedEntry[]): string =>
  formatSetDigest(entries.reduce((sum, { weight }) => addWeight(sum, weight), 0n));

function absent(set: AcceptedSet, files: readonly ManifestFile[]): string[] {
  const present = new Set(files.map(({ path }) => path));
  return [...set.all()].map(({ path }) => path).filter((path) => !present.has(path));
}
