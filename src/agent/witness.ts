import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno } from '../errors.ts';
import { CommandError, type Exec } from '../system/exec.ts';

/** Something outside the pair that may forbid a promotion. */
export interface Witness {
  /** Forbids while it is there. */
  readonly path?: string | undefined;
  /** Forbids by any exit code but 0; what it says is the reason. */
  readonly command?: readonly string[] | undefined;
}

/** Why no promotion may be now; undefined: nobody forbids it. A witness that does not answer forbids. */
export async function whyForbidden(
  { path, command }: Witness,
  exec: Exec,
  patienceMs = 10_000,
): Promise<string | undefined> {
  const byPath = path === undefined ? undefined : await ofPath(path, patienceMs);
  if (byPath !== undefined || command === undefined) return byPath;
  const [file = '', ...args] = command;
  try {
    await exec({ file, args, timeoutMs: patienceMs });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const [said = ''] = error.stdout.trim().split('\n');
    return said === '' ? error.message : `${file} says: ${said}`;
  }
}

// A share that hangs never answers, and nothing can end the question.
async function ofPath(path: string, patienceMs: number): Promise<string | undefined> {
  const answered = new AbortController();
  const silence = sleep(patienceMs, undefined, { signal: answered.signal, ref: false }).then(
    () => `${path} could not be looked at within ${patienceMs / 1000} s`,
  );
  silence.catch(() => undefined); // answered in time
  const look = stat(path).then(
    () => `${path} is there`,
    (error: unknown) => (isErrno(error, 'ENOENT') ? undefined : `${path} could not be looked at: ${String(error)}`),
  );
  return await Promise.race([look, silence]).finally(() => answered.abort());
}
