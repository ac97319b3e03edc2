import { chmod, readFile } from 'node:fs/promises';
import { Failure } from '../errors.ts';
import type { Exec } from './exec.ts';
import { readIfThere, writeFileAtomic } from './files.ts';

const timeoutMs = 30_000;

/** Makes an ssh key, `PATH` and `PATH.pub`: Ed25519, or ECDSA P-256 where FIPS refuses that. On disk when it returns. */
export async function makeTransferKey(exec: Exec, path: string): Promise<void> {
  const make = (type: readonly string[]): Promise<unknown> =>
    exec({ file: 'ssh-keygen', args: ['-q', ...type, '-N', '', '-C', 'pe-failover', '-f', path], timeoutMs });
  if ((await readIfThere(path)) === undefined)
    await make(['-t', 'ed25519']).catch(() => make(['-t', 'ecdsa', '-b', '256'])); // FIPS refuses Ed25519
  await chmod(path, 0o600);
  await writeFileAtomic(path, await readFile(path), { mode: 0o600 });
  // Killed between the two files: ssh-keygen writes the private key first.
  const { stdout } = await exec({ file: 'ssh-keygen', args: ['-y', '-f', path], timeoutMs });
  await writeFileAtomic(`${path}.pub`, stdout, { mode: 0o644 });
}

/** `KEYTYPE BASE64` of a public key file. Throws `config` with the hint where it is missing. */
export async function readPublicKey(path: string, hint: string): Promise<string> {
  const text = await readIfThere(path);
  if (text === undefined) throw new Failure('config', 'key is missing', { where: path, hint });
  return text.trim().split(' ').slice(0, 2).join(' ');
}
