import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { toFailure } from '../errors.ts';
import type { EnvironmentAudit } from '../rules/audit.ts';
import { readDeployment } from '../rules/deployment.ts';
import { listDirectory, readIfThere } from '../system/files.ts';
import type { Mac } from '../system/keyed-digest.ts';

export interface EnvironmentsAuditOrder {
  /** Where environments lie. */
  readonly directories: readonly string[];
  readonly mac: Mac;
  readonly signal: AbortSignal;
}

/** Of each environment what was deployed last, and where nobody wrote that down, its files. */
export async function auditEnvironments(order: EnvironmentsAuditOrder): Promise<EnvironmentAudit[]> {
  const found = new Map<string, EnvironmentAudit>();
  for (const directory of order.directories) {
    for (const name of await listDirectory(directory)) {
      order.signal.throwIfAborted();
      const path = join(directory, name);
      if (found.has(name) || !/^\w+$/.test(name) || !(await isDirectory(path))) continue;
      found.set(name, { name, ...(await auditOne(path, order)) });
    }
  }
  return [...found.values()].slice(0, 5000);
}

const isDirectory = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined))?.isDirectory() ?? false;

async function auditOne(
  path: string,
  { mac, signal }: EnvironmentsAuditOrder,
): Promise<Omit<EnvironmentAudit, 'name'>> {
  try {
    const hiera = await readIfThere(join(path, 'hiera.yaml'));
    const deployed = readDeployment((await readIfThere(join(path, '.r10k-deploy.json'))) ?? '');
    if (deployed !== undefined) {
      const { commit, ok, modules } = deployed;
      return { commit, ...(ok === undefined ? {} : { ok }), modules: mac(`${modules}\0${hiera ?? ''}`) };
    }
    const commit = await headOf(path);
    if (commit !== undefined) return { commit, modules: mac(hiera ?? '') };
    const tree = await digestOfTree(path, signal);
    return typeof tree === 'string' ? { tree: mac(tree) } : tree;
  } catch (error) {
    signal.throwIfAborted();
    return { why: toFailure(error).message.slice(0, 1000) };
  }
}

/** The commit that is checked out, without a git: by the files that it writes. */
async function headOf(path: string): Promise<string | undefined> {
  const pointer = await readFile(join(path, '.git'), 'utf8').catch(() => undefined); // a directory, or none
  const [, elsewhere] = /^gitdir: (.+)$/m.exec(pointer ?? '') ?? [];
  const git = elsewhere === undefined ? join(path, '.git') : resolve(path, elsewhere.trim());
  const head = ((await readIfThere(join(git, 'HEAD'))) ?? '').trim();
  const [, ref] = /^ref: (refs\/[\w./-]+)$/.exec(head) ?? [];
  if (ref === undefined || ref.includes('..')) return isCommit(head) ? head : undefined;
  const common = ((await readIfThere(join(git, 'commondir'))) ?? '.').trim();
  for (const base of [git, resolve(git, common)]) {
    const loose = ((await readIfThere(join(base, ref))) ?? '').trim();
    if (isCommit(loose)) return loose;
    const packed = (await readIfThere(join(base, 'packed-refs'))) ?? '';
    const line = packed.split('\n').find((one) => one.endsWith(` ${ref}`));
    if (line !== undefined && isCommit(line.slice(0, 40))) return line.slice(0, 40);
  }
  return undefined;
}

const isCommit = (found: string): boolean => /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(found);

const most = { files: 20_000, bytes: 100_000_000 };

/** Names and content of all files; what is too much to read in a moment says so. */
async function digestOfTree(top: string, signal: AbortSignal): Promise<string | { readonly why: string }> {
  const hash = createHash('sha256');
  const open = [''];
  let [files, bytes] = [0, 0];
  for (let directory = open.pop(); directory !== undefined; directory = open.pop()) {
    for (const name of (await readdir(join(top, directory))).sort()) {
      signal.throwIfAborted();
      const path = join(directory, name);
      const found = await lstat(join(top, path));
      if (found.isDirectory()) open.push(path);
      if (!found.isFile()) continue;
      [files, bytes] = [files + 1, bytes + found.size];
      if (files > most.files || bytes > most.bytes)
        return { why: 'nothing says which commit it is, and its files are too many to read' };
      hash.update(`${path}\0${found.size}\0`).update(await readFile(join(top, path)));
    }
  }
  return hash.digest('hex');
}
