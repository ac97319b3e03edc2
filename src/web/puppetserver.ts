import { toFailure } from '../errors.ts';
import type { HttpClient } from '../system/http-client.ts';

/** Why puppetserver of this machine does not serve; undefined: it does. Never throws. */
export type AskPuppetserver = () => Promise<string | undefined>;

const limitMs = 5_000;
const freshMs = 1_000;

/** Its status API at `base` (`https://ADDRESS:PORT`). However many ask, it is asked once a second. */
export function createPuppetserver(http: HttpClient, base: string, monotonic: () => number): AskPuppetserver {
  let last: { readonly at: number; readonly word: Promise<string | undefined> } | undefined;
  return () => {
    if (last === undefined || monotonic() - last.at >= freshMs) {
      const word = askOnce(http, new URL('/status/v1/simple', base).href);
      const asked = { at: Infinity, word };
      last = asked;
      void word.then(() => (asked.at = monotonic())); // asked again so long after it answered
    }
    return last.word;
  };
}

/** Without a status API it answers all the same, as its own certificate shows: it serves. */
const withoutStatus = [401, 403, 404];

async function askOnce(http: HttpClient, url: string): Promise<string | undefined> {
  try {
    const limits = { timeoutMs: limitMs, connectTimeoutMs: limitMs, limitBytes: 4096 };
    const { signal } = new AbortController();
    const accept = [200, 503, ...withoutStatus];
    const { status, text } = await http({ method: 'GET', url, signal, accept, ...limits });
    if (withoutStatus.includes(status) || (status === 200 && text.trim() === 'running')) return undefined;
    return `it says ${JSON.stringify(text.trim().slice(0, 40))}`;
  } catch (error) {
    return toFailure(error).message;
  }
}
