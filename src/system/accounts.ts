import { readFile } from 'node:fs/promises';

/** The machine's own users and groups, by name and by number. */
export interface Accounts {
  userName(uid: number): string;
  groupName(gid: number): string;
  /** Undefined: there is no such user (yet). */
  uid(name: string): number | undefined;
  gid(name: string): number | undefined;
}

/** Numbers without a name stand for themselves. Read once: make it again for each pass. */
export async function readAccounts(passwd = '/etc/passwd', group = '/etc/group'): Promise<Accounts> {
  const [users, groups] = [await readIds(passwd), await readIds(group)];
  const [userNames, groupNames] = [invert(users), invert(groups)];
  return {
    userName: (uid) => userNames.get(uid) ?? String(uid),
    groupName: (gid) => groupNames.get(gid) ?? String(gid),
    uid: (name) => users.get(name) ?? numeric(name),
    gid: (name) => groups.get(name) ?? numeric(name),
  };
}

async function readIds(path: string): Promise<Map<string, number>> {
  const lines = (await readFile(path, 'utf8')).split('\n').map((line) => line.split(':'));
  return new Map(lines.filter((fields) => fields.length > 2).map((fields) => [fields[0] ?? '', Number(fields[2])]));
}

// The first name of a number wins, as in getpwuid.
const invert = (ids: Map<string, number>): Map<number, string> =>
  new Map([...ids].reverse().map(([name, id]) => [id, name]));

const numeric = (name: string): number | undefined => (/^\d{1,9}$/.test(name) ? Number(name) : undefined);
