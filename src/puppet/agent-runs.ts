import { join } from 'node:path';
import { Failure, isErrno } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import { CommandError, type Exec } from '../system/exec.ts';
import { readIfThere } from '../system/files.ts';

/** Runs of the Puppet agent on this host, which would start services that we stopped. */
export interface AgentRuns {
  /** Forbids runs with our message. Where somebody else forbade them before, theirs stays. */
  disable(message: string): Promise<void>;
  /** Allows runs again, if it was this message that forbade them. */
  enable(message: string): Promise<void>;
  /** True once no run is under way, false when one still is after this many milliseconds. Rejects with AbortError. */
  untilIdle(withinMs: number, signal: AbortSignal): Promise<boolean>;
}

export interface AgentRunsOptions {
  /** Such as /opt/puppetlabs/bin/puppet. */
  readonly puppet: string;
  /** `puppet config print statedir`: the agent's lock files lie there. */
  readonly stateDirectory: string;
}

const commandMs = 120_000;
const pollMs = 250;

export function createAgentRuns({ puppet, stateDirectory }: AgentRunsOptions, exec: Exec, clock: Clock): AgentRuns {
  const disabled = join(stateDirectory, 'agent_disabled.lock');
  const running = join(stateDirectory, 'agent_catalog_run.lock');
  const run = async (args: readonly string[]): Promise<void> => {
    await exec({ file: puppet, args: ['agent', ...args], timeoutMs: commandMs }).catch((error: unknown) => {
      if (!(error instanceof CommandError)) throw error;
      throw error.toFailure('cannot control Puppet agent runs', `Type it by hand: ${puppet} agent ${args.join(' ')}`);
    });
  };
  return {
    disable: async (message) => {
      if ((await readIfThere(disabled)) === undefined) await run(['--disable', message]);
    },
    enable: async (message) => {
      if (messageOf(await readIfThere(disabled)) === message) await run(['--enable']);
    },
    untilIdle: async (withinMs, signal) => {
      const end = clock.monotonic() + withinMs;
      while (isAlive(await readIfThere(running))) {
        if (clock.monotonic() >= end) return false;
        await clock.sleep(pollMs, signal);
      }
      return true;
    },
  };
}

/** A host without an agent: nothing starts our services behind our back. */
export const noAgentRuns: AgentRuns = {
  disable: async () => undefined,
  enable: async () => undefined,
  untilIdle: async () => true,
};

function messageOf(text: string | undefined): string | undefined {
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    const message = typeof value === 'object' && value !== null ? Object.entries(value) : [];
    return message.find(([key]) => key === 'disabled_message')?.[1] as string | undefined;
  } catch {
    return undefined; // not in Puppet's words: not ours
  }
}

// The lock file outlives a killed agent; its process does not.
function isAlive(pid: string | undefined): boolean {
  const number = Number(pid?.trim());
  if (pid === undefined || !Number.isSafeInteger(number) || number <= 0) return false;
  try {
    process.kill(number, 0);
    return true;
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return false;
    if (isErrno(error, 'EPERM')) return true;
    throw new Failure('bug', 'cannot look for a process', { where: `pid ${number}`, cause: error });
  }
}
