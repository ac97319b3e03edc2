import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parseDocument } from 'yaml';
import { Failure, isErrno, toFailure } from '../errors.ts';
import { setFacts, unsetFacts } from '../rules/fact-text.ts';
import { judgeRole, sameRole, type FactFile, type Role } from '../rules/role.ts';
import type { Clock } from './clock.ts';
import type { Watching, WatchListener } from './watch.ts';

export interface FactOptions {
  readonly path: string;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly watch: (directory: string, listener: WatchListener) => Watching;
  /** The first judgement, and then each one of another text. */
  readonly onRole: (judged: JudgedFact) => void;
  /** Group and mode that are put back when an editor changed them; the file's own otherwise. */
  readonly keep?: { readonly gid: number; readonly mode: number };
}

export interface JudgedFact {
  readonly role: Role;
  /** Of the text that was judged, hexadecimal; of nothing where there is no file. */
  readonly sha256: string;
}

const agreeMs = 200;
const pollMs = 1000;
const maxBytes = 64 * 1024;

/** The role as the file says now, after one read. */
export async function readRole(path: string): Promise<JudgedFact> {
  const { fact, sha256 } = await readFact(path);
  return { role: judgeRole(fact, path), sha256 };
}

/** One fact of the file, as text; undefined where it is not there, or nothing can be read. */
export async function readOneFact(path: string, name: string): Promise<string | undefined> {
  const { fact } = await readFact(path);
  const value = (Object(fact.kind === 'read' ? fact.value : undefined) as Readonly<Record<string, unknown>>)[name];
  return typeof value === 'string' ? value : undefined;
}

/**
 * Follows the fact file until the signal fires, however it is edited. A role counts when two reads 200 ms apart agree,
 * so a file caught half-written suspends nothing. Watches the directory, and looks each second: a watch can be lost.
 */
export async function followRole(options: FactOptions, signal: AbortSignal): Promise<void> {
  const { path, clock, onRole } = options;
  let hinted: boolean;
  let wake = (): void => undefined;
  const hint = (): void => {
    hinted = true;
    wake();
  };
  const watching = options.watch(dirname(path), { changed: hint, lost: hint, failed: () => undefined });
  const pause = async (ms: number): Promise<void> => {
    const woken = new AbortController();
    wake = () => woken.abort();
    signal.addEventListener('abort', wake, { once: true });
    if (signal.aborted) wake();
    await clock.sleep(ms, woken.signal).catch(() => undefined);
    signal.removeEventListener('abort', wake);
    wake = () => undefined;
  };
  let settled: JudgedFact | undefined;
  while (!signal.aborted) {
    hinted = false;
    const judged = await readRole(path);
    if (settled === undefined || !same(judged, settled)) {
      await clock.sleep(agreeMs, signal).catch(() => undefined);
      if (signal.aborted) break;
      if (!same(judged, await readRole(path))) continue;
      settled = judged;
      onRole(judged);
    }
    if (options.keep !== undefined) await putBack(path, options.keep);
    if (!hinted) await pause(pollMs);
  }
  await watching.close();
}

const same = (a: JudgedFact, b: JudgedFact): boolean => a.sha256 === b.sha256 && sameRole(a.role, b.role);

async function readFact(path: string): Promise<{ fact: FactFile; sha256: string }> {
  try {
    const bytes = await readLimited(path);
    return { fact: parseFact(bytes.toString('utf8')), sha256: createHash('sha256').update(bytes).digest('hex') };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return { fact: { kind: 'missing' }, sha256: '' };
    return { fact: { kind: 'unreadable', why: toFailure(error).why ?? 'no cause given' }, sha256: '' };
  }
}

// Not waited for: a pipe in its place must not stop the agent.
async function readLimited(path: string): Promise<Buffer> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!(await handle.stat()).isFile()) throw new Error('it is not a regular file');
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
    if (bytesRead > maxBytes) throw new Error(`it is over ${maxBytes / 1024} kB long`);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** With these facts set. Throws `config` where the text is in another form than a fact a line, and would be spoilt by it. */
export function withFacts(text: string, facts: Readonly<Record<string, string>>, path: string): string {
  const changed = setFacts(text, facts);
  const read = parseFact(changed);
  const found = Object(read.kind === 'read' ? read.value : undefined) as Readonly<Record<string, unknown>>;
  if (Object.entries(facts).every(([name, value]) => found[name] === value)) return changed;
  const why = read.kind === 'unreadable' ? `it would be ${read.why}` : 'it is not one fact a line';
  const lines = Object.entries(facts).map(([name, value]) => `${name}: ${value}`);
  throw new Failure('config', 'the facts cannot be added to the file', {
    where: path,
    why,
    hint: `Write them there by hand: ${lines.join(', ')}`,
  });
}

/** Without these facts. Throws `config` where the text is in another form than a fact a line. */
export function withoutTheseFacts(text: string, names: readonly string[], path: string): string {
  const changed = unsetFacts(text, names);
  if (names.every((name) => factIn(changed, name) === undefined)) return changed;
  const why = 'it is not one fact a line';
  const hint = `Take them out by hand: ${names.join(', ')}`;
  throw new Failure('config', 'the facts cannot be taken out of the file', { where: path, why, hint });
}

/** The text of one fact; undefined where it is none. */
export function factIn(text: string, name: string): string | undefined {
  const read = parseFact(text);
  const value = (Object(read.kind === 'read' ? read.value : undefined) as Readonly<Record<string, unknown>>)[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Whatever it holds: what no YAML can be made of is unreadable. */
export function parseFact(text: string): FactFile {
  try {
    // A map as a key takes time by the cube of its depth: 27 s for 800 bytes.
    const document = parseDocument(text, { logLevel: 'silent', stringKeys: true });
    const [error] = document.errors;
    if (error !== undefined) return { kind: 'unreadable', why: notYaml(error) };
    return { kind: 'read', value: document.toJS() as unknown };
  } catch (error) {
    return { kind: 'unreadable', why: notYaml(error) }; // nested too deeply, or an alias of nothing
  }
}

const notYaml = (error: unknown): string =>
  `not YAML (${String((error instanceof Error ? error.message : '').split('\n')[0]).slice(0, 200)})`;

// A link is somebody's intention, and left alone.
async function putBack(path: string, { gid, mode }: { readonly gid: number; readonly mode: number }): Promise<void> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const found = await handle.stat();
      if (!found.isFile()) return;
      if (found.gid !== gid) await handle.chown(found.uid, gid);
      if ((found.mode & 0o7777) !== mode) await handle.chmod(mode);
    } finally {
      await handle.close();
    }
  } catch {
    // gone again, or not ours to change: the next look, or the one who reads it, says so
  }
}
