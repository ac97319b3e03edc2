import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect } from 'vitest';
import { processesOf, type RootedPair } from './hunted.ts';
import { until } from './trees.ts';

/** By name: what is there, to the byte. */
export type SpareState = Readonly<Record<string, string>>;

/**
 * Everything below a directory: type, mode, owner, links, time and content; of an accepted set its rows, because a reader
 * changes the files of SQLite. `mayChange`: names that are left out.
 */
export function stateBelow(directory: string, mayChange: readonly RegExp[] = []): SpareState {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
  const counted = names.filter((name) => !/\.db-(wal|shm)$/.test(name) && !mayChange.some((one) => one.test(name)));
  return Object.fromEntries(counted.map((name) => [name, described(join(directory, name))]));
}

function described(path: string): string {
  const stat = lstatSync(path, { bigint: true });
  const rights = `${(stat.mode & 0o7777n).toString(8)} ${stat.uid}:${stat.gid}`;
  if (stat.isSymbolicLink()) return `link to ${readlinkSync(path)}`;
  if (!stat.isFile()) return `${stat.isDirectory() ? 'directory' : 'special'} ${rights}`;
  if (path.endsWith('.db')) return `set ${rights} ${rowsOf(path)}`;
  const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex');
  return `file ${rights} ${stat.nlink} ${stat.mtimeNs} ${sha256}`;
}

function rowsOf(path: string): string {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const rows = ['entry', 'directory', 'state'].map((table) => {
      const all = database.prepare(`SELECT * FROM ${table} ORDER BY 1`);
      all.setReadBigInts(true);
      return JSON.stringify(all.all(), textOfBigInt);
    });
    return rows.join(' ');
  } finally {
    database.close();
  }
}
const textOfBigInt = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);

/** Until a pair runs nothing any more but its sshd and the connections to it: no case leaves a process behind. */
export const untilAlone = (pair: RootedPair): Promise<void> =>
  until('the end of all that a case started', () =>
    processesOf(pair).every(({ command }) => /^(\S*\/)?sshd?(-session)?:? /.test(command)),
  );

/** What no answer and no line may hold: a fault of ours, its place in the code, a key, a file of the machine, a command's output. */
const unseemly =
  /"class":"bug"|unexpected error|(Type|Range|Reference)Error|^ +at .+:\d+|node:internal|PRIVATE KEY|root:x:|uid=\d/m;

export function expectSentence(text: string, sentence: RegExp | string): void {
  expect(text).toMatch(sentence);
  expect(text).not.toMatch(unseemly);
}
