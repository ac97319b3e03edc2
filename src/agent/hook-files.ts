import { lstat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { Failure } from '../errors.ts';
import {
  hookEvents,
  isHookEvent,
  judgeHook,
  judgeHookDirectory,
  type FoundHook,
  type HookEvent,
  type HookStanding,
} from '../rules/hooks.ts';
import type { Paths } from '../rules/paths.ts';
import { listDirectory } from '../system/files.ts';

/** A file in the directory of an event, and whether it is run. */
export interface Hook {
  readonly event: HookEvent;
  /** `promoted/10-dns` */
  readonly name: string;
  readonly path: string;
  readonly standing: HookStanding;
}

/** What lies in the directory of an event, in the order in which it is run. */
export async function hooksOfEvent(directory: string, event: HookEvent): Promise<Hook[]> {
  const below = join(directory, event);
  const names = (await listDirectory(below)).sort();
  if (names.length === 0) return [];
  const unsafe = (await standingOf(directory)) ?? (await standingOf(below));
  const hooks = await Promise.all(names.map((name) => lookAt(below, event, name)));
  return hooks
    .filter((hook) => hook !== undefined)
    .map((hook) => (unsafe === undefined || hook.standing.is === 'off' ? hook : { ...hook, standing: unsafe }));
}

/** Throws `usage` where there is no such event. */
export function demandEvent(name: string): HookEvent {
  if (isHookEvent(name)) return name;
  throw new Failure('usage', 'there is no such event', { where: name, hint: `Events: ${hookEvents.join(', ')}` });
}

/** All that is there, and what is wrong with it. */
export async function listHooks(directory: string): Promise<{ readonly hooks: Hook[]; readonly problems: Failure[] }> {
  const hooks = (await Promise.all(hookEvents.map((event) => hooksOfEvent(directory, event)))).flat();
  const strange = (await listDirectory(directory)).filter((name) => !isHookEvent(name));
  const problems = [
    ...strange.map(
      (name) =>
        new Failure('config', `there is no event ${name}`, {
          where: join(directory, name),
          hint: `Events: ${hookEvents.join(', ')}`,
        }),
    ),
    ...hooks.flatMap(({ name, standing }) =>
      standing.is === 'refused'
        ? [new Failure('config', `${name} is not run`, { why: standing.why, hint: standing.hint })]
        : [],
    ),
  ];
  return { hooks, problems };
}

/** For `check`: a sentence when all is well, or throws what is not. */
export async function checkHooks({ hooks: directory }: Pick<Paths, 'hooks'>): Promise<string> {
  const { hooks, problems } = await listHooks(directory);
  if (problems.length > 0) throw new AggregateError(problems);
  const run = hooks.filter(({ standing }) => standing.is === 'good').map(({ name }) => name);
  return run.length === 0 ? 'none' : run.join(', ');
}

/** Root's, and below a root of its own those of who runs it. */
const owners = (): number[] => [userInfo().uid, 0];

async function standingOf(path: string): Promise<HookStanding | undefined> {
  const standing = judgeHookDirectory(await find(path), owners());
  return standing.is === 'good' ? undefined : standing;
}

async function lookAt(directory: string, event: HookEvent, name: string): Promise<Hook | undefined> {
  const path = join(directory, name);
  const found = await find(path).catch(() => undefined); // removed meanwhile
  return found && { event, name: `${event}/${name}`, path, standing: judgeHook(name, found, owners()) };
}

async function find(path: string): Promise<FoundHook> {
  const found = await lstat(path);
  const kind = found.isFile() ? 'file' : found.isDirectory() ? 'directory' : found.isSymbolicLink() ? 'link' : 'other';
  return { path, kind, mode: found.mode, uid: found.uid };
}
