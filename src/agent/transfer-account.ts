import { Failure } from '../errors.ts';
import type { Paths } from '../rules/paths.ts';
import {
  accountComment,
  accountFaults,
  accountPassword,
  accountShell,
  repairKinds,
  repairOf,
  type RepairKind,
  type UserAccount,
} from '../rules/transfer-account.ts';
import { readAccounts } from '../system/accounts.ts';
import { CommandError, type Exec } from '../system/exec.ts';
import { readUserAccount } from '../system/user-account.ts';
import type { Change } from './change.ts';

export interface AccountParts {
  readonly exec: Exec;
  readonly paths: Pick<Paths, 'home'>;
  /** Name of the transfer user, and of its group. */
  readonly user: string;
}

/** The user who takes drops in: made, or one that is there mended. Its home is root's, and so is its authorized_keys. */
export function transferAccount(parts: AccountParts): Change[] {
  return [makeUser(parts), makeGroup(parts), ...repairKinds.map((kind) => repair(parts, kind))];
}

/** What keeps the transfer user from taking drops in; undefined: there is no such user. */
export async function faultsOfAccount(parts: AccountParts): Promise<RepairKind[] | undefined> {
  const account = await accountOf(parts);
  return account === undefined ? undefined : await faults(parts, account);
}

async function accountOf({ user }: AccountParts): Promise<UserAccount | undefined> {
  const account = await readUserAccount(user);
  if (account?.uid !== 0) return account;
  const hint = 'Set transfer.user in the configuration to a user who owns nothing else';
  throw new Failure('config', 'the transfer user has the rights of root', { where: user, hint });
}

const groupId = async ({ user }: AccountParts): Promise<number | undefined> => (await readAccounts()).gid(user);

const faults = async (parts: AccountParts, account: UserAccount): Promise<RepairKind[]> =>
  accountFaults(account, { home: parts.paths.home, gid: await groupId(parts) });

function makeUser(parts: AccountParts): Change {
  const { paths, user } = parts;
  return {
    what: `make the user ${user}, who takes drops in and owns nothing else`,
    isNeeded: async () => (await accountOf(parts)) === undefined,
    make: async () => {
      const group = (await groupId(parts)) === undefined ? ['--user-group'] : ['--gid', user];
      const dress = ['--home-dir', paths.home, '--no-create-home', '--shell', accountShell];
      const signs = ['--password', accountPassword, '--comment', accountComment];
      await changeAccounts(parts, 'useradd', ['--system', ...group, ...dress, ...signs, user]);
    },
  };
}

function makeGroup(parts: AccountParts): Change {
  const { user } = parts;
  return {
    what: `make the group ${user}`,
    isNeeded: async () => (await accountOf(parts)) !== undefined && (await groupId(parts)) === undefined,
    make: () => changeAccounts(parts, 'groupadd', ['--system', user]),
  };
}

function repair(parts: AccountParts, kind: RepairKind): Change {
  const { what, options } = repairOf(kind, parts.user, parts.paths.home);
  return {
    what,
    isNeeded: async () => (await faultsOfAccount(parts))?.includes(kind) === true,
    make: () => changeAccounts(parts, 'usermod', [...options, parts.user]),
  };
}

/** One of the tools that edit /etc/passwd and its like, which lock them. */
export async function changeAccounts(
  { exec, user }: Pick<AccountParts, 'exec' | 'user'>,
  file: 'useradd' | 'usermod' | 'userdel' | 'groupadd' | 'groupdel',
  args: readonly string[],
): Promise<void> {
  await exec({ file, args, timeoutMs: 60_000 }).catch((error: unknown) => {
    if (!(error instanceof CommandError)) throw error;
    throw error.toFailure(`${file} could not change ${user}`, `Type it by hand: ${file} ${args.join(' ')}`);
  });
}
