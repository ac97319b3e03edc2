import { Failure, toFailure } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import type { HttpClient } from '../system/http-client.ts';

/** States of the status API: running, starting, stopping, error, unknown. */
export type ServiceStates = ReadonlyMap<string, string>;

const path = '/status/v1/services';
const requestMs = 40_000; // the services' own limit for an answer is 30 s

/** What each service behind `base` (`https://HOST:PORT`) says of itself. 503 is an answer too: not all are running. */
export async function serviceStates(http: HttpClient, base: string, signal: AbortSignal): Promise<ServiceStates> {
  const url = new URL(`${path}?level=critical`, base).href;
  const { text } = await http({ method: 'GET', url, signal, timeoutMs: requestMs, accept: [200, 503] });
  return new Map(Object.entries(parseStates(text, url)));
}

export interface Readiness {
  readonly base: string;
  /** Each must say `running`. */
  readonly services: readonly string[];
  /** How long refused connections and other states are waited for. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
}

/** Waits until services are running. Throws the last reason as a Failure (unreachable, dependency) at the limit. */
export async function waitUntilRunning(http: HttpClient, clock: Clock, wanted: Readiness): Promise<void> {
  const end = clock.monotonic() + wanted.limitMs;
  for (let pause = 250; ; pause = Math.min(pause * 2, 5_000)) {
    const problem = await whyNotRunning(http, wanted);
    if (problem === undefined) return;
    if (clock.monotonic() + pause > end) throw problem;
    await clock.sleep(pause, wanted.signal);
  }
}

async function whyNotRunning(http: HttpClient, { base, services, signal }: Readiness): Promise<Failure | undefined> {
  try {
    const states = await serviceStates(http, base, signal);
    const missing = services.filter((name) => states.get(name) !== 'running');
    if (missing.length === 0) return undefined;
    const why = missing.map((name) => `${name} is ${states.get(name) ?? 'not there'}`).join(', ');
    return new Failure('dependency', 'services are not running', { where: base, why });
  } catch (error) {
    const failure = toFailure(error);
    if (failure.class === 'unreachable' || failure.class === 'dependency') return failure;
    throw error;
  }
}

function parseStates(text: string, url: string): Record<string, string> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return Object.fromEntries(Object.entries(value).map(([name, of]) => [name, stateOf(of)]));
    }
  } catch {
    // said below
  }
  throw new Failure('dependency', 'the status of the services can not be read', { where: url, why: 'not an object' });
}

const stateOf = (value: unknown): string =>
  typeof value === 'object' && value !== null && 'state' in value && typeof value.state === 'string'
    ? value.state
    : 'unknown';
