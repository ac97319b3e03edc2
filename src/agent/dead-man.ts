import { Failure, toFailure } from '../errors.ts';
import { termOf, verifiedSince, type Reported, type Verified } from '../rules/dead-man.ts';
import { failed, type Trouble } from '../rules/repeats.ts';
import { spokenDuration } from '../rules/spoken.ts';
import type { Clock } from '../system/clock.ts';
import type { HttpClient } from '../system/http-client.ts';
import { HttpError } from '../system/http-error.ts';
import type { JobLog } from '../system/log.ts';

export interface DeadManParts {
  /** Whoever knows it may ping: only its host is ever told. */
  readonly url: string;
  readonly everyMs: number;
  readonly timeoutMs: number;
  readonly http: HttpClient;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly log: JobLog;
}

/** A service elsewhere that raises an alarm when it hears nothing: it is shown each report of one life of the agent. */
export interface DeadMan {
  /** Returns at once: a ping goes on beside. */
  hear(report: Reported): void;
  /** Ends a ping that goes on. */
  close(): void;
}

const againMs = 60_000;

export function createDeadMan(parts: DeadManParts): DeadMan {
  let before: Verified | undefined;
  let going: { readonly term: string; readonly controller: AbortController } | undefined;
  let nextAt = -Infinity;
  let trouble: Trouble | undefined;
  const { clock, log, everyMs } = parts;
  const host = new URL(parts.url).host;
  const ping = async (verified: Verified, signal: AbortSignal): Promise<void> => {
    const { url, timeoutMs, http } = parts;
    try {
      await http({ method: 'GET', url, signal, timeoutMs, connectTimeoutMs: timeoutMs, limitBytes: 1_000_000 });
      [before, nextAt] = [verified, clock.monotonic() + everyMs];
      if (trouble !== undefined)
        log.success(
          `The dead-man URL at ${host} is pinged again after ${spokenDuration(clock.monotonic() - trouble.since)}`,
        );
      trouble = undefined;
    } catch (error) {
      if (signal.aborted) return;
      nextAt = clock.monotonic() + Math.min(everyMs, againMs);
      const why = whyOf(error);
      const told = failed(trouble, { class: 'unreachable', cause: why, where: host }, clock.monotonic());
      trouble = told.trouble;
      if (told.say !== undefined) log.warning(`The dead-man URL at ${host} could not be pinged: ${why}${told.say}`);
    }
  };
  return {
    hear: (report) => {
      if (going !== undefined && termOf(report) !== going.term) going.controller.abort();
      const verified = verifiedSince(before, report);
      if (verified === undefined || going !== undefined || clock.monotonic() < nextAt) return;
      const controller = new AbortController();
      going = { term: verified.term, controller };
      void ping(verified, controller.signal).finally(() => (going = undefined));
    },
    close: () => going?.controller.abort(),
  };
}

/** INVARIANT: neither the URL nor anything that the service said, which may repeat it. */
function whyOf(error: unknown): string {
  const { cause, what, where, why } = toFailure(error);
  if (!(cause instanceof HttpError))
    return new Failure('config', what, { ...(where && { where }), ...(why && { why }) }).message;
  const { status, kind } = cause;
  if (status === undefined) return `no answer (${kind})`;
  const isElsewhere = status >= 300 && status < 400;
  return isElsewhere
    ? `it answers with a redirection (status ${status}), which is not followed: write the address it leads to into deadman.url`
    : `it answers with status ${status}`;
}
