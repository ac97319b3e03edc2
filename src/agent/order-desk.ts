import { packResult, type Replies } from '../drops/replies.ts';
import { Failure, toFailure } from '../errors.ts';
import { spokenFailure, whyNotDone, type Order } from '../rules/order.ts';
import type { Clock } from '../system/clock.ts';
import type { JobLog } from '../system/log.ts';
import type { State } from '../system/state.ts';

/** Does what an order asks for. What it tells and gives goes to the other master, and so does what it throws. */
export type OrderHandler = (order: Order, tell: (line: string) => void, signal: AbortSignal) => Promise<unknown>;

export interface OrderDesk {
  /** Begins to carry one out, once; what comes of it is written as a reply. */
  hear(order: Order): Promise<void>;
  /** Ends what goes on. */
  close(): Promise<void>;
}

export interface OrderDeskParts {
  readonly certname: string;
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
  readonly replies: Replies;
  /** INVARIANT: an id is kept before its order is begun, so that none is carried out twice. */
  readonly state: State;
  readonly log: JobLog;
  readonly handlers: Readonly<Record<string, OrderHandler>>;
}

const beatMs = 3_000;
const mostAtOnce = 4;
const kept = 50;

export async function createOrderDesk(parts: OrderDeskParts): Promise<OrderDesk> {
  await parts.replies.clear();
  const over = new AbortController();
  const going = new Set<Promise<void>>();
  return {
    hear: async (order) => {
      const { ids = [] } = (await parts.state.read<{ ids: string[] }>('orders')) ?? {};
      const why = whyNotDone(order, parts.certname, parts.clock.now(), ids);
      if (why !== undefined)
        return parts.log.warning(`An order of ${order.source} (${order.verb}) is not done: ${why}`);
      const now = [...ids, order.id].slice(-kept);
      await parts.state.write('orders', { ids: now });
      await parts.replies.prune(now);
      const work = (going.size < mostAtOnce ? carryOut(parts, order, over.signal) : refuse(parts, order)).finally(() =>
        going.delete(work),
      );
      going.add(work);
    },
    close: async () => {
      over.abort();
      await Promise.all(going);
    },
  };
}

async function carryOut(parts: OrderDeskParts, order: Order, signal: AbortSignal): Promise<void> {
  const { handlers, replies, clock, log } = parts;
  const { id, verb } = order;
  let said: string | undefined;
  const beat = async (): Promise<void> => {
    const telling = said === undefined ? {} : { said: said.slice(0, 1000) };
    await replies.write({ id, state: 'working', beat: clock.now().toISOString(), ...telling });
  };
  const done = new AbortController();
  const beating = beatUntil(done.signal, beat, clock);
  try {
    const handler = handlers[verb];
    if (handler === undefined)
      throw new Failure('usage', 'it does not know this order', {
        where: verb,
        hint: 'Install the same version of pe-failover on both masters',
      });
    const result = await packResult(await handler(order, (line) => (said = line), signal));
    done.abort();
    await beating;
    await replies.write({ id, state: 'done', result });
  } catch (error) {
    const failure = toFailure(error);
    done.abort();
    await beating;
    if (failure.class === 'bug') log.failure(`An order of ${order.source} (${verb}): ${failure.message}`);
    await replies.write({ id, state: 'failed', failure: spokenFailure(failure) }).catch((cause: unknown) => {
      log.failure(`No answer could be written to an order of ${order.source}: ${toFailure(cause).message}`);
    });
  }
}

async function beatUntil(signal: AbortSignal, beat: () => Promise<void>, clock: Pick<Clock, 'sleep'>): Promise<void> {
  while (!signal.aborted) {
    await beat().catch(() => undefined); // a full disk: the last word says so
    await clock.sleep(beatMs, signal).catch(() => undefined);
  }
}

const refuse = ({ replies }: OrderDeskParts, { id }: Order): Promise<void> =>
  replies.write({
    id,
    state: 'failed',
    failure: { class: 'refused', what: 'busy', why: 'too many orders are being carried out', hint: 'Type it again' },
  });
