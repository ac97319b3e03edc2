import { randomBytes } from 'node:crypto';
import { Failure } from '../errors.ts';
import { parseOrder, type Order, type Reply } from '../rules/order.ts';
import { programVersion } from '../rules/program.ts';
import type { Clock } from '../system/clock.ts';
import { seal, type Signer } from '../system/sign.ts';
import type { State } from '../system/state.ts';
import type { Peer } from './peer.ts';
import { unpackResult } from './replies.ts';

export interface OrdersParts {
  readonly peer: Pick<Peer, 'hello' | 'message' | 'reply'>;
  readonly signer: Signer;
  readonly certname: string;
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>;
  /** Who typed what leads to them. */
  readonly by: string;
  /** Of this master. */
  readonly state: State;
  readonly now: () => Date;
}

export interface OrderOptions {
  readonly signal: AbortSignal;
  /** How long the other root may work on it. */
  readonly timeoutMs: number;
  /** What it is at. */
  readonly tell?: (line: string) => void;
}

/**
 * Asks something of the other master's root and gives its result; what it throws is thrown here. A connection that breaks
 * meanwhile is made anew: the order is carried out once, whatever becomes of the asking.
 */
export async function give(
  parts: OrdersParts,
  verb: string,
  args: Order['args'],
  options: OrderOptions,
): Promise<unknown> {
  const { peer, signer, certname, clock, by } = parts;
  const n = await nextNumber(parts);
  const { hello, pairing } = await peer.hello(options.signal);
  const id = randomBytes(16).toString('hex');
  const order: Order = {
    ...{ format: 1, kind: 'order', id, n, verb, args, source: certname, target: pairing.certname },
    ...{ greeted: hello.at, by, program: programVersion },
  };
  parseOrder(order); // what the other one would refuse is our own mistake
  await peer.message(seal(signer, 'message', order), options.signal);
  const reply = await awaitReply(parts, id, pairing.certname, clock.monotonic() + options.timeoutMs, options);
  if (reply.failure !== undefined) {
    const { class: errorClass, what, ...details } = reply.failure;
    throw new Failure(errorClass, `${pairing.certname} says: ${what}`, details);
  }
  return reply.result === undefined ? undefined : await unpackResult(reply.result);
}

/** INVARIANT: on disk before it is used. From the clock, so that a state that was lost does not begin anew below it. */
async function nextNumber({ state, now }: OrdersParts): Promise<number> {
  const { n: last = 0 } = (await state.read<{ n: number }>('orders-given')) ?? {};
  const n = Math.max(last + 1, now().getTime());
  await state.write('orders-given', { n });
  return n;
}

const waitSeconds = 5;
const againMs = 1_000;
/** A root that works says so every few seconds; one that has not begun had its agent ended, or has an older one. */
const silentMs = 30_000;

async function awaitReply(
  { peer, clock }: OrdersParts,
  id: string,
  other: string,
  deadline: number,
  { signal, tell }: OrderOptions,
): Promise<Reply> {
  let [heard, heardAt] = ['', clock.monotonic()];
  let trouble: unknown;
  for (;;) {
    const answer = await peer.reply(id, waitSeconds, signal).catch((error: unknown) => {
      if (signal.aborted || !isPassing(error)) throw error;
      trouble = error;
      return undefined;
    });
    const now = clock.monotonic();
    if (answer !== undefined && answer.state !== 'working') return answer;
    if (answer?.beat !== undefined && answer.beat !== heard) [heard, heardAt, trouble] = [answer.beat, now, undefined];
    if (answer?.said !== undefined) tell?.(`${other}: ${answer.said}`);
    if (now - heardAt > silentMs || now > deadline) throw unanswered(other, now > deadline, trouble);
    if (answer === undefined) await clock.sleep(againMs, signal);
  }
}

/** Roles turn round meanwhile, and connections with them. */
const isPassing = (error: unknown): boolean =>
  error instanceof Failure && (error.class === 'unreachable' || error.class === 'refused');

function unanswered(other: string, isLate: boolean, trouble: unknown): Failure {
  const why = isLate ? 'it was not done in time' : 'its agent does not run, or ended meanwhile';
  return new Failure('unreachable', `${other} has not answered`, {
    why: trouble instanceof Failure ? trouble.message : why,
    hint: `On ${other}, type: systemctl status pe-failover`,
    ...(trouble === undefined ? {} : { cause: trouble }),
  });
}
