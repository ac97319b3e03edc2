import { lstat, readdir, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isOurKeyLine } from '../drops/authorized-keys.ts';
import { isErrno } from '../errors.ts';
import type { Paths } from '../rules/paths.ts';
import { isOurAccount, type UserAccount } from '../rules/transfer-account.ts';
import type { Exec } from '../system/exec.ts';
import { readIfThere, removeIfThere, writeFileAtomic } from '../system/files.ts';
import { readUserAccount } from '../system/user-account.ts';
import { accountRemoved } from './account-removal.ts';
import type { Change } from './change.ts';

export interface RemovalParts {
  readonly paths: Paths;
  readonly exec: Exec;
  readonly system: boolean;
  /** Name of the transfer user. */
  readonly user: string;
}

/** The door for drops, and who opened it. ORDER: no new login, then no old one, then no user. */
export function doorRemoved(parts: RemovalParts): Change[] {
  const { exec, user, paths } = parts;
  const isOurs = (account: UserAccount): boolean => isOurAccount(account, paths.home);
  const ending = `end what runs as ${user}, sessions of the other master too`;
  const account = parts.system ? accountRemoved({ exec, user, isOurs, ending }) : [];
  return [removeKeyLine(parts), ...account, removeHome(parts)];
}

/** Who an admin had before, and named in the configuration: it is left. */
export async function foreignAccount({ paths, system, user }: RemovalParts): Promise<UserAccount | undefined> {
  const account = system ? await readUserAccount(user) : undefined;
  return account === undefined || isOurAccount(account, paths.home) ? undefined : account;
}

/** Lines of somebody else, if there are any; undefined: no file. */
async function foreignLines({ paths }: Pick<RemovalParts, 'paths'>): Promise<string[] | undefined> {
  const text = await readIfThere(paths.authorizedKeys);
  return text?.split('\n').filter((line) => line !== '' && !isOurKeyLine(line));
}

/** Nobody logs in any more. */
export function removeKeyLine(parts: Pick<RemovalParts, 'paths'>): Change {
  const { authorizedKeys } = parts.paths;
  return {
    what: `remove our line from ${authorizedKeys}`,
    isNeeded: async () => ((await readIfThere(authorizedKeys)) ?? '').split('\n').some(isOurKeyLine),
    make: async () => {
      const others = (await foreignLines(parts)) ?? [];
      if (others.length === 0) return await removeIfThere(authorizedKeys);
      const { mode, uid, gid } = await lstat(authorizedKeys);
      await writeFileAtomic(authorizedKeys, `${others.join('\n')}\n`, { mode: mode & 0o777, uid, gid });
    },
  };
}

/** Only where nothing of anybody lies in it. */
function removeHome(parts: RemovalParts): Change {
  const { home, authorizedKeys } = parts.paths;
  const ssh = dirname(authorizedKeys);
  return {
    what: `remove the home ${home}`,
    isNeeded: async () => {
      const names = await namesIn(home);
      if (names === undefined || names.some((name) => `${home}/${name}` !== ssh)) return false;
      if ((await foreignAccount(parts)) !== undefined) return false;
      const keys = (await namesIn(ssh)) ?? [];
      return (
        keys.every((name) => `${ssh}/${name}` === authorizedKeys) && ((await foreignLines(parts)) ?? []).length === 0
      );
    },
    make: async () => {
      await removeIfThere(authorizedKeys); // empty, if it is there
      await removeEmpty(ssh);
      await removeEmpty(home);
    },
  };
}

async function namesIn(path: string): Promise<string[] | undefined> {
  return await readdir(path).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  });
}

async function removeEmpty(path: string): Promise<void> {
  await rmdir(path).catch((error: unknown) => {
    if (!isErrno(error, 'ENOENT')) throw error;
  });
}
