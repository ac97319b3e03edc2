// The active's side of the way against a gate that answers what a test wants: old words of root, repeated words, none.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDelivery, type Delivery, type DeliveryContext } from '../../src/drops/delivery.ts';
import { createOutbox } from '../../src/drops/outbox.ts';
import type { DropToPush, Greeting, Peer } from '../../src/drops/peer.ts';
import type { StreamState } from '../../src/drops/stream-state.ts';
import type { Hello } from '../../src/rules/hello.ts';
import type { Receipt } from '../../src/rules/receipt.ts';
import { systemClock } from '../../src/system/clock.ts';
import { generateSigningKey, loadSigner } from '../../src/system/sign.ts';
import { createState } from '../../src/system/state.ts';

export const epoch = { number: 2, id: '00c0ffee00c0ffee' };
export const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;

export const receiptOf = (words: Partial<Receipt> = {}): Receipt => ({
  ...{ format: 1, n: 3, stream: 'sync-certs', epoch, sequence: 1, digest: digest('b') },
  ...{ state: 'applied', why: 'live', at: '2026-01-01T00:00:00.000Z', spare: 'masterb.test' },
  ...words,
});

export interface LyingGate extends Disposable {
  readonly delivery: Delivery;
  readonly context: DeliveryContext;
  /** What it says to a push, and whenever it is asked for receipts. */
  onPush: (drop: DropToPush) => Receipt | undefined;
  onAsked: () => Receipt[];
  asked: number;
  /** Where the active keeps what it knows of each stream. */
  readonly streams: string;
  /** What root's greeting says. */
  hello: Partial<Hello>;
  /** What was said as a FAILURE. */
  readonly said: string[];
  known(): Promise<StreamState | undefined>;
  /** As if drop 1 had been pushed, and no word had come. */
  published(words?: Partial<StreamState>): Promise<void>;
}

export async function startLyingGate(): Promise<LyingGate> {
  const home = mkdtempSync(join(realpathSync(tmpdir()), 'pe-failover-lying-'));
  writeFileSync(join(home, 'key.pem'), generateSigningKey());
  mkdirSync(join(home, 'streams'));
  const signer = await loadSigner(join(home, 'key.pem'));
  const state = createState(join(home, 'streams'));
  const peer: Peer = {
    hello: () => Promise.reject(new Error('not asked')),
    push: (drop) => Promise.resolve(gate.onPush(drop)),
    receipts: async (_stream, _since, _wait, signal) => {
      signal.throwIfAborted();
      gate.asked += 1;
      await new Promise(setImmediate);
      return gate.onAsked();
    },
    message: () => Promise.resolve(),
    confirm: () => Promise.resolve(),
    reply: () => Promise.resolve(undefined),
    madeHere: () => Promise.resolve(undefined),
    close: () => Promise.resolve(),
  };
  const greeting = () => ({
    ...{ gate: {}, pairing: { certname: 'masterb.test' } },
    hello: { format: 1, at: '', accepted: {}, ...gate.hello },
  });
  const delivery = createDelivery({
    ...{ epoch, peer, signer, state, clock: systemClock, log: { failure: (text) => void gate.said.push(text) } },
    greet: () => Promise.resolve(greeting() as unknown as Greeting),
    outbox: createOutbox(join(home, 'outbox'), signer),
    origin: { source: 'mastera.test', platform: 'puppet', build: 'test' },
  });
  const gate: LyingGate = {
    delivery,
    context: { signal: AbortSignal.timeout(10_000), epoch, fence: () => Promise.resolve() },
    onPush: () => undefined,
    onAsked: () => [],
    asked: 0,
    hello: {},
    said: [],
    streams: state.directory,
    known: () => state.read<StreamState>('sync-certs'),
    [Symbol.dispose]: () => rmSync(home, { recursive: true }),
    published: (words = {}) =>
      state.write('sync-certs', { epoch, sequence: 1, digest: digest('b'), publishedAt: '2026-01-01', ...words }),
  };
  return gate;
}
