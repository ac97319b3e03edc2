import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Delivery, Goods } from '../../src/drops/delivery.ts';
import { toFailure } from '../../src/errors.ts';
import type { Job } from '../../src/jobs/job.ts';
import type { Receipt, ReceiptState } from '../../src/rules/receipt.ts';
import { passOfBoth } from './files-pair.ts';
import type { TestPair } from './pair.ts';
import { epochId, plantDrop, type Plant } from './planted-drops.ts';
import { expectSentence, stateBelow, untilAlone } from './spare-state.ts';
import { until } from './trees.ts';

/** One stream of a pair, which gets hostile drops. */
export interface BenchParts {
  readonly pair: TestPair;
  readonly stream: string;
  /** Of the active. */
  readonly delivery: Delivery;
  /** Jobs of the active, and of the spare. */
  readonly send: Job;
  readonly apply: Job;
  /** Changes what the active sends. */
  readonly change: () => unknown;
  /** Throws unless the spare has what the active has. */
  readonly agrees: () => unknown;
  /** What counts on the spare and lies in no file of it. */
  readonly elsewhere?: () => unknown;
}

export interface Expected {
  /** In the last FAILURE or WARNING of the spare, or in the receipt. */
  readonly sentence: RegExp | string;
  /** Of the receipt; undefined: there is none. Refused unless told. */
  readonly state?: ReceiptState | undefined;
  /** What stands against it may be mended here: it is not settled, and the next drop takes its place. */
  readonly waits?: true;
  /** Names below the root of the spare that are another afterwards, beside the words that go to the active. */
  readonly mayChange?: readonly RegExp[];
}

export interface DropBench {
  /** In the inbox, as whoever is the transfer user there could put it. */
  plant(what: Plant): void;
  /** With the active's own program, as whoever is root there could. */
  deliver(goods: Partial<Goods> & Pick<Goods, 'pack'>): Promise<void>;
  /** What is put there gets its sentence, and nothing of the spare is another afterwards. */
  judges(put: () => unknown, expected: Expected): Promise<void>;
  /** The next drop of the active is live. */
  expectHonest(): Promise<void>;
}

/** A sequence that the active never comes to. */
export const later = 9000;

/** What root says to the active: receipts, and the greeting that counts them; and to people of this master, what it settled. */
const words = [/\/state\/drops(\/[^/]+\.jsonl)?$/, /\/state\/receipts\/[^/]+\.jsonl$/, /\/state\/hello\.json$/];
/** What a push leaves that got in. */
export const left = (stream: string): RegExp[] => [
  new RegExp(`/inbox/${stream}/(lock|staging|staging\\.digest|basis)`),
];

export function createDropBench({
  pair,
  stream,
  delivery,
  send,
  apply,
  change,
  agrees,
  elsewhere,
}: BenchParts): DropBench {
  const { a, b, spare } = pair;
  const ready = join(b.paths.inbox, stream, 'ready');
  const taken = join(b.paths.taken, stream);
  const run = (): Promise<string> =>
    apply.run(pair.context(b)).then(
      ({ why }) => why ?? '',
      (error: unknown) => toFailure(error).message,
    );
  const stateOf = async (mayChange: readonly RegExp[]) => ({
    files: stateBelow(b.root, [...words, ...mayChange]),
    elsewhere: await elsewhere?.(),
  });
  const newReceipts = async (since: number): Promise<Receipt[]> =>
    (await spare.book.all(stream)).filter(({ n }) => n > since);
  return {
    plant: (what) =>
      plantDrop(ready, a, {
        name: `1.${epochId}-${later}`,
        ...what,
        manifest: { stream, sequence: later, ...what.manifest },
      }),
    deliver: async (goods) => {
      const whole: Goods = {
        stream,
        kind: 'whole',
        digest: `sha256:${'0'.repeat(64)}`,
        evenIfUnchanged: true,
        ...goods,
      };
      await delivery.deliver(whole, pair.context(a));
    },
    judges: async (put, { sentence, mayChange = [], ...expected }) => {
      mkdirSync(taken, { recursive: true, mode: 0o700 });
      const before = await stateOf(mayChange);
      const [line, n] = [b.log.lines.length, (await spare.book.all(stream)).at(-1)?.n ?? 0];
      const putting = Promise.resolve(put());
      await until('the drop', () => readdirSync(ready).length > 0);
      const why = await run();
      await putting;
      const receipts = await newReceipts(n);
      const loud = b.log.lines.slice(line).filter((one) => !one.startsWith('[SUCCESS]'));
      expectSentence([...loud, why, ...receipts.map((one) => one.why)].join('\n'), sentence);
      const state = 'state' in expected ? expected.state : 'refused';
      expect(receipts.findLast((one) => one.state !== 'superseded')?.state).toBe(state); // of one that waited before
      expect(readdirSync(ready)).toEqual([]);
      expect(readdirSync(taken)).toHaveLength(expected.waits === true ? 1 : 0);
      await untilAlone(pair);
      expect(await stateOf(mayChange)).toEqual(before);
    },
    expectHonest: async () => {
      await change();
      const outcome = await passOfBoth(pair, send, run, {}, stream);
      expect(['done', 'waiting']).toContain(outcome.kind);
      await agrees();
    },
  };
}
