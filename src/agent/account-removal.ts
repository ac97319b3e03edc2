import type { UserAccount } from '../rules/transfer-account.ts';
import { readAccounts } from '../system/accounts.ts';
import type { Exec } from '../system/exec.ts';
import { endProcessesOf, processesOf } from '../system/processes.ts';
import { readUserAccount } from '../system/user-account.ts';
import type { Change } from './change.ts';
import { changeAccounts } from './transfer-account.ts';

export interface AccountRemoval {
  readonly exec: Exec;
  readonly user: string;
  readonly isOurs: (account: UserAccount) => boolean;
  /** What it is to end its processes, as the admin reads it. */
  readonly ending: string;
}

/** A user of ours, with what runs as it, and its group. */
export const accountRemoved = (removal: AccountRemoval): Change[] => [
  endProcesses(removal),
  removeUser(removal),
  removeGroup(removal),
];

async function ownAccount({ user, isOurs }: AccountRemoval): Promise<UserAccount | undefined> {
  const account = await readUserAccount(user);
  return account !== undefined && isOurs(account) ? account : undefined;
}

const endProcesses = (removal: AccountRemoval): Change => ({
  what: removal.ending,
  isNeeded: async () => {
    const account = await ownAccount(removal);
    return account !== undefined && (await processesOf(account.uid)).length > 0;
  },
  make: async () => {
    const account = await ownAccount(removal);
    if (account !== undefined) await endProcessesOf(account.uid);
  },
});

const removeUser = (removal: AccountRemoval): Change => ({
  what: `remove the user ${removal.user}`,
  isNeeded: async () => (await ownAccount(removal)) !== undefined,
  make: () => changeAccounts(removal, 'userdel', [removal.user]),
});

// Most distributions remove it with its user.
const removeGroup = (removal: AccountRemoval): Change => ({
  what: `remove the group ${removal.user}`,
  isNeeded: async () =>
    (await readUserAccount(removal.user)) === undefined && (await readAccounts()).gid(removal.user) !== undefined,
  make: () => changeAccounts(removal, 'groupdel', [removal.user]),
});
