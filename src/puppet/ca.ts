import { readdir, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Failure, isErrno } from '../errors.ts';
import { isTemporary, keyNames, kindOf, topNames } from '../rules/ca-paths.ts';
import { pathProblem } from '../rules/manifest.ts';
import type { Exec } from '../system/exec.ts';
import { printSetting, type PuppetPlace } from './settings.ts';

export interface CaLocation extends PuppetPlace {
  /** From the configuration; otherwise puppet is asked. */
  readonly override?: string;
}

/** The CA directory with its symbolic links resolved: a watch on a link sees nothing. */
export async function resolveCaDirectory(
  exec: Exec,
  { override, ...place }: CaLocation,
  signal: AbortSignal,
): Promise<string> {
  return await resolveAsFarAsThere(override ?? (await askPuppet(exec, place, signal)));
}

/** A spare may have no CA yet: what is not there is where it will be. */
async function resolveAsFarAsThere(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    return join(await resolveAsFarAsThere(dirname(path)), basename(path));
  }
}

// Newer puppets have `cadir` in the section server, and warn on other output channels only.
async function askPuppet(exec: Exec, place: PuppetPlace, signal: AbortSignal): Promise<string> {
  const path = await printSetting(exec, place, 'cadir', { section: 'server', signal });
  if (path.startsWith('/')) return path;
  const where = `${place.puppet} config print cadir --section server`;
  throw new Failure('config', 'puppet names no CA directory', { where, why: path });
}

export interface CaListing {
  /** Relative to the CA directory. */
  readonly paths: readonly string[];
  /** Names that can't travel, with the reason. */
  readonly skipped: readonly string[];
}

/** All that travels of a CA directory. */
export async function listCa(cadir: string): Promise<CaListing> {
  const top = new Set(await namesIn(cadir));
  const signed = await namesIn(join(cadir, 'signed'));
  const paths = topNames.filter((name) => top.has(name));
  const skipped: string[] = [];
  for (const name of signed) {
    const path = `signed/${name}`;
    const problem = pathProblem(path);
    if (problem !== undefined) skipped.push(`${JSON.stringify(path)} ${problem}`);
    else if (kindOf(path) !== undefined) paths.push(path);
  }
  return { paths, skipped };
}

/** What a hint of the watcher (absolute, or relative to the CA directory) names, or undefined where it is none of ours. */
export function hintedPath(cadir: string, hint: string): string | undefined {
  const path = hint.startsWith(`${cadir}/`) ? hint.slice(cadir.length + 1) : hint;
  if (isTemporary(path) || keyNames.includes(path) || pathProblem(path) !== undefined) return undefined;
  return kindOf(path) === undefined ? undefined : path;
}

async function namesIn(directory: string): Promise<string[]> {
  return readdir(directory).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  });
}
