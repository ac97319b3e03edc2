import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { AgentMaster } from './agents.ts';
import { pathsBelow } from './pair.ts';

export const hookPath = ({ root }: AgentMaster, name: string): string => join(pathsBelow(root).hooks, name);

/** An executable as an admin puts it there; `name` is `EVENT/NAME`. */
export function putHook(master: AgentMaster, name: string, script: string, mode = 0o755): void {
  const path = hookPath(master, name);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, mode); // whatever the umask
}

const notesOf = ({ root }: AgentMaster): string => join(root, 'told.jsonl');

/** Lets a hook of this event note what it reads; `told` has it. */
export const noteEvent = (master: AgentMaster, event: string, then = ''): void =>
  putHook(master, `${event}/10-note`, `cat >> ${notesOf(master)}\n${then}`);

/** What hooks have read, in order. */
export function told(master: AgentMaster, ...events: string[]): Record<string, unknown>[] {
  const path = notesOf(master);
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
  const all = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return events.length === 0 ? all : all.filter(({ event }) => events.includes(String(event)));
}
