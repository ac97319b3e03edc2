import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../errors.ts';
import type { FileAudit } from '../rules/audit.ts';
import { eyamlKeysIn, isHostFile, knownFiles, type KnownFile } from '../rules/known-files.ts';
import { listDirectory, readIfThere } from '../system/files.ts';
import type { Mac } from '../system/keyed-digest.ts';

export interface FilesAuditOrder {
  /** What all paths are below. */
  readonly root: string;
  /** Absolute, as in the configuration. */
  readonly listed: readonly string[];
  /** What Puppet's settings name, besides what is known. */
  readonly named: readonly KnownFile[];
  /** Where environments lie: their hiera.yaml may name keys. */
  readonly environments: readonly string[];
  readonly mac: Mac;
  readonly signal: AbortSignal;
}

const mostFiles = 5_000;
const mostBytes = 16 * 1024 * 1024;

/** The files that both masters should have alike, each by its mac. What is larger than some MB is told by its size. */
export async function auditFiles(order: FilesAuditOrder): Promise<FileAudit[]> {
  const { root, listed, mac, signal } = order;
  const found = new Map<string, FileAudit>();
  const visit = async (path: string, kind: KnownFile['kind']): Promise<void> => {
    signal.throwIfAborted();
    if (found.has(path) || found.size >= mostFiles || isHostFile(path)) return;
    const here = join(root, path);
    const stat = await lstat(here).catch(orGone);
    if (stat === undefined) return;
    if (stat.isDirectory()) {
      for (const name of await listDirectory(here)) await visit(join(path, name), kind);
    } else if (stat.isFile()) {
      const content = stat.size > mostBytes ? `${stat.size} bytes` : await readFile(here).catch(orGone);
      if (content !== undefined) found.set(path, { path, kind, mac: mac(content), mode: stat.mode & 0o7777 });
    }
  };
  for (const { path, kind } of [...knownFiles, ...order.named]) await visit(path, kind);
  for (const path of await eyamlKeys(order, [...found.keys()])) await visit(path, 'secrets');
  for (const path of listed) await visit(path, 'listed');
  return [...found.values()];
}

async function eyamlKeys({ root, environments }: FilesAuditOrder, files: readonly string[]): Promise<string[]> {
  const own = files.filter((path) => path.endsWith('/hiera.yaml')).map((path) => join(root, path));
  const keys: string[] = [];
  for (const directory of environments)
    for (const name of await listDirectory(directory)) own.push(join(directory, name, 'hiera.yaml'));
  for (const path of own) keys.push(...eyamlKeysIn((await readIfThere(path)) ?? ''));
  return [...new Set(keys)];
}

function orGone(error: unknown): undefined {
  if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) throw error;
}
