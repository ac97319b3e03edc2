import type { Clock } from '../system/clock.ts';

/** What the services say of themselves. */
export interface Health {
  /** Of these names the ones that are not healthy now, with why. Never throws: no answer is an answer. */
  unhealthy(names: readonly string[]): Promise<ReadonlyMap<string, string>>;
}

/** Asks one URL with a deadline of its own. Throws when there is no answer. */
export type GetStatus = (url: string) => Promise<{ readonly status: number; readonly body: string }>;

/** The status API: `name` is a key below /status/v1/services of one of these base URLs, such as https://localhost:4433. */
export function createStatusHealth(get: GetStatus, baseUrls: readonly string[]): Health {
  return {
    unhealthy: async (names) => {
      if (names.length === 0) return new Map();
      const states = new Map<string, string>();
      const silent: string[] = [];
      for (const url of baseUrls) {
        const answer = await get(`${url}/status/v1/services`).catch((error: unknown) => String(error));
        if (typeof answer === 'string') silent.push(`${url}: ${answer}`);
        else for (const [name, state] of statesIn(answer.body)) states.set(name, state);
      }
      const bad = names.filter((name) => states.get(name) !== 'running');
      const silence = silent.length === 0 ? 'is not in the status' : silent.join('; ');
      return new Map(bad.map((name) => [name, states.has(name) ? `is ${states.get(name) ?? ''}` : silence]));
    },
  };
}

function statesIn(body: string): [string, string][] {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return [];
  }
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).map(([name, service]) => [name, String((service as { state?: unknown } | null)?.state)]);
}

const pollMs = 250;

/** Waits until all of these are healthy. Returns the sentence of what is still not, or undefined. Rejects with AbortError. */
export async function waitHealthy(
  health: Health,
  names: readonly string[],
  { withinMs, clock, signal }: { readonly withinMs: number; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<string | undefined> {
  const end = clock.monotonic() + withinMs;
  for (;;) {
    const bad = await health.unhealthy(names);
    if (bad.size === 0) return undefined;
    const sentence = [...bad].map(([name, why]) => `${name} ${why}`).join('; ');
    if (clock.monotonic() >= end) return sentence;
    await clock.sleep(pollMs, signal);
  }
}
