import Rsync from 'rsync';
import { Failure } from '../errors.ts';
import { senderOptions } from '../rules/push-options.ts';
import { CommandError, type Exec } from './exec.ts';
import { watchHeadway } from './headway.ts';

export interface PushCommand {
  /** A drop in the outbox; its content is sent. */
  readonly directory: string;
  /** The request that takes the place of rsync's name on the other side: `push STREAM EPOCH ...`. */
  readonly request: string;
  readonly remoteShell: string;
  readonly host: string;
  readonly bulk: boolean;
  /** In KiB a second; 0 is unlimited. */
  readonly bandwidthLimit: number;
  /** The only end to a push that makes headway. */
  readonly signal: AbortSignal;
  readonly onErrorLine: (line: string) => void;
}

export type RsyncPush = (command: PushCommand) => Promise<void>;

/**
 * How long nothing may move. Behind rsync's own --timeout, which ends what it waits for in a transfer: not an rsync that was
 * stopped itself, nor the wait for a gate that was. A gate may have a large dump to bring to the disk meanwhile.
 */
const stillAfterMs = (bulk: boolean): number => (bulk ? 600_000 : 60_000);

/** rsync to the gate. Throws a Failure by rsync's exit code; the gate's own words come by `onErrorLine`. */
export function createRsyncPush(exec: Exec, stillMs: (bulk: boolean) => number = stillAfterMs): RsyncPush {
  return async (command) => {
    const { directory, host, onErrorLine, bulk } = command;
    const still = new AbortController();
    const signal = AbortSignal.any([command.signal, still.signal]);
    let endWatch = (): void => undefined;
    const onStart = (pid: number): void => {
      const limitMs = stillMs(bulk);
      endWatch = watchHeadway(pid, limitMs, () => still.abort(stoodStill(host, limitMs)));
    };
    const args = [
      ...optionsOf(command),
      '-e',
      command.remoteShell,
      `--rsync-path=${command.request}`,
      `${directory}/`,
      `${host}:.`,
    ];
    try {
      await exec({ file: 'rsync', args, signal, onErrorLine, onStart });
    } catch (error) {
      throw error instanceof CommandError ? byExitCode(error, host) : error;
    } finally {
      endWatch();
    }
  };
}

// The builder quotes for a shell what it takes as name and value; options written whole come out as they are.
function optionsOf({ bulk, bandwidthLimit }: PushCommand): string[] {
  const limit = bandwidthLimit > 0 ? [`--bwlimit=${bandwidthLimit}`] : [];
  const builder = new Rsync();
  for (const option of [...senderOptions(bulk), ...limit]) builder.set(option.replace(/^--/, ''));
  return builder.args();
}

const words: Readonly<Record<number, string>> = {
  2: 'the two rsyncs do not understand each other',
  10: 'the connection broke off',
  11: 'a file could not be read or written: is a disk full?',
  12: 'the connection broke off',
  20: 'rsync was ended',
  23: 'not every file could be sent',
  24: 'a file vanished while it was sent',
  30: 'the other side was silent for too long',
  35: 'the other side was silent for too long',
  255: 'the connection broke off',
};

const hints: Readonly<Record<number, string>> = {
  2: 'Install the same version of rsync on both masters',
  11: 'Free some space, here or on the spare; df -h shows how much is missing',
  24: 'It is captured anew',
};

const tryTheWay = 'It is tried again by itself. To try the way to the spare, type: pe-failover check';

const stoodStill = (host: string, ms: number): Failure =>
  new Failure('unreachable', 'Failed to sync', {
    where: host,
    why: `nothing moved for ${ms / 1000} s: rsync here, or the gate there, stands still`,
    hint: tryTheWay,
  });

function byExitCode(error: CommandError, host: string): Failure {
  if (error.exitCode === undefined && !error.timedOut && error.killedBy === undefined)
    return error.toFailure('rsync could not be started');
  const code = error.exitCode ?? 0;
  const errorClass = [11, 23].includes(code) ? 'dependency' : code === 24 ? 'bad-data' : 'unreachable';
  const said = error.message.slice(0, 500);
  return new Failure(errorClass, `Failed to sync. Exit code is: ${error.exitCode ?? error.killedBy ?? 'none'}`, {
    where: host,
    why: `${words[code] ?? 'rsync failed'} (${said})`,
    hint: hints[code] ?? tryTheWay,
    cause: error,
  });
}
