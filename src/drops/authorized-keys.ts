import { dirname } from 'node:path';
import { Failure } from '../errors.ts';
import type { Pairing } from '../rules/pairing.ts';
import { ensureDirectory, readIfThere, writeFileAtomic, type Ownership } from '../system/files.ts';

/** What the peer's key may do here: everything that the gate lets through, or only ask who we are. */
export type KeyScope = 'drops' | 'hello-only';

export interface AuthorizedKeys {
  /** Writes the one line of the transfer user; true when it was not so already. */
  write(peer: Pairing, scope: KeyScope): Promise<boolean>;
}

export interface AuthorizedKeysParts {
  readonly path: string;
  /** The launcher of this program; stands in the forced command. */
  readonly program: string;
  readonly root: string;
  /** Of the file; its directory gets the same owner. sshd refuses what the user itself could write. */
  readonly ownership: Ownership;
}

export function createAuthorizedKeys(parts: AuthorizedKeysParts): AuthorizedKeys {
  return {
    write: async (peer, scope) => {
      const line = `${keyLine(parts, peer, scope)}\n`;
      if ((await readIfThere(parts.path)) === line) return false;
      await ensureDirectory(dirname(parts.path), { ...parts.ownership, mode: 0o750 });
      await writeFileAtomic(parts.path, line, parts.ownership);
      return true;
    },
  };
}

/** `restrict` takes everything away; the command is all that is left. */
export function keyLine(
  { program, root }: Pick<AuthorizedKeysParts, 'program' | 'root'>,
  peer: Pairing,
  scope: KeyScope,
): string {
  const words = [program, 'receive', '--peer', peer.certname];
  if (root !== '/') words.push('--root', root);
  if (scope === 'hello-only') words.push('--hello-only');
  const unsafe = words.find((word) => !/^[A-Za-z0-9._/:@-]+$/.test(word));
  if (unsafe !== undefined) {
    throw new Failure('config', 'path cannot stand in a forced command', {
      where: unsafe,
      hint: 'Use a path of letters, digits, dots and dashes',
    });
  }
  return `restrict,command="${words.join(' ')}" ${peer.transferKey} pe-failover:${peer.certname}`;
}
