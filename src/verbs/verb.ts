import type { Options } from 'yargs';

/** One verb of the command line. Its room in commands/ is loaded when it is asked for. */
export interface Verb {
  readonly command: string;
  readonly describe: string;
  /** Of systemd's units, not of people: not shown by --help. */
  readonly hidden?: true;
  readonly options?: Readonly<Record<string, Options>>;
  /** Below the options in --help: exit codes, examples. */
  readonly epilogue?: string;
  /** Gives the exit code. */
  run(given: Given, signal: AbortSignal): Promise<number>;
}

export type Given = Readonly<Record<string, unknown>>;

export const root = ({ root: path }: Given): string => String(path);
export const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
export const flag = (describe: string): Options => ({ type: 'boolean', default: false, describe });
export const value = (describe: string): Options => ({ type: 'string', describe, requiresArg: true });
