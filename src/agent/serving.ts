import type { Gate } from '../rules/gate.ts';
import { servingOf } from '../rules/health.ts';
import type { Clock } from '../system/clock.ts';
import { readRole } from '../system/fact.ts';
import { sweepTemporary } from '../system/files.ts';
import { copyCa, writeServing, type NotePlace } from '../system/web-notes.ts';
import type { AgentView } from './agent.ts';

export interface ServingParts {
  readonly place: NotePlace;
  readonly clock: Clock;
  /** Path of the fact file. */
  readonly fact: string;
  readonly gate: () => Promise<Gate | undefined>;
  readonly view: () => AgentView;
  /** File of the certificates by which puppetserver is known. */
  readonly ca: string;
  /** Undefined where nothing is known of it, or it is not ours to keep. */
  readonly caReady: () => Promise<boolean | undefined>;
  /** What could not be told. */
  readonly failed: (error: unknown) => void;
}

/** Tells the web process how this master stands. */
export interface ServingTeller {
  /** Says it now: something begins or ends. */
  hint(): void;
  run(signal: AbortSignal): Promise<void>;
}

const everyMs = 5_000;
const caMs = 10_000;

export function createServingTeller(parts: ServingParts): ServingTeller {
  const { clock } = parts;
  const ca = notOften(parts.caReady, clock);
  let hinted = new AbortController();
  return {
    hint: () => hinted.abort(),
    run: async (signal) => {
      await sweepTemporary(parts.place.directory).catch(parts.failed); // of a killed agent
      while (!signal.aborted) {
        hinted = new AbortController();
        await copyCa(parts.place, parts.ca).catch(parts.failed);
        await tell(parts, ca()).catch(parts.failed);
        await clock.sleep(everyMs, AbortSignal.any([signal, hinted.signal])).catch(() => undefined);
      }
    },
  };
}

async function tell({ place, clock, fact, gate, view }: ServingParts, caReady: boolean | undefined): Promise<void> {
  const latched = view().jobs.some(({ state }) => state === 'latched');
  const { sha256 } = await readRole(fact);
  await writeServing(place, {
    at: clock.now().toISOString(),
    ...servingOf({ gate: await gate(), fact: sha256, latched, caReady }),
  });
}

/** The last answer: whoever asks puppet may wait for a minute, and a change of roles is to be told at once. */
function notOften(ask: ServingParts['caReady'], clock: Clock): () => boolean | undefined {
  let [answer, since, asking]: [boolean | undefined, number, boolean] = [undefined, -Infinity, false];
  return () => {
    if (!asking && clock.monotonic() - since >= caMs) {
      [asking, since] = [true, clock.monotonic()];
      void ask()
        .catch(() => undefined)
        .then((found) => ([answer, asking] = [found, false]));
    }
    return answer;
  };
}
