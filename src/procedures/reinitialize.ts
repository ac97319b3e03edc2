import type { FetchAnewBook } from '../drops/fetch-anew.ts';
import { Failure } from '../errors.ts';
import type { Finding } from '../rules/findings.ts';
import { arrivedSince, spokenArrivals, type Arrival } from '../rules/fetch-anew.ts';
import type { Receipt } from '../rules/receipt.ts';
import { counted, spokenDuration } from '../rules/spoken.ts';
import type { Clock } from '../system/clock.ts';
import type { Doing, Procedure, ProcedureStep } from './procedure.ts';

export interface ReinitializeParts {
  readonly certname: string;
  /** The active's certname. */
  readonly active: string;
  readonly streams: readonly string[];
  /** As it was typed, to be typed again. */
  readonly subject?: string;
  /** It was interrupted: what came since counts. A mark that an earlier one left does not. */
  readonly goesOn: boolean;
  /** Nothing is asked for and waited for: it comes when the active is there. */
  readonly prepareOnly: boolean;
  readonly waitMs: number;
  readonly book: FetchAnewBook;
  /** The receipts of a stream. */
  readonly words: (stream: string) => Promise<readonly Receipt[]>;
  /** Tells the gate anew what this spare has. */
  readonly introduce: () => Promise<void>;
  /** Removes what is kept of a stream and is damaged; how many files. */
  readonly discardDamaged: (stream: string) => Promise<number>;
  /** A content that did not load here is tried once more. */
  readonly liftRefusal: (stream: string) => Promise<void>;
  /** What keeps the active from sending at once. */
  readonly lookAtActive: (signal: AbortSignal) => Promise<readonly Finding[]>;
  /** What keeps this spare from taking in. */
  readonly lookHere: () => Promise<readonly Finding[]>;
  readonly askActive: (doing: Doing) => Promise<void>;
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>;
}

/**
 * Fetches everything anew. Nothing that is live goes before what comes was verified: this spare only says that it has nothing,
 * and each whole drop is applied as always.
 */
export function reinitialize(parts: ReinitializeParts): Procedure {
  const { certname, active, streams, subject, prepareOnly } = parts;
  const waiting = prepareOnly ? [] : [ask(parts), arrive(parts)];
  return {
    verb: 'reinitialize',
    ...(subject === undefined ? {} : { subject }),
    title: `Fetch ${streams.join(', ')} anew from ${active} to ${certname}`,
    consequences: [
      'What is live stays live until what comes was verified, and is replaced as by any other drop',
      'Brakes hold what looks like a mistake, as always; archives and receipts stay',
    ],
    probes: [parts.lookHere, ...(prepareOnly ? [] : [parts.lookAtActive])],
    steps: [discard(parts), forget(parts), ...waiting],
    left: () => leftOf(parts),
  };
}

function discard({ streams, discardDamaged, liftRefusal }: ReinitializeParts): ProcedureStep {
  return {
    name: 'discard',
    says: 'remove what is kept here and damaged, and lift what was refused because it did not load',
    isDone: () => Promise.resolve(false), // cheap, and what is damaged may be more by now
    do: async ({ tell }) => {
      for (const stream of streams) {
        const damaged = await discardDamaged(stream);
        if (damaged > 0) tell(`${stream}: ${counted(damaged, 'damaged file')} removed from the store`);
        await liftRefusal(stream);
      }
    },
  };
}

function forget({ streams, book, words, introduce, active, goesOn }: ReinitializeParts): ProcedureStep {
  const missing = async (): Promise<string[]> => {
    const known = goesOn ? await book.read() : {};
    return streams.filter((stream) => known[stream] === undefined);
  };
  return {
    name: 'forget',
    says: `tell ${active} that this spare has nothing of it`,
    isDone: async () => (await missing()).length === 0,
    do: async () => {
      const last = async (stream: string) => [stream, (await words(stream)).at(-1)?.n ?? 0] as const;
      await book.add(Object.fromEntries(await Promise.all((await missing()).map(last))));
      await introduce();
    },
    undo: async () => {
      await book.remove(streams);
      await introduce();
    },
  };
}

const ask = (parts: ReinitializeParts): ProcedureStep => ({
  name: 'ask',
  says: `have ${parts.active} look at once`,
  isDone: async () => (await arrivals(parts)).every(({ word }) => word !== undefined),
  do: parts.askActive,
});

const lookMs = 500;

function arrive(parts: ReinitializeParts): ProcedureStep {
  const { streams, waitMs, clock, book } = parts;
  return {
    name: 'arrive',
    says: `wait until all of it came, was verified and judged, at most ${spokenDuration(waitMs)}`,
    isDone: () => Promise.resolve(false),
    do: async ({ tell, signal }) => {
      const end = clock.monotonic() + waitMs;
      for (;;) {
        const found = await arrivals(parts);
        const here = found.flatMap(({ stream, word }) => (word === undefined ? [] : [stream]));
        const isOver = here.length === streams.length || clock.monotonic() >= end;
        if (isOver) await book.remove(here); // not before: killed and gone on with, it knows what came
        if (here.length === streams.length) return demandAllWell(found);
        if (isOver) throw late(found, parts);
        tell(spokenArrivals(found));
        await clock.sleep(lookMs, signal);
      }
    },
  };
}

/** What has come of each stream since it was forgotten. */
async function arrivals({ streams, book, words }: Pick<ReinitializeParts, 'streams' | 'book' | 'words'>) {
  const marks = await book.read();
  return await Promise.all(
    streams.map(async (stream): Promise<Arrival> => {
      const mark = marks[stream];
      return { stream, word: mark === undefined ? undefined : arrivedSince(await words(stream), mark) };
    }),
  );
}

function demandAllWell(found: readonly Arrival[]): void {
  const troubled = found.filter(({ word }) => word?.state === 'failed' || word?.state === 'held');
  const [first] = troubled;
  if (first?.word === undefined) return;
  throw new Failure('incomplete', `${first.stream} came, and is ${first.word.state}`, {
    why: first.word.why,
    hint: first.word.state === 'held' ? 'Type: pe-failover holds' : 'Type: pe-failover status',
  });
}

function late(found: readonly Arrival[], { active }: ReinitializeParts): Failure {
  const missing = found.filter(({ word }) => word === undefined).map(({ stream }) => stream);
  const hint = `It comes when it can. See why it does not; on ${active}, type: pe-failover status`;
  return new Failure('incomplete', 'not all of it came in time', { where: missing.join(', '), hint });
}

async function leftOf({ prepareOnly, active, streams, words }: ReinitializeParts): Promise<string[]> {
  if (prepareOnly) return [`It comes when ${active} is there. See: pe-failover status`];
  const last = await Promise.all(streams.map(async (stream) => ({ stream, word: (await words(stream)).at(-1) })));
  const staged = last.filter(({ word }) => word?.state === 'staged').map(({ stream }) => stream);
  if (staged.length === 0) return [];
  return [`${staged.join(', ')}: loaded and checked, live at its minute. At once: pe-failover apply --now`];
}
