import { Failure } from '../errors.ts';
import { isEpoch, type Epoch } from './epoch.ts';
import { fieldsOf, parseObject } from './fields.ts';
import { isTooDeep, tooDeepProblem } from './json.ts';

/** One file of a drop's payload. `path` is relative: to the CA directory, to / for sync-files, to the payload elsewhere. */
export interface ManifestFile {
  readonly path: string;
  readonly size: number;
  /** 64 lower-case hexadecimal digits. For an appended file: of the whole file, after. */
  readonly sha256: string;
  /** Permission bits, such as 0o640. */
  readonly mode: number;
  readonly owner: string;
  readonly group: string;
  /** The payload holds only what follows byte `from`. */
  readonly append?: Append;
}

export interface Append {
  readonly from: number;
  /** Of the bytes before `from`. */
  readonly prefixSha256: string;
  /** Of the payload. */
  readonly tailSha256: string;
}

/** Size and sha256 of what travels for a file: the whole of it, or its tail. */
export const payloadOf = ({ size, sha256, append }: ManifestFile): { size: number; sha256: string } =>
  append === undefined ? { size, sha256 } : { size: size - append.from, sha256: append.tailSha256 };

/** A key file that must be live before the drop may be. */
export interface Need {
  readonly file: string;
  readonly sha256: string;
}

export type DropKind = 'whole' | 'delta';

export interface Manifest {
  readonly format: 1;
  readonly stream: string;
  readonly epoch: Epoch;
  readonly sequence: number;
  /** Certnames. */
  readonly source: string;
  readonly target: string;
  /** Sender's clock, ISO 8601, for display only. */
  readonly capturedAt: string;
  readonly platform: string;
  readonly build: string;
  /** Version of the program that made it; an older one does not say. */
  readonly program?: string;
  readonly kind: DropKind;
  /** `EPOCH-SEQUENCE` that a delta was made against; a hint. */
  readonly base?: string;
  /** Of the whole state after this drop. */
  readonly digest: string;
  readonly files: readonly ManifestFile[];
  readonly deleted: readonly string[];
  readonly needs: readonly Need[];
  /** The job's own: what a human or a brake wants to know without the payload. */
  readonly detail: Readonly<Record<string, unknown>>;
}

export const manifestName = 'manifest.json';
export const signatureName = 'manifest.sig';
export const maxManifestBytes = 64 * 1024 * 1024;
export const maxFiles = 200_000;

const streamPattern = /^(sync-certs|sync-files|nc-dump|db-dump\.[a-z0-9_-]{1,40})$/;
export const isStream = (text: string): boolean => streamPattern.test(text);

const digestPattern = /^sha256:[0-9a-f]{64}$/;
export const isDigest = (text: string): boolean => digestPattern.test(text);

/** The directory name of a drop, such as `3.00c0ffee00c0ffee-17`. */
export const dropName = (drop: { epoch: Epoch; sequence: number }): string =>
  `${drop.epoch.number}.${drop.epoch.id}-${drop.sequence}`;

/** Bytes. The kernel takes 4,095: the rest is for the directories of ours in which it comes to lie. */
const longestPath = 3072;

/** Why a path may not stand in a manifest, or undefined. Relative, printable, no empty or dotted part, 255 bytes a part. */
export function pathProblem(path: string): string | undefined {
  if (path.length === 0 || Buffer.byteLength(path) > longestPath) return 'empty or too long';
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufffd]/.test(path)) return 'not printable';
  if (!path.isWellFormed()) return 'not printable'; // all of these would be one name on a disk
  for (const part of path.split('/')) {
    if (part === '') return 'has an empty part';
    if (part === '.' || part === '..') return 'leaves its directory';
    if (Buffer.byteLength(part) > 255) return 'has a part of over 255 bytes';
  }
  return undefined;
}

/** `a` and `a/b` of `a/b/c`. */
export function directoriesAbove(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(1).map((_, n) => parts.slice(0, n + 1).join('/'));
}

/** Reads a manifest that an enemy may have written. Throws a Failure of class bad-data that names the first wrong field. */
export const parseManifest = (text: string): Manifest => readManifest(parseManifestText(text));

/** Signed text as a value of which no field was looked at yet. Throws `bad-data`. */
export function parseManifestText(text: string): Readonly<Record<string, unknown>> {
  if (Buffer.byteLength(text) > maxManifestBytes) throw refuse('text', `has over ${maxManifestBytes} bytes`);
  return parseObject(text, refuse);
}

/** Throws `bad-data`. */
export function readManifest(value: unknown): Manifest {
  const field = fieldsOf(value, 'manifest', refuse);
  if (field.number('format') !== 1) throw refuse('format', 'is not 1');
  const files = field.list('files', maxFiles).map((entry, n) => parseFile(entry, `files[${n}]`));
  const manifest: Manifest = {
    format: 1,
    stream: field.matching('stream', isStream),
    epoch: parseEpochField(field.raw('epoch')),
    sequence: field.count('sequence', 1),
    source: field.text('source', 255),
    target: field.text('target', 255),
    capturedAt: field.text('capturedAt', 40),
    platform: field.text('platform', 40),
    build: field.text('build', 200),
    ...field.optionalText('program', 40),
    kind: field.oneOf('kind', ['whole', 'delta'] as const),
    ...field.optionalText('base', 64),
    digest: field.matching('digest', isDigest),
    files,
    deleted: field.list('deleted', maxFiles).map((path, n) => parsePath(path, `deleted[${n}]`)),
    needs: field.list('needs', 100).map((entry, n) => parseNeed(entry, `needs[${n}]`)),
    detail: field.object('detail'),
  };
  if (isTooDeep(manifest.detail)) throw refuse('manifest.detail', tooDeepProblem);
  refuseTwice(manifest);
  refuseAppendix(manifest);
  return manifest;
}

// Nobody puts anything else together: a tail would be kept and made live under the name of the whole.
function refuseAppendix({ stream, files }: Manifest): void {
  const at = files.findIndex(({ path, append }) => append !== undefined && !isInventory(stream, path));
  if (at >= 0) throw refuse(`files[${at}].append`, 'only the inventory of a CA is appended to');
}
const isInventory = (stream: string, path: string): boolean => stream === 'sync-certs' && path === 'inventory.txt';

// A path that is both a file and a directory, or that stands twice, would make the result depend on the order. A file
// may lie below one that is deleted: it became a directory.
function refuseTwice({ files, deleted }: Manifest): void {
  const seen = new Set<string>();
  for (const path of [...files.map((file) => file.path), ...deleted]) {
    if (seen.has(path)) throw refuse(path, 'stands twice');
    seen.add(path);
  }
  const placed = new Set(files.map(({ path }) => path));
  for (const { path } of files) {
    if (directoriesAbove(path).some((directory) => placed.has(directory))) throw refuse(path, 'lies below a file');
  }
  if (seen.has(manifestName) || seen.has(signatureName)) throw refuse('files', 'use a reserved name');
}

function parseFile(value: unknown, where: string): ManifestFile {
  const field = fieldsOf(value, where, refuse);
  const size = field.count('size', 0);
  const append = field.raw('append');
  return {
    path: parsePath(field.raw('path'), `${where}.path`),
    size,
    sha256: field.matching('sha256', isSha256),
    mode: parseMode(field.count('mode', 0), where),
    owner: field.matching('owner', isAccount),
    group: field.matching('group', isAccount),
    ...(append === undefined ? {} : { append: parseAppend(append, size, `${where}.append`) }),
  };
}

function parseAppend(value: unknown, size: number, where: string): Append {
  const field = fieldsOf(value, where, refuse);
  const [prefixSha256, tailSha256] = [field.matching('prefixSha256', isSha256), field.matching('tailSha256', isSha256)];
  const from = field.count('from', 0);
  if (from > size) throw refuse(`${where}.from`, 'lies behind the end of the file');
  return { from, prefixSha256, tailSha256 };
}

function parseNeed(value: unknown, where: string): Need {
  const field = fieldsOf(value, where, refuse);
  return { file: parsePath(field.raw('file'), `${where}.file`), sha256: field.matching('sha256', isSha256) };
}

// Set-id bits never travel: the spare would run what the active says, as root.
function parseMode(mode: number, where: string): number {
  if (mode > 0o777) throw refuse(`${where}.mode`, 'has more than permission bits');
  return mode;
}

function parsePath(value: unknown, where: string): string {
  if (typeof value !== 'string') throw refuse(where, 'is not text');
  const problem = pathProblem(value);
  if (problem !== undefined) throw refuse(where, problem);
  return value;
}

function parseEpochField(value: unknown): Epoch {
  if (!isEpoch(value)) throw refuse('epoch', 'is not {number, id}');
  return { number: value.number, id: value.id };
}

const isSha256 = (text: string): boolean => /^[0-9a-f]{64}$/.test(text);
export const isAccount = (text: string): boolean => /^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,31}\$?$/.test(text);

const refuse = (where: string, why: string): Failure => new Failure('bad-data', 'manifest refused', { where, why });
