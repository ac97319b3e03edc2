import { stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { Failure, isErrno } from '../errors.ts';
import { CommandError, type Exec } from '../system/exec.ts';
import type { State } from '../system/state.ts';

export interface PuppetPlace {
  readonly puppet: string;
  /** Where answers are kept: starting puppet takes a second or more of a whole core. */
  readonly memory?: State;
}

interface Remembered {
  readonly madeOf: string;
  readonly settings: Readonly<Record<string, string>>;
}

const name = 'puppet-settings';

interface Asking {
  readonly section?: string;
  readonly signal?: AbortSignal;
}

/** `puppet config print`. Throws what keeps puppet from answering. */
export async function printSetting(
  exec: Exec,
  place: PuppetPlace,
  setting: string,
  asking: Asking = {},
): Promise<string> {
  return (await printSettings(exec, place, [setting], asking)).get(setting) ?? '';
}

/** The same of several: puppet is started once. */
export async function printSettings(
  exec: Exec,
  { puppet, memory }: PuppetPlace,
  wanted: readonly string[],
  { section, signal }: Asking = {},
): Promise<ReadonlyMap<string, string>> {
  const madeOf = memory === undefined ? '' : await fingerprint(puppet);
  const known = await memory?.read<Remembered>(name).catch(() => undefined);
  const settings = known?.madeOf === madeOf ? known.settings : {};
  const keyOf = (setting: string): string => (section === undefined ? setting : `${section}.${setting}`);
  const missing = wanted.filter((setting) => settings[keyOf(setting)] === undefined);
  const asked = missing.length === 0 ? new Map<string, string>() : await ask(exec, puppet, missing, section, signal);
  const fresh = Object.fromEntries([...asked].map(([setting, value]) => [keyOf(setting), value]));
  // Only a help for the next one: before an installation there is no place for it, and another user may not write there.
  if (missing.length > 0)
    await memory?.write(name, { madeOf, settings: { ...settings, ...fresh } }).catch(() => undefined);
  return new Map(wanted.map((setting) => [setting, asked.get(setting) ?? settings[keyOf(setting)] ?? '']));
}

async function ask(
  exec: Exec,
  puppet: string,
  settings: readonly string[],
  section: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Map<string, string>> {
  const args = ['config', 'print', ...settings, ...(section === undefined ? [] : ['--section', section])];
  const { stdout } = await exec({ file: puppet, args, timeoutMs: 60_000, ...(signal && { signal }) }).catch(
    (error: unknown) => {
      throw puppetFailure(error, settings.join(', '));
    },
  );
  const lines = stdout.trim().split('\n');
  const [only] = settings;
  if (settings.length === 1 && only !== undefined) return new Map([[only, lines.at(-1) ?? '']]);
  // Of several it says `name = value` each.
  const pairs = lines.flatMap((line) => {
    const [, setting, value] = /^(\w+) = (.*)$/.exec(line) ?? [];
    return setting === undefined || value === undefined ? [] : [[setting, value.trim()] as const];
  });
  return new Map(pairs);
}

const sources = [
  ...['/etc/puppetlabs/puppet/puppet.conf', '/etc/puppet/puppet.conf'],
  ...['/opt/puppetlabs/bin/puppet', '/usr/bin/puppet'],
  ...['/etc/hostname', '/etc/hosts', '/etc/resolv.conf'], // of which facter makes a default certname
];

/** Another one when an answer may be another one, and every day. */
async function fingerprint(puppet: string): Promise<string> {
  const seen = await Promise.all([puppet, ...sources].map((path) => lookOf(path)));
  return [hostname(), new Date().toISOString().slice(0, 10), ...seen].join(' ');
}

const lookOf = (path: string): Promise<string> =>
  stat(path, { bigint: true }).then(
    ({ ino, size, mtimeNs }) => `${ino}.${size}.${mtimeNs}`,
    () => '-',
  );

/** Of a puppet that is not there, or does not know the setting. */
function puppetFailure(error: unknown, setting: string): unknown {
  if (!(error instanceof CommandError)) return error;
  const isMissing = isErrno(error.cause, 'ENOENT');
  const hint = 'Set paths.puppet in the configuration';
  const details = { why: error.message, hint, cause: error };
  return new Failure(isMissing ? 'config' : 'dependency', `puppet could not be asked for ${setting}`, details);
}
