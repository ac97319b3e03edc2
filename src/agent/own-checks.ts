import { knownPeer } from '../drops/greeter.ts';
import { Failure } from '../errors.ts';
import type { Paths } from '../rules/paths.ts';
import { hasSessions, parseSshdSettings, sshdProblems } from '../rules/sshd-settings.ts';
import { repairOf } from '../rules/transfer-account.ts';
import type { Exec } from '../system/exec.ts';
import { askSshd } from '../system/sshd.ts';
import { createState } from '../system/state.ts';
import { isLasting, unitStanding, type OwnUnits } from './own-units.ts';
import { faultsOfAccount } from './transfer-account.ts';

// What `check` asks of an installation on its own machine. Each says in a sentence that all is well, or throws what is not.

export interface CheckedParts {
  readonly exec: Exec;
  readonly paths: Paths;
  /** Name of the transfer user. */
  readonly user: string;
}

const again = 'Type again what installed this master: pe-failover install ...';

export async function checkAccount(parts: CheckedParts): Promise<string> {
  const { user, paths } = parts;
  const faults = await faultsOfAccount(parts);
  if (faults === undefined) throw new Failure('config', 'there is no such user', { where: user, hint: again });
  throwAll(
    faults.map((kind) => {
      const { what, options } = repairOf(kind, user, paths.home);
      const words = options.map((option) => (/^[\w/-]+$/.test(option) ? option : `'${option}'`)).join(' ');
      return new Failure('config', `it cannot take drops in until you ${what}`, {
        hint: `Type: usermod ${words} ${user}`,
      });
    }),
  );
  return `${user} can take drops in`;
}

/** By the configuration that sshd would start with now. */
export async function checkSshd(parts: CheckedParts): Promise<string> {
  const { exec, paths, user } = parts;
  const peer = await knownPeer(createState(paths.state));
  const host = peer?.certname ?? 'localhost';
  const said = await askSshd(exec, { user, host, address: '127.0.0.1', port: 22 });
  const { stdout } = await exec({ file: 'id', args: ['-Gn', '--', user], accept: [1], timeoutMs: 15_000 });
  const login = {
    user,
    groups: stdout.trim().split(/\s+/),
    home: paths.home,
    authorizedKeys: paths.authorizedKeys,
    keyTypes: peer === undefined ? [] : [peer.transferKey.split(' ')[0] ?? ''],
  };
  const settings = parseSshdSettings(said);
  throwAll(sshdProblems(settings, login).map(({ what, hint }) => new Failure('config', what, { hint })));
  const limits = hasSessions(settings) ? '' : '; UsePAM is not on, so its limits do not hold: docs/security.md';
  return `lets ${user} in, with a key that has one command${limits}`;
}

export async function checkUnits(units: OwnUnits): Promise<string> {
  const problems: Failure[] = [];
  for (const { unit, wanted, text, enabled, active } of await unitStanding(units)) {
    const add = (what: string, hint: string): void =>
      void problems.push(new Failure('config', `${unit} ${what}`, { hint }));
    if (text !== 'current') add(text === 'missing' ? 'is not there' : 'is not as this version writes it', again);
    else if (wanted && !enabled) add('does not start at boot', `Type: systemctl enable ${unit}`);
    if (text === 'missing' || !wanted || !isLasting(unit)) continue;
    // Also of one that counts as active: systemd tries it again and again.
    const unmade = await units.files.sandboxFailure(unit);
    if (unmade !== undefined) problems.push(unmade);
    else if (!active) add('does not run', `Type: systemctl start ${unit}`);
  }
  throwAll(problems);
  return 'enabled, and the agent runs';
}

function throwAll(problems: readonly Failure[]): void {
  if (problems.length > 0) throw new AggregateError(problems);
}
