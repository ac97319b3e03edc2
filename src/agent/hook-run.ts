import { basename } from 'node:path';
import { isErrno, toFailure } from '../errors.ts';
import { shortLines, type HookEnd, type HookEvent, type HookFields, type HookInput } from '../rules/hooks.ts';
import type { Clock } from '../system/clock.ts';
import { CommandError, type Exec } from '../system/exec.ts';
import type { Hook } from './hook-files.ts';

export interface HookRun {
  readonly exec: Exec;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** How many lines of each output are kept. */
  readonly lines?: number;
}

const outputLimitMb = 16;

/** Runs one hook to its end; what it started in its process group ends with it. Throws AbortError only. */
export async function runHook(hook: Hook, input: HookInput & HookFields[HookEvent], run: HookRun): Promise<HookEnd> {
  const { exec, clock, timeoutMs, signal, lines } = run;
  const begun = clock.monotonic();
  const end = (stdout: string, stderr: string, failed?: string): HookEnd => ({
    name: hook.name,
    said: shortLines(stdout, lines),
    complained: shortLines(stderr, lines),
    elapsedMs: clock.monotonic() - begun,
    ...(failed === undefined ? {} : { failed }),
  });
  try {
    const { stdout, stderr } = await exec({
      ...{ file: hook.path, args: [], name: basename(hook.path), timeoutMs, signal, outputLimitMb, endsGroup: true },
      env: { ...environmentOf(input), ...environmentsOf(input) },
      input: `${JSON.stringify(input)}\n`,
    });
    return end(stdout, stderr);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof CommandError)) throw error;
    return end(error.stdout, error.stderr, howItEnded(error, timeoutMs));
  }
}

/** For a shell without a reader of JSON. */
const environmentOf = ({ event, certname, peer, role, epoch, text }: HookInput): Record<string, string> => ({
  PE_FAILOVER_EVENT: event,
  PE_FAILOVER_CERTNAME: certname,
  PE_FAILOVER_PEER: peer ?? '',
  PE_FAILOVER_ROLE: role,
  PE_FAILOVER_EPOCH: epoch,
  PE_FAILOVER_TEXT: text.replaceAll('\0', ''),
});

const environmentsOf = (input: HookFields[HookEvent]): Record<string, string> =>
  'environments' in input ? { PE_FAILOVER_ENVIRONMENTS: input.environments.map(({ name }) => name).join(' ') } : {};

function howItEnded({ exitCode, killedBy, timedOut, cause, message }: CommandError, timeoutMs: number): string {
  if (timedOut) return `did not end within ${timeoutMs / 1000} s and was ended (hooks.timeout)`;
  if (exitCode !== undefined) return `failed with exit code ${exitCode}`;
  if (killedBy !== undefined) return `was ended by ${killedBy}`;
  if (isErrno(cause, 'ENOEXEC', 'ENOENT'))
    return 'could not be started: its first line must name a program, such as #!/bin/sh';
  return cause === undefined ? message : `could not be started: ${toFailure(cause).why ?? ''}`;
}
