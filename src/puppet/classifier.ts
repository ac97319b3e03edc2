import { Failure, toFailure } from '../errors.ts';
import { canonicalGroups, parseGroups, type Group } from '../rules/groups.ts';
import { canonicalJson, digestOf, isJsonObject, parseJson, type JsonObject } from '../rules/json.ts';
import type { Clock } from '../system/clock.ts';
import type { HttpClient } from '../system/http-client.ts';
import { waitUntilRunning } from './services-status.ts';

export interface ClassifierSettings {
  readonly http: HttpClient;
  /** `https://HOST:4433/classifier-api/v1`, without a final slash. */
  readonly url: string;
  readonly clock: Clock;
  /** How long `ready` waits for a service that starts, default 3 min. */
  readonly readyMs?: number;
  /** For `groups` and `importHierarchy`, default 2 min. */
  readonly requestMs?: number;
  /** How long Puppet Server may take to list its classes, default 10 min. */
  readonly refreshMs?: number;
}

export interface Probe {
  /** Changes whenever anything in the tree does; equal answers mean an equal tree. */
  readonly fingerprint: string;
  /** The tree of this same answer, parsed when asked for. */
  groups(): readonly Group[];
}

/** PE's node classifier, through its API. Every call takes the signal of the pass and has a deadline. */
export interface Classifier {
  /**
   * The API has no cheap question for "did any group change": serial numbers are per group, last-class-update moves with
   * the class list only. So the probe is the whole list, hashed and not parsed.
   */
  probe(signal: AbortSignal): Promise<Probe>;
  groups(signal: AbortSignal): Promise<readonly Group[]>;
  /**
   * Changes values of one group, null taking one out, if it still is as it was read. Throws a Failure behind which is a status
   * 409 where somebody edited it since (PE from 2018 on).
   */
  update(group: Group, delta: JsonObject, signal: AbortSignal): Promise<void>;
  /** Replaces the whole tree, in one transaction on the server: all of it or nothing. */
  importHierarchy(groups: readonly Group[], signal: AbortSignal): Promise<void>;
  /** Has the classifier read its class list from Puppet Server again; returns when it says that it did. */
  updateClasses(signal: AbortSignal): Promise<void>;
  /** Waits until the classifier runs; a refused connection and 503 are waited for. */
  ready(signal: AbortSignal): Promise<void>;
}

/** What to type when the console services say 401 or 403: for the HTTP client's `whenDenied`. */
export const consoleDenied = (certname: string, tokenFile?: string): string =>
  tokenFile === undefined
    ? `Add the line ${certname} to /etc/puppetlabs/console-services/rbac-certificate-allowlist ` +
      '(rbac-certificate-whitelist before PE 2021), then type: systemctl reload pe-console-services'
    : `Type: puppet access login --lifetime 1y, and put the new token into ${tokenFile}`;

export function createClassifier(settings: ClassifierSettings): Classifier {
  const { http, url, clock } = settings;
  const requestMs = settings.requestMs ?? 120_000;
  const probe = async (signal: AbortSignal): Promise<Probe> => {
    // Never `inherited`: importing such an answer would copy what parents set into every child.
    const { text } = await http({ method: 'GET', url: `${url}/groups`, signal, timeoutMs: requestMs });
    return { fingerprint: digestOf(text), groups: () => parseAnswer(text, url, parseGroups) };
  };
  return {
    probe,
    groups: async (signal) => (await probe(signal)).groups(),
    update: async (group, delta, signal) => {
      const serial = group['serial_number'];
      const body = canonicalJson(serial === undefined ? delta : { ...delta, serial_number: serial });
      await http({ method: 'POST', url: `${url}/groups/${group.id}`, body, signal, accept: [200] });
    },
    importHierarchy: async (groups, signal) => {
      const body = canonicalGroups(groups);
      const accept = [204];
      await http({ method: 'POST', url: `${url}/import-hierarchy`, body, signal, timeoutMs: requestMs, accept });
    },
    updateClasses: (signal) => updateClasses(settings, signal),
    ready: (signal) =>
      waitUntilRunning(http, clock, {
        base: new URL(url).origin,
        services: ['classifier-service'],
        limitMs: settings.readyMs ?? 180_000,
        signal,
      }),
  };
}

// Garbage with status 200 is a service in trouble, not data to refuse for good.
function parseAnswer<T>(text: string, url: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (cause) {
    const { message } = toFailure(cause);
    throw new Failure('dependency', 'the classifier gave an unusable answer', { where: url, why: message, cause });
  }
}

// The command answers when the list is read, or is cut off by a proxy while the work goes on: last-class-update tells.
async function updateClasses(settings: ClassifierSettings, signal: AbortSignal): Promise<void> {
  const { http, url, clock } = settings;
  const limitMs = settings.refreshMs ?? 600_000;
  const end = clock.monotonic() + limitMs;
  const before = await lastClassUpdate(settings, signal);
  await http({ method: 'POST', url: `${url}/update-classes`, signal, timeoutMs: limitMs });
  for (let pause = 200; (await lastClassUpdate(settings, signal)) === before; pause = Math.min(pause * 2, 5_000)) {
    if (clock.monotonic() + pause > end)
      throw new Failure('dependency', 'the class list was not read again', {
        where: url,
        why: `${limitMs / 1000} s passed`,
      });
    await clock.sleep(pause, signal);
  }
}

async function lastClassUpdate({ http, url }: ClassifierSettings, signal: AbortSignal): Promise<string | undefined> {
  const { text } = await http({ method: 'GET', url: `${url}/last-class-update`, signal });
  const value = parseAnswer(text, url, (found) => parseJson(found, 'last-class-update'));
  const last = isJsonObject(value) ? value['last_update'] : undefined;
  return typeof last === 'string' ? last : undefined;
}
