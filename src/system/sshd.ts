import { Failure, isErrno } from '../errors.ts';
import { CommandError, type Exec } from './exec.ts';

export interface TestLogin {
  readonly user: string;
  readonly host: string;
  readonly address: string;
  readonly port: number;
}

/** What this machine's sshd goes by when that user logs in from there, as `sshd -T` prints it. */
export async function askSshd(exec: Exec, { user, host, address, port }: TestLogin): Promise<string> {
  // Each that a Match may ask for: sshd refuses to answer where one is missing.
  const from = { user, host, addr: address, laddr: address, lport: String(port) };
  const specification = Object.entries(from).map(([name, value]) => `${name}=${value}`);
  const args = ['-T', '-C', specification.join(',')];
  const asked = await exec({ file: 'sshd', args, timeoutMs: 15_000 }).catch((error: unknown) => {
    throw sshdFailure(error, args);
  });
  return asked.stdout;
}

function sshdFailure(error: unknown, args: readonly string[]): unknown {
  if (!(error instanceof CommandError)) return error;
  if (isErrno(error.cause, 'ENOENT')) {
    const hint = 'Type: apt-get install openssh-server, or dnf install openssh-server, and start it';
    return new Failure('config', 'sshd is not on this machine', { hint, cause: error });
  }
  // Made when sshd starts, which a socket may not have done yet.
  const lacksDirectory = /privilege separation directory: (\S+)/.exec(error.stderr)?.[1];
  const hint =
    lacksDirectory === undefined ? `Type: sshd ${args.join(' ')}` : `Type: mkdir -p -m 0755 ${lacksDirectory}`;
  return new Failure('config', 'sshd does not tell its settings', { why: error.message, hint, cause: error });
}
