import { dirname } from 'node:path';
import { Failure } from '../errors.ts';
import { keysId, linesOf, type KnownPeer, type Pairing } from '../rules/pairing.ts';
import { inTurn } from '../system/in-turn.ts';
import { ensureDirectory, hasOwnership, readIfThere, writeFileAtomic, type Ownership } from '../system/files.ts';

/** What the peer's key may do here: everything that the gate lets through, or only ask who we are. */
export type KeyScope = 'drops' | 'hello-only';

export interface AuthorizedKeys {
  /** Whether it stands there already, with the owner that sshd wants. */
  isWritten(peer: KnownPeer, scope: KeyScope): Promise<boolean>;
  /** Writes the transfer user's lines, one for each key of the peer; true when it was not so already. */
  write(peer: KnownPeer, scope: KeyScope): Promise<boolean>;
  /** The same, with the scope that stands there; nothing where nobody is let in yet. */
  rewrite(peer: KnownPeer): Promise<void>;
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
  const directory = { ...parts.ownership, mode: 0o750 };
  const textFor = (peer: KnownPeer, scope: KeyScope): string =>
    linesOf(peer)
      .map((line) => `${keyLine(parts, line, scope)}\n`)
      .join('');
  const isWritten = async (peer: KnownPeer, scope: KeyScope): Promise<boolean> =>
    (await readIfThere(parts.path)) === textFor(peer, scope) &&
    (await hasOwnership(parts.path, parts.ownership)) &&
    (await hasOwnership(dirname(parts.path), directory));
  const write = async (peer: KnownPeer, scope: KeyScope): Promise<boolean> => {
    if (await isWritten(peer, scope)) return false;
    await ensureDirectory(dirname(parts.path), directory);
    await writeFileAtomic(parts.path, textFor(peer, scope), parts.ownership);
    return true;
  };
  const turn = inTurn(); // a change of roles may narrow it at the moment when the peer changes its keys
  return {
    isWritten,
    write: (peer, scope) => turn(() => write(peer, scope)),
    rewrite: (peer) =>
      turn(async () => {
        const text = await readIfThere(parts.path);
        if (text !== undefined) await write(peer, text.includes(` ${helloOnly}`) ? 'hello-only' : 'drops');
      }),
  };
}

const helloOnly = '--hello-only';

/** Whether a line of authorized_keys is one that this program wrote. */
export const isOurKeyLine = (line: string): boolean => /^restrict,command="\S+ receive --peer [^"]*" /.test(line);

/** `restrict` takes everything away; the command is all that is left. */
export function keyLine(
  { program, root }: Pick<AuthorizedKeysParts, 'program' | 'root'>,
  peer: Pairing,
  scope: KeyScope,
): string {
  const words = [program, 'receive', '--peer', peer.certname];
  if (root !== '/') words.push('--root', root);
  if (scope === 'hello-only') words.push(helloOnly);
  words.push('--login', keysId(peer));
  const unsafe = words.find((word) => !/^[A-Za-z0-9._/:@-]+$/.test(word));
  if (unsafe !== undefined) {
    throw new Failure('config', 'path cannot stand in a forced command', {
      where: unsafe,
      hint: 'Use a path of letters, digits, dots and dashes',
    });
  }
  return `restrict,command="${words.join(' ')}" ${peer.transferKey} pe-failover:${peer.certname}`;
}
