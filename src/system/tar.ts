import { open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Failure, isErrno } from '../errors.ts';
import { CommandError, type Exec } from './exec.ts';

/**
 * Packs a directory into a `.tar.gz` that its owner alone may read, beside its name and then renamed; gives its bytes. Throws
 * `refused` where `file` is there.
 */
export async function packDirectory(exec: Exec, directory: string, file: string, signal: AbortSignal): Promise<number> {
  const half = join(dirname(file), `.${basename(file)}.${process.pid}`);
  if ((await stat(file).catch(() => undefined)) !== undefined)
    throw new Failure('refused', 'there is such a file', { where: file, hint: 'Name another one: -o FILE' });
  // Made by us, so that nobody meets it with another mode; tar writes into what is there.
  const made = await open(half, 'wx', 0o600).catch((error: unknown) => {
    const hint = 'Name another place: -o FILE';
    if (isErrno(error, 'EACCES', 'ENOENT', 'ENOTDIR', 'EROFS'))
      throw new Failure('config', 'cannot be written', { where: file, why: String(error.code), hint, cause: error });
    throw error;
  });
  await made.close();
  try {
    const owner = ['--owner=root:0', '--group=root:0'];
    const args = [
      '--create',
      '--gzip',
      ...owner,
      `--file=${half}`,
      '-C',
      dirname(directory),
      '--',
      basename(directory),
    ];
    await exec({ file: 'tar', args, timeoutMs: 120_000, signal });
    await rename(half, file);
    return (await stat(file)).size;
  } catch (error) {
    await rm(half, { force: true });
    throw error instanceof CommandError ? error.toFailure('the files cannot be packed') : error;
  }
}
