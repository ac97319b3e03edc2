import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, link, lstat, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../errors.ts';
import { captureOrder, isOutsideDigest, kindOf } from '../rules/ca-paths.ts';
import { inventoryWeight, parseInventoryLine, wholeLines } from '../rules/inventory.ts';
import type { Append, ManifestFile } from '../rules/manifest.ts';
import { addWeight, fileWeight } from '../rules/set-digest.ts';
import type { AcceptedEntry } from '../system/accepted-set.ts';
import type { Accounts } from '../system/accounts.ts';
import { sha256File } from '../system/files.ts';
import { inParallel } from '../system/in-parallel.ts';

export interface CaptureRequest {
  readonly cadir: string;
  /** Empty; gets a copy of each file that differs from what is known. */
  readonly directory: string;
  readonly paths: readonly string[];
  /** What the spare last acknowledged; for a whole drop: nothing. */
  readonly known: (path: string) => AcceptedEntry | undefined;
  readonly accounts: Accounts;
}

export interface CapturedFile {
  readonly file: ManifestFile;
  readonly entry: AcceptedEntry;
}

export interface Capture {
  readonly changed: readonly CapturedFile[];
  /** As known, but touched: entries with the new time, so that they are not read again. */
  readonly touched: readonly AcceptedEntry[];
  /** Known, and no longer there. */
  readonly gone: readonly string[];
}

/** Copies what differs, in the order that makes the inventory and the serial cover every certificate captured before. */
export async function captureCa(request: CaptureRequest): Promise<Capture> {
  await mkdir(join(request.directory, 'signed'), { recursive: true, mode: 0o700 });
  const changed: CapturedFile[] = [];
  const touched: AcceptedEntry[] = [];
  const gone: string[] = [];
  for (const kind of captureOrder) {
    const group = request.paths.filter((path) => kindOf(path) === kind);
    await inParallel(group, 16, async (path) => {
      const seen = await captureOne(request, path);
      if (seen === 'gone' && request.known(path) !== undefined) gone.push(path);
      if (typeof seen !== 'string') (seen.changed ? changed : []).push(seen.captured);
      if (typeof seen !== 'string' && !seen.changed) touched.push(seen.captured.entry);
    });
  }
  return { changed, touched, gone };
}

/** Fills a payload directory with hard links to what was captured. */
export async function packCapture(from: string, to: string, changed: readonly CapturedFile[]): Promise<ManifestFile[]> {
  await mkdir(join(to, 'signed'), { recursive: true, mode: 0o700 });
  await inParallel(changed, 16, ({ file }) => link(join(from, file.path), join(to, file.path)));
  return changed.map(({ file }) => file);
}

/** Certificates that the inventory names behind byte `from`: each is written right after its line. */
export async function announcedCertificates(cadir: string, from: number): Promise<string[]> {
  const handle = await open(join(cadir, 'inventory.txt')).catch(() => undefined);
  if (handle === undefined) return [];
  try {
    const length = Math.max(0, (await handle.stat()).size - from);
    const { buffer } = await handle.read(Buffer.alloc(length), 0, length, from);
    const names = wholeLines(buffer.toString('utf8')).map((line) => parseInventoryLine(line)?.name);
    return names.filter((name) => name !== undefined).map((name) => `signed/${name}.pem`);
  } finally {
    await handle.close();
  }
}

type Seen = 'gone' | 'unchanged' | { readonly changed: boolean; readonly captured: CapturedFile };

// The time is read before the content: at worst a file is read once more.
async function captureOne(request: CaptureRequest, path: string): Promise<Seen> {
  const source = join(request.cadir, path);
  try {
    const stat = await lstat(source, { bigint: true });
    if (!stat.isFile()) return 'gone';
    const known = request.known(path);
    const mode = Number(stat.mode) & 0o777;
    const same = known?.mtimeNs === stat.mtimeNs && known.size === Number(stat.size) && known.mode === mode;
    if (same && ['certificate', 'inventory'].includes(kindOf(path) ?? '')) return 'unchanged';
    const content = await copyContent(request, path, known);
    const owner = request.accounts.userName(Number(stat.uid));
    const group = request.accounts.groupName(Number(stat.gid));
    const { size, sha256, append, lines } = content;
    const file = { path, size, sha256, mode, owner, group, ...(append === undefined ? {} : { append }) };
    const weight = isOutsideDigest(path) ? 0n : (lines ?? fileWeight(path, mode, sha256));
    const entry = { path, mode, size, sha256, mtimeNs: stat.mtimeNs, weight };
    const changed = known?.sha256 !== sha256 || known.mode !== mode;
    if (!changed) await rm(join(request.directory, path), { force: true });
    return { changed, captured: { file, entry } };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 'gone';
    throw error;
  }
}

interface Content {
  readonly size: number;
  readonly sha256: string;
  readonly append?: Append;
  /** Of the inventory: what its lines add to the digest. */
  readonly lines?: bigint;
}

async function copyContent(request: CaptureRequest, path: string, known: AcceptedEntry | undefined): Promise<Content> {
  const [source, target] = [join(request.cadir, path), join(request.directory, path)];
  if (path === 'inventory.txt') return copyInventory(source, target, known);
  if (kindOf(path) === 'certificate') {
    const content = await readFile(source);
    await writeFile(target, content, { mode: 0o600 });
    return { size: content.length, sha256: createHash('sha256').update(content).digest('hex') };
  }
  await copyFile(source, target, constants.COPYFILE_FICLONE);
  return { size: Number((await lstat(target)).size), sha256: await sha256File(target) };
}

// A torn last line is left for the next pass. Where the known part is unchanged, only the rest travels.
async function copyInventory(source: string, target: string, known: AcceptedEntry | undefined): Promise<Content> {
  const content = await readFile(source);
  const whole = content.subarray(0, content.lastIndexOf(0x0a) + 1);
  const hash = createHash('sha256').update(whole.subarray(0, known?.size ?? 0));
  const prefix = known !== undefined && known.size <= whole.length ? hash.copy().digest('hex') : undefined;
  const sha256 = hash.update(whole.subarray(known?.size ?? 0)).digest('hex');
  const size = whole.length;
  if (known === undefined || known.size === 0 || prefix !== known.sha256) {
    await writeFile(target, whole, { mode: 0o600 });
    return { size, sha256, lines: inventoryWeight(wholeLines(whole.toString('utf8'))) };
  }
  const tail = whole.subarray(known.size);
  await writeFile(target, tail, { mode: 0o600 });
  const lines = addWeight(known.weight, inventoryWeight(wholeLines(tail.toString('utf8'))));
  return {
    size,
    sha256,
    append: { from: known.size, prefixSha256: prefix, tailSha256: createHash('sha256').update(tail).digest('hex') },
    lines,
  };
}
