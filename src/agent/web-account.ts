import { webComment, webUser } from '../rules/web-account.ts';
import { readAccounts } from '../system/accounts.ts';
import type { Exec } from '../system/exec.ts';
import { readUserAccount } from '../system/user-account.ts';
import { accountRemoved } from './account-removal.ts';
import type { Change } from './change.ts';
import { changeAccounts } from './transfer-account.ts';

interface WebAccountParts {
  readonly exec: Exec;
}

const gid = async (): Promise<number | undefined> => (await readAccounts()).gid(webUser);

/** The user of the web process, who owns nothing, and its group. One that is there is taken as it is. */
export function webAccount({ exec }: WebAccountParts): Change[] {
  const parts = { exec, user: webUser };
  const isMissing = async (): Promise<boolean> => (await readUserAccount(webUser)) === undefined;
  return [
    {
      what: `make the user ${webUser}, who answers load balancers and owns nothing`,
      isNeeded: isMissing,
      make: async () => {
        const group = (await gid()) === undefined ? ['--user-group'] : ['--gid', webUser];
        const dress = ['--home-dir', '/nonexistent', '--no-create-home', '--shell', '/usr/sbin/nologin'];
        await changeAccounts(parts, 'useradd', ['--system', ...group, ...dress, '--comment', webComment, webUser]);
      },
    },
    {
      what: `make the group ${webUser}`,
      isNeeded: async () => !(await isMissing()) && (await gid()) === undefined,
      make: () => changeAccounts(parts, 'groupadd', ['--system', webUser]),
    },
  ];
}

export const webAccountRemoved = ({ exec }: WebAccountParts): Change[] =>
  accountRemoved({
    exec,
    user: webUser,
    isOurs: ({ uid, comment }) => uid !== 0 && comment === webComment,
    ending: `end what runs as ${webUser}`,
  });
