import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Failure } from '../errors.ts';
import { parseHostReport, quoted, reportScript, type HostReport } from '../rules/host-report.ts';
import { programVersion } from '../rules/program.ts';
import { startChild } from '../system/exec.ts';
import type { RemoteResult, RunOptions, SshLogin } from '../system/ssh-login.ts';

/** A host on which this program is installed over ssh. */
export interface RemoteHost {
  report(signal: AbortSignal): Promise<HostReport>;
  /** Puts this program there; what was there before is kept beside it until it works. */
  copyProgram(signal: AbortSignal): Promise<void>;
  /** Runs this program there to its end. Throws what it says. */
  command(words: readonly string[], signal: AbortSignal): Promise<string>;
}

export interface RemoteParts {
  readonly login: SshLogin;
  /** Directory of this program here. */
  readonly home: string;
  /** Below which all lies there, `/` by default. */
  readonly root: string;
  readonly sudo: boolean;
}

const scriptMs = 120_000;
const copyMs = 1_800_000;
const commandMs = 600_000;

/** What of a checkout or a package is the program. */
const content = ['package.json', 'package-lock.json', 'LICENSE', 'bin', 'dist', 'facts', 'templates', 'node_modules'];

export function createRemoteHost({ login, home, root, sudo }: RemoteParts): RemoteHost {
  const below = root === '/' ? '' : root.replace(/\/+$/, '');
  const directory = `${below}/opt/pe_failover`;
  const run = (words: string, options: RunOptions): Promise<RemoteResult> =>
    login.run(`${sudo ? 'sudo -n -- ' : ''}${words}`, options);
  return {
    report: async (signal) => {
      const input = reportScript(below, directory);
      const { exitCode, stdout, stderr } = await run('sh -s', { input, timeoutMs: scriptMs, signal });
      if (exitCode === 0) return parseHostReport(stdout);
      throw new Failure('dependency', 'the host could not be looked at', {
        where: login.target.host,
        why: lastOf(stderr),
      });
    },
    copyProgram: (signal) => copyProgram(run, { home, directory, isSystem: below === '' }, signal),
    command: async (words, signal) => {
      const [verb = '', ...rest] = words;
      const line = [`${directory}/bin/pe-failover`, verb, ...(below === '' ? [] : ['--root', below]), ...rest];
      const { exitCode, stdout, stderr } = await run(line.map(quoted).join(' '), { timeoutMs: commandMs, signal });
      if (exitCode === 0) return stdout;
      throw new Failure('dependency', `pe-failover ${verb} failed there`, {
        where: login.target.host,
        why: lastOf(stderr === '' ? stdout : stderr),
      });
    },
  };
}

const lastOf = (text: string): string => text.trim().split('\n').slice(-3).join(' | ');

/** ORDER: the new one is whole and starts before the old one goes. */
async function copyProgram(
  run: (words: string, options: RunOptions) => Promise<RemoteResult>,
  { home, directory, isSystem }: { readonly home: string; readonly directory: string; readonly isSystem: boolean },
  signal: AbortSignal,
): Promise<void> {
  const [fresh, old] = [`${directory}.new`, `${directory}.old`].map(quoted) as [string, string];
  const place = quoted(directory);
  const script = [
    'set -e',
    `rm -rf ${fresh}; mkdir -p ${fresh}; tar -xzf - -C ${fresh}`,
    `[ "$(${fresh}/bin/pe-failover --version)" = ${quoted(programVersion)} ]`,
    `rm -rf ${old}; [ ! -e ${place} ] || mv ${place} ${old}; mv ${fresh} ${place}; rm -rf ${old}`,
    ...(isSystem ? [`ln -sfn ${place}/bin/pe-failover /usr/local/sbin/pe-failover`] : []),
  ].join('\n');
  const args = ['-C', home, '-czf', '-', '--', ...content.filter((name) => existsSync(join(home, name)))];
  const tar = startChild({ file: 'tar', args, outlivesPass: true }, ['ignore', 'pipe', 'ignore']);
  try {
    // What a child has said and nobody reads is thrown away when it ends.
    const input = tar.stdout?.pipe(new PassThrough()) ?? '';
    const { exitCode, stderr } = await run(`sh -c ${quoted(script)}`, { input, timeoutMs: copyMs, signal });
    const packed = await tar.ended;
    if (exitCode === 0 && packed.endsWith(' 0')) return;
    const why = lastOf(stderr) || `tar ${packed} here`;
    throw new Failure('dependency', 'the program could not be copied', { where: directory, why });
  } finally {
    await tar.stop();
  }
}
