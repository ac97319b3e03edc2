import { existsSync, readFileSync, statSync } from 'node:fs';
import { eventually } from './eventually.ts';
import type { Host } from './host.ts';

/** What rsyslog of a host has written since this was made, or since the last line that was waited for. */
export interface Syslog {
  /** Waits for a line of ours; lines before it are not found again. */
  says(pattern: RegExp, withinMs?: number): Promise<string>;
  /** All lines of ours since it was made. */
  lines(): readonly string[];
  /** Forgets what was written until now. */
  forget(): void;
}

export function readSyslog(host: Host, path = '/var/log/syslog'): Syslog {
  const file = host.path(path);
  let from = existsSync(file) ? statSync(file).size : 0;
  let read = 0;
  const lines = (): string[] =>
    existsSync(file)
      ? readFileSync(file)
          .subarray(from)
          .toString('utf8')
          .split('\n')
          .slice(0, -1)
          .filter((line) => line.includes('PE_FAILOVER'))
      : [];
  return {
    lines,
    forget: () => {
      from = existsSync(file) ? statSync(file).size : 0;
      read = 0;
    },
    says: async (pattern, withinMs = 30_000) => {
      const find = (): string | undefined => {
        const all = lines();
        const at = all.findIndex((line, n) => n >= read && pattern.test(line));
        if (at < 0) return undefined;
        read = at + 1;
        return all[at];
      };
      return await eventually(`${host.name} says ${String(pattern)}`, find, { withinMs }).catch((error: unknown) => {
        throw new Error(`${host.name} did not say ${String(pattern)}; it said:\n${lines().slice(-40).join('\n')}`, {
          cause: error,
        });
      });
    },
  };
}
