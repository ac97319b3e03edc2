import { readdir, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Failure, isErrno } from '../errors.ts';
import { isTemporary, keyNames, kindOf, topNames } from '../rules/ca-paths.ts';
import { pathProblem } from '../rules/manifest.ts';
import { CommandError, type Exec } from '../system/exec.ts';

export interface CaLocation {
  /** From the configuration; otherwise puppet is asked. */
  readonly override?: string;
  readonly puppet?: string;
}

/** The CA directory with its symbolic links resolved: a watch on a link sees nothing. */
export async function resolveCaDirectory(
  exec: Exec,
  { override, puppet }: CaLocation,
  signal: AbortSignal,
): Promise<string> {
  return await resolveAsFarAsThere(override ?? (await askPuppet(exec, puppet ?? 'puppet', signal)));
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
async function askPuppet(exec: Exec, puppet: string, signal: AbortSignal): Promise<string> {
  const args = ['config', 'print', 'cadir', '--section', 'server'];
  try {
    const { stdout } = await exec({ file: puppet, args, timeoutMs: 60_000, signal });
    const path = stdout.trim().split('\n').at(-1) ?? '';
    if (path.startsWith('/')) return path;
    throw new Failure('config', 'puppet names no CA directory', { where: `${puppet} ${args.join(' ')}`, why: path });
  } catch (error) {
    throw puppetFailure(error, 'cadir');
  }
}

/** Of a puppet that is not there, or does not know the setting. */
export function puppetFailure(error: unknown, setting: string): unknown {
  if (!(error instanceof CommandError)) return error;
  const isMissing = isErrno(error.cause, 'ENOENT');
  const hint = 'Set paths.puppet in the configuration';
  const details = { why: error.message, hint, cause: error };
  return new Failure(isMissing ? 'config' : 'dependency', `puppet could not be asked for ${setting}`, details);
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
