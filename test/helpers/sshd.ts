import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';

export interface TestSshd extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
}

/** A port of loopback that nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** A real sshd of one master: its host key below `root`/etc/ssh, the authorized_keys of its transfer user. */
export async function startSshd(root: string, authorizedKeys: string, fixedPort?: number): Promise<TestSshd> {
  const port = fixedPort ?? (await freePort());
  const hostKey = join(root, 'etc/ssh/ssh_host_ed25519_key');
  mkdirSync(dirname(hostKey), { recursive: true });
  execFileSync('sh', ['-c', `[ -e "$1" ] || ssh-keygen -q -t ed25519 -N "" -f "$1"`, 'sh', hostKey]);
  if (userInfo().uid === 0) mkdirSync('/run/sshd', { recursive: true });
  const config = join(root, 'etc/ssh/sshd_config');
  writeFileSync(
    config,
    [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${hostKey}`,
      `AuthorizedKeysFile ${authorizedKeys}`,
      `PidFile ${root}/sshd.pid`,
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin yes',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PrintMotd no',
      'SetEnv SHLVL=1', // else a bash reads the tester's .bashrc at each push
      '',
    ].join('\n'),
  );
  const sshd = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  await new Promise<void>((resolve, reject) => {
    sshd.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk;
      if (said.includes('Server listening')) resolve();
    });
    sshd.once('exit', (code) => reject(new Error(`sshd ended with ${code}: ${said}`)));
  });
  const stop = async (): Promise<void> => {
    if (sshd.exitCode !== null || sshd.signalCode !== null) return;
    const ended = new Promise((resolve) => sshd.once('exit', resolve));
    sshd.kill();
    await ended;
  };
  return { port, pid: sshd.pid ?? 0, [Symbol.asyncDispose]: stop };
}
