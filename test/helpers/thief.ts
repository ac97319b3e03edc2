import { userInfo } from 'node:os';
import { formatEpoch, type Epoch } from '../../src/rules/epoch.ts';
import { serverArguments } from '../../src/rules/push-options.ts';
import { requestText, withSignature } from '../../src/rules/signed-request.ts';
import { exec, type Result } from '../../src/system/exec.ts';
import type { TestPair } from './pair.ts';

export const nonce = 'ab'.repeat(16);

/** The words of a push, and of the rsync that it runs on the spare. */
export const pushWords = (epoch: Epoch, sequence: number, stream = 'sync-files'): string =>
  `push ${stream} ${formatEpoch(epoch)} ${sequence} sha256:${'0'.repeat(64)} ${nonce}`;
export const serverWords = serverArguments({ letters: 'iLsfxCIvu', bulk: false }).join(' ');

/** What the active's root makes of it. `target`: the master that it is meant for. */
export const signed = ({ a, b }: Pick<TestPair, 'a' | 'b'>, words: string, target = b.certname): string =>
  withSignature(words, a.signer.sign('request', requestText(words, target)));

/** Whoever has the active's transfer key, and ssh and rsync of his own. Any exit code is given back. */
export interface Thief {
  /** ssh's arguments up to the remote words. */
  login(...options: string[]): string[];
  ssh(options: readonly string[], words: readonly string[], input?: string): Promise<Result>;
  scp(...args: string[]): Promise<Result>;
  rsync(...args: string[]): Promise<Result>;
}

export function thiefOf({ a, sshd }: TestPair): Thief {
  const stolen = [
    ...['-F', '/dev/null', '-i', a.paths.keys.transfer, '-o', 'BatchMode=yes', '-o', 'IdentitiesOnly=yes'],
    ...['-o', `UserKnownHostsFile=${a.paths.keys.knownHosts}`, '-o', 'HostKeyAlias=127.0.0.1'],
  ];
  const accept = Array.from({ length: 255 }, (_, n) => n + 1);
  const run = (file: string, args: readonly string[], input?: string): Promise<Result> =>
    exec({ file, args, timeoutMs: 30_000, accept, ...(input === undefined ? {} : { input }) });
  const user = userInfo().username;
  const login = (...options: string[]): string[] => [
    ...[...stolen, '-p', String(sshd.port), '-l', user, ...options],
    '127.0.0.1',
  ];
  return {
    login,
    ssh: (options, words, input) => run('ssh', [...login(...options), ...words], input),
    scp: (...args) =>
      run('scp', [
        '-O',
        ...stolen,
        '-P',
        String(sshd.port),
        ...args.map((arg) => arg.replace('@', `${user}@127.0.0.1:`)),
      ]),
    rsync: (...args) => run('rsync', ['-e', ['ssh', ...stolen, '-p', sshd.port, '-l', user].join(' '), ...args]),
  };
}
