import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { Failure, toFailure } from '../errors.ts';
import type { Directory } from '../rules/files-plan.ts';
import type { DropReference } from '../rules/receipt.ts';
import { addWeight, formatSetDigest, hexOfWeight, removeWeight, weightOfHex } from '../rules/set-digest.ts';

export interface AcceptedEntry {
  readonly path: string;
  readonly mode: number;
  /** Bytes. */
  readonly size: number;
  readonly sha256: string;
  /** Of the file where this set is kept, in nanoseconds; 0n: never believe it, always compare the content. */
  readonly mtimeNs: bigint;
  /** What the entry adds to the digest: `fileWeight` of rules/set-digest.ts, or 0n where it is left out. */
  readonly weight: bigint;
  /** Names, for where the file is made again. Not noted of every file, and not part of the digest. */
  readonly owner?: string;
  readonly group?: string;
}

export interface SetChanges {
  readonly put: readonly AcceptedEntry[];
  readonly remove: readonly string[];
  /** What files lie in, as far as it is to be made again. */
  readonly directories?: readonly Directory[];
}

export type SetReference = Pick<DropReference, 'epoch' | 'sequence'>;

/** The set of files that the active last had applied, with its running digest and the drop that it came by. */
export interface AcceptedSet {
  get(path: string): AcceptedEntry | undefined;
  all(): Generator<AcceptedEntry>;
  /** How many paths begin with `prefix`. */
  count(prefix?: string): number;
  /** Those noted that an entry lies in. */
  directories(): Directory[];
  /** `sha256:HEX`; of an empty set: 64 zeros. */
  digest(): string;
  /** The digest that `commit` of these changes would lead to. */
  digestAfter(changes: SetChanges): string;
  /** Undefined until the first commit. */
  reference(): SetReference | undefined;
  /** Durable, whole or not at all. */
  commit(changes: SetChanges, reference: SetReference): void;
  /** Replaces the whole set, in one transaction. */
  rebuild(entries: Iterable<AcceptedEntry>, reference: SetReference, directories?: readonly Directory[]): void;
  close(): void;
}

// WITHOUT ROWID: one tree, ordered by path. FULL: a commit survives a loss of power.
const schema = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS entry (path TEXT PRIMARY KEY, mode INTEGER NOT NULL, size INTEGER NOT NULL,
    sha256 TEXT NOT NULL, mtime_ns INTEGER NOT NULL, weight TEXT NOT NULL, owner TEXT, "group" TEXT) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS directory (path TEXT PRIMARY KEY, mode INTEGER NOT NULL, owner TEXT NOT NULL,
    "group" TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER NOT NULL,
    sum TEXT NOT NULL, reference TEXT);
  INSERT OR IGNORE INTO state VALUES (1, 1, '', NULL);`;

/** Columns of `entry` that a file of an earlier version lacks. */
const laterColumns = ['owner', 'group'];

/** Opens or makes `state/STREAM.db`. A commit that was killed is as if it had never begun. */
export function openAcceptedSet(path: string): AcceptedSet {
  const database = open(path);
  const statements = prepare(database);
  let { sum, reference } = readState(database, path);
  const write = (nextSum: bigint, next: SetReference, change: () => void): void => {
    inTransaction(database, path, () => {
      change();
      statements.state.run(hexOfWeight(nextSum), JSON.stringify({ epoch: next.epoch, sequence: next.sequence }));
    });
    [sum, reference] = [nextSum, next];
  };
  const get = (name: string): AcceptedEntry | undefined => toEntry(statements.get.get(name));
  const sumAfter = (changes: SetChanges): bigint => sumWith(sum, get, changes);
  return {
    get,
    all: () => entries(statements.all),
    count: (prefix = '') => Number(statements.count.get(prefix.length, prefix)?.['n']),
    directories: () => statements.directories.all().map(toDirectory),
    digest: () => formatSetDigest(sum),
    digestAfter: (changes) => formatSetDigest(sumAfter(changes)),
    reference: () => reference,
    commit: (changes, next) =>
      write(sumAfter(changes), next, () => {
        for (const name of changes.remove) statements.remove.run(name);
        for (const entry of changes.put) put(statements.put, entry);
        note(statements, changes.directories ?? []);
      }),
    rebuild: (whole, next, directories = []) => {
      const list = [...whole];
      const total = list.reduce((so, { weight }) => addWeight(so, weight), 0n);
      write(total, next, () => {
        database.exec('DELETE FROM entry; DELETE FROM directory');
        for (const entry of list) put(statements.put, entry);
        note(statements, directories);
      });
    },
    close: () => database.close(),
  };
}

function* entries(statement: StatementSync): Generator<AcceptedEntry> {
  for (const row of statement.iterate()) yield toEntry(row) as AcceptedEntry;
}

/** A path that is removed and put counts as put. */
function sumWith(sum: bigint, get: AcceptedSet['get'], { put, remove }: SetChanges): bigint {
  let next = sum;
  for (const path of new Set([...remove, ...put.map((entry) => entry.path)])) {
    next = removeWeight(next, get(path)?.weight ?? 0n);
  }
  for (const { weight } of put) next = addWeight(next, weight);
  return next;
}

function open(path: string): DatabaseSync {
  try {
    const database = new DatabaseSync(path, { readBigInts: true, timeout: 5_000 });
    database.exec(schema);
    addLaterColumns(database, path);
    return database;
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function addLaterColumns(database: DatabaseSync, path: string): void {
  const lacking = (): string[] => {
    const known = new Set(
      database
        .prepare('PRAGMA table_info(entry)')
        .all()
        .map((column) => column['name']),
    );
    return laterColumns.filter((name) => !known.has(name));
  };
  if (lacking().length === 0) return;
  inTransaction(database, path, () => {
    for (const name of lacking()) database.exec(`ALTER TABLE entry ADD COLUMN "${name}" TEXT`);
  });
}

function readState(database: DatabaseSync, path: string): { sum: bigint; reference: SetReference | undefined } {
  try {
    const row = database.prepare('SELECT sum, reference, format FROM state').get();
    if (row?.['format'] !== 1n) throw new Error('its format is another one');
    const { sum, reference } = row as { sum: string; reference: string | null };
    return {
      sum: weightOfHex(sum),
      reference: reference === null ? undefined : (JSON.parse(reference) as SetReference),
    };
  } catch (cause) {
    database.close();
    throw unreadable(path, cause);
  }
}

// The set is a copy of what the other side knows: without it the next drop is a whole one.
function unreadable(path: string, cause: unknown): Failure {
  const failure = toFailure(cause instanceof Error ? Object.assign(cause, { path }) : cause);
  if (failure.class === 'dependency') return failure; // the disk's fault: the set is whole
  const why = cause instanceof Error ? cause.message : String(cause);
  const hint = `It is made again from a whole compare: mv ${path} ${path}.old`;
  return new Failure('config', 'accepted set is unreadable', { where: path, why, hint, cause });
}

const prepare = (database: DatabaseSync) => ({
  get: database.prepare('SELECT * FROM entry WHERE path = ?'),
  all: database.prepare('SELECT * FROM entry ORDER BY path'),
  count: database.prepare('SELECT count(*) AS n FROM entry WHERE substr(path, 1, ?) = ?'),
  put: database.prepare('INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)'),
  remove: database.prepare('DELETE FROM entry WHERE path = ?'),
  state: database.prepare('UPDATE state SET sum = ?, reference = ?'),
  directories: database.prepare('SELECT * FROM directory'),
  note: database.prepare('INSERT OR REPLACE INTO directory VALUES (?, ?, ?, ?)'),
  // "0" is the character behind "/": all paths below, found in the order of the table.
  forget: database.prepare(`DELETE FROM directory WHERE NOT EXISTS (SELECT 1 FROM entry
    WHERE entry.path > directory.path || '/' AND entry.path < directory.path || '0')`),
});

function put(statement: StatementSync, entry: AcceptedEntry): void {
  const { path, mode, size, sha256, mtimeNs, weight, owner = null, group = null } = entry;
  statement.run(path, mode, size, sha256, mtimeNs, hexOfWeight(weight), owner, group);
}

function note(statements: ReturnType<typeof prepare>, directories: readonly Directory[]): void {
  for (const { path, mode, owner, group } of directories) statements.note.run(path, mode, owner, group);
  statements.forget.run();
}

const toDirectory = ({ path, mode, owner, group }: Record<string, unknown>): Directory => ({
  path: String(path),
  mode: Number(mode),
  owner: String(owner),
  group: String(group),
});

function toEntry(row: Record<string, unknown> | undefined): AcceptedEntry | undefined {
  if (row === undefined) return undefined;
  const { path, mode, size, sha256, mtime_ns, weight, owner, group } = row as Record<string, string | bigint | null>;
  return {
    path: String(path),
    mode: Number(mode),
    size: Number(size),
    sha256: String(sha256),
    mtimeNs: BigInt(mtime_ns ?? 0),
    weight: weightOfHex(String(weight)),
    ...(typeof owner === 'string' ? { owner } : {}),
    ...(typeof group === 'string' ? { group } : {}),
  };
}

function inTransaction(database: DatabaseSync, path: string, work: () => void): void {
  try {
    database.exec('BEGIN IMMEDIATE');
    work();
    database.exec('COMMIT');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error instanceof Error ? Object.assign(error, { path }) : error;
  }
}
