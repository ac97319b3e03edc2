import { Failure } from '../errors.ts';
import { elsewhereHint } from '../rules/sandbox.ts';
import { CommandError, type Exec } from './exec.ts';

/** Starts and stops the services of this host. Each call ends within a deadline, whatever the service does. */
export interface ServiceManager {
  /** False for a unit that this host does not have. */
  exists(unit: string): Promise<boolean>;
  isActive(unit: string): Promise<boolean>;
  stop(unit: string): Promise<void>;
  start(unit: string): Promise<void>;
}

export interface ServiceDeadlines {
  readonly askMs: number;
  readonly changeMs: number;
}

/** A JVM may take minutes to start. */
export const defaultDeadlines: ServiceDeadlines = { askMs: 15_000, changeMs: 300_000 };

export function createSystemd(exec: Exec, deadlines: ServiceDeadlines = defaultDeadlines): ServiceManager {
  const ask = async (args: readonly string[], accept: readonly number[]): Promise<string> => {
    const asked = exec({ file: 'systemctl', args, accept, timeoutMs: deadlines.askMs });
    const { stdout } = await asked.catch((error: unknown) => {
      throw serviceFailure(error, 'cannot ask systemd', args.at(-1) ?? '');
    });
    return stdout.trim();
  };
  const change = async (verb: 'start' | 'stop', unit: string): Promise<void> => {
    await exec({ file: 'systemctl', args: [verb, '--', unit], timeoutMs: deadlines.changeMs }).catch(
      (error: unknown) => {
        throw serviceFailure(error, `cannot ${verb} service`, unit, `Look with: systemctl status ${unit}`);
      },
    );
  };
  return {
    exists: async (unit) => (await ask(['show', '-p', 'LoadState', '--value', '--', unit], [])) === 'loaded',
    // "activating" counts: it was meant to run.
    isActive: async (unit) => /^(active|activating|reloading)$/.test(await ask(['is-active', '--', unit], [3, 4])),
    stop: (unit) => change('stop', unit),
    start: (unit) => change('start', unit),
  };
}

/** How a service is handled where systemd does not: argument arrays. `status` answers by its exit code: 0 means it runs. */
export interface ServiceCommands {
  readonly status: readonly string[];
  readonly start: readonly string[];
  readonly stop: readonly string[];
}

export function createServiceCommands(
  exec: Exec,
  units: Readonly<Record<string, ServiceCommands>>,
  deadlines: ServiceDeadlines = defaultDeadlines,
): ServiceManager {
  const run = async (unit: string, verb: keyof ServiceCommands, accept: readonly number[]): Promise<number> => {
    const commands = units[unit];
    if (commands === undefined) {
      const hint = 'Add it to services.commands in the configuration';
      throw new Failure('config', 'no commands for service', { where: unit, hint });
    }
    const [file = '', ...args] = commands[verb];
    const timeoutMs = verb === 'status' ? deadlines.askMs : deadlines.changeMs;
    const result = await exec({ file, args, accept, timeoutMs, outlivesPass: true }).catch((error: unknown) => {
      // Never its arguments: what an admin wrote there may be secret.
      const hint = `Type by hand what services.commands in the configuration has for it. ${elsewhereHint}`;
      throw serviceFailure(error, `cannot ${verb} service`, unit, hint);
    });
    return result.exitCode;
  };
  return {
    exists: async (unit) => Object.hasOwn(units, unit),
    isActive: async (unit) => (await run(unit, 'status', [1, 3, 4])) === 0,
    stop: async (unit) => void (await run(unit, 'stop', [])),
    start: async (unit) => void (await run(unit, 'start', [])),
  };
}

export function serviceFailure(error: unknown, what: string, where: string, hint?: string): unknown {
  if (!(error instanceof CommandError)) return error;
  const details = { where, why: error.message, cause: error };
  return new Failure('dependency', what, hint === undefined ? details : { ...details, hint });
}
