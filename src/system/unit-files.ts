import { existsSync } from 'node:fs';
import { Failure } from '../errors.ts';
import { sandboxNotMade } from '../rules/sandbox.ts';
import type { Exec } from './exec.ts';
import { createSystemd, defaultDeadlines, serviceFailure, type ServiceManager } from './service-manager.ts';

/** systemd's own files: what it knows of units, and what starts at boot. */
export interface UnitFiles extends Omit<ServiceManager, 'exists'> {
  /** Where an admin's units lie. */
  readonly directory: string;
  /** Why its last start came to nothing, where it was the sandbox that systemd makes for it. */
  sandboxFailure(unit: string): Promise<Failure | undefined>;
  isEnabled(unit: string): Promise<boolean>;
  isKnown(unit: string): Promise<boolean>;
  /** Systemd goes by another text than the file has, or by one whose file is gone. */
  isStale(unit: string): Promise<boolean>;
  enable(unit: string): Promise<void>;
  disable(unit: string): Promise<void>;
  reload(): Promise<void>;
}

/** As sd_booted(3) tells. */
export const hasSystemd = (): boolean => existsSync('/run/systemd/system');

export function createUnitFiles(exec: Exec): UnitFiles {
  const run = async (args: readonly string[], accept: readonly number[] = []): Promise<string> => {
    const { stdout } = await exec({ file: 'systemctl', args, accept, timeoutMs: defaultDeadlines.askMs * 4 }).catch(
      (error: unknown) => {
        throw serviceFailure(error, 'systemctl failed', args.join(' '), `Type it by hand: systemctl ${args.join(' ')}`);
      },
    );
    return stdout.trim();
  };
  const services = createSystemd(exec);
  const sandboxFailure = async (unit: string): Promise<Failure | undefined> => {
    const part = sandboxNotMade(await run(['show', '-p', 'ExecStartPre', '-p', 'ExecStart', unit]));
    if (part === undefined) return undefined;
    const hint = `Look with: journalctl -u ${unit}. If this machine cannot have it (some containers), take it away: docs/security.md`;
    return new Failure('config', 'systemd cannot make the sandbox of the unit', { where: unit, why: part, hint });
  };
  return {
    directory: '/etc/systemd/system',
    isActive: services.isActive,
    stop: services.stop,
    // One that failed too often is not started again without this.
    start: async (unit) => {
      await run(['reset-failed', unit], [1, 4, 5]);
      await services.start(unit).catch(async (error: unknown) => {
        throw (await sandboxFailure(unit)) ?? error;
      });
    },
    sandboxFailure,
    isEnabled: async (unit) => (await run(['is-enabled', unit], [1, 4])) === 'enabled',
    isKnown: async (unit) => (await run(['show', '-p', 'LoadState', '--value', unit])) === 'loaded',
    isStale: async (unit) => (await run(['show', '-p', 'NeedDaemonReload', '--value', unit])) === 'yes',
    enable: async (unit) => void (await run(['enable', unit])),
    disable: async (unit) => void (await run(['disable', unit])),
    reload: async () => void (await run(['daemon-reload'])),
  };
}
