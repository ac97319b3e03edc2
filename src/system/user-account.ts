import type { UserAccount } from '../rules/transfer-account.ts';
import { readIfThere } from './files.ts';

/** What the machine's own files say of a user: undefined where there is none. Without a password where root alone may read it. */
export async function readUserAccount(
  name: string,
  passwd = '/etc/passwd',
  shadow = '/etc/shadow',
): Promise<UserAccount | undefined> {
  const entry = await fieldsOf(passwd, name);
  if (entry === undefined) return undefined;
  const [, , uid, gid, comment = '', home = '', shell = ''] = entry;
  const secret = await fieldsOf(shadow, name);
  const [, password, , , , , , expires = ''] = secret ?? [];
  return { name, uid: Number(uid), gid: Number(gid), comment, home, shell, password, expires };
}

async function fieldsOf(path: string, name: string): Promise<string[] | undefined> {
  const lines = ((await readIfThere(path)) ?? '').split('\n').map((line) => line.split(':'));
  return lines.find((fields) => fields[0] === name);
}
