import { join } from 'node:path';
import { isErrno } from '../errors.ts';
import { CommandError, type Exec } from '../system/exec.ts';
import { listDirectory } from '../system/files.ts';

/** The packages that make a master, by name; none where no package manager knows one. */
export async function auditPackages(exec: Exec, signal: AbortSignal): Promise<Map<string, string>> {
  const said = (await askDpkg(exec, signal)) ?? (await askRpm(exec, signal)) ?? '';
  const rows = said.split('\n').flatMap((line) => {
    const [name, version] = line.trim().split(' ');
    return name === undefined || version === undefined || !isOurs(name) ? [] : [[name, version] as const];
  });
  return new Map(rows.slice(0, 900));
}

const isOurs = (name: string): boolean =>
  /^(pe-[\w.-]+|puppet-agent|puppet-master|puppet|puppetserver|puppetdb|puppetdb-termini|openvox[\w-]*|postgresql-\d+|ruby-puppet[\w-]*)$/.test(
    name,
  );

const askDpkg = (exec: Exec, signal: AbortSignal): Promise<string | undefined> =>
  ask(exec, 'dpkg-query', ['-W', '-f', '${Package} ${Version} ${db:Status-Status}\\n'], signal).then((said) =>
    said?.replaceAll(/^.* (?!installed$)\S*$/gm, '').replaceAll(/ installed$/gm, ''),
  );

const askRpm = (exec: Exec, signal: AbortSignal): Promise<string | undefined> =>
  ask(exec, 'rpm', ['-qa', '--queryformat', '%{NAME} %{VERSION}-%{RELEASE}\\n'], signal);

/** Undefined where there is no such tool. */
async function ask(exec: Exec, file: string, args: string[], signal: AbortSignal): Promise<string | undefined> {
  try {
    return (await exec({ file, args, timeoutMs: 15_000, signal })).stdout;
  } catch (error) {
    if (error instanceof CommandError && isErrno(error.cause, 'ENOENT')) return undefined;
    throw error instanceof CommandError ? error.toFailure('the packages cannot be asked for') : error;
  }
}

/** Puppet Server's own gems that an admin may have added: `puppetserver gem list` takes half a minute. */
const gemHomes = [
  '/opt/puppetlabs/server/data/puppetserver/jruby-gems',
  '/var/lib/puppetserver/jruby-gems',
  '/var/lib/puppet/jruby-gems',
];

/** `NAME-VERSION`, sorted. */
export async function auditGems(root: string): Promise<string[]> {
  const names: string[] = [];
  for (const home of gemHomes) names.push(...(await listDirectory(join(root, home, 'specifications'))));
  const gems = names.flatMap((name) => /^(.+)\.gemspec$/.exec(name)?.[1]?.slice(0, 200) ?? []);
  return [...new Set(gems)].sort().slice(0, 5000);
}
