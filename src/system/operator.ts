import { readAccounts } from './accounts.ts';
import { readIfThere } from './files.ts';

/** Who logged in and typed this: "alice, as root, from 192.0.2.7". What sudo or ssh say of it can be forged by root alone. */
export async function whoTypes(environment: NodeJS.ProcessEnv = process.env): Promise<string> {
  const accounts = await readAccounts();
  const now = accounts.userName(process.getuid?.() ?? 0);
  const login = Number((await readIfThere('/proc/self/loginuid'))?.trim() ?? noLogin);
  const name = login < noLogin ? accounts.userName(login) : (environment['SUDO_USER'] ?? now);
  const from = /^([0-9a-fA-F.:]{2,45}) /.exec(environment['SSH_CONNECTION'] ?? '')?.[1];
  return `${name}${name === now ? '' : `, as ${now}`}${from === undefined ? '' : `, from ${from}`}`;
}

/** The kernel's word for nobody: a service, or a container. */
const noLogin = 4_294_967_295;
