import type { Epoch } from '../rules/epoch.ts';
import type { Pairing } from '../rules/pairing.ts';
import type { Paths } from '../rules/paths.ts';
import type { Clock } from '../system/clock.ts';
import type { Exec } from '../system/exec.ts';
import type { JobLog } from '../system/log.ts';
import { createRsyncPush } from '../system/rsync.ts';
import type { Signer } from '../system/sign.ts';
import { createSshSession, type SshTarget } from '../system/ssh.ts';
import { createState } from '../system/state.ts';
import { createDelivery, type Delivery } from './delivery.ts';
import { createDropBook } from './drop-book.ts';
import { createGreeter, knownPeer, type Greeter } from './greeter.ts';
import { createOutbox, type Origin } from './outbox.ts';
import { ClaimedOvertaken, createPeer, type Greeting, type Peer } from './peer.ts';
import { streamsWithNews } from './stream-state.ts';

export interface SenderParts {
  readonly paths: Paths;
  readonly exec: Exec;
  readonly clock: Clock;
  readonly log: JobLog;
  readonly signer: Signer;
  readonly epoch: Epoch;
  readonly origin: Omit<Origin, 'target'>;
  readonly spare: Pick<SshTarget, 'host' | 'port' | 'user' | 'connectTimeoutSeconds' | 'hostKeyAlias'>;
  readonly bandwidthLimit: number;
  /** How long nothing of a push may move; the program's own limits unless told. */
  readonly stillMs?: (bulk: boolean) => number;
  /** Where the ssh sockets go: with `-hot` and `-bulk` behind it. */
  readonly sockets: string;
  /** The spare introduced itself for the first time. */
  readonly introduced: (spare: Pairing) => Promise<void>;
}

/** Everything that an active needs to bring drops to its spare, for one epoch. `close` ends the connections. */
export interface Sender {
  readonly delivery: Delivery;
  readonly peer: Peer;
  greet(signal: AbortSignal): Promise<Greeting>;
  /** The same, however young the last one is. */
  greetAnew(signal: AbortSignal): Promise<Greeting>;
  /** The streams on which the spare's root has said more, by this greeting, than was heard here, or of which it lost what it had. */
  news(greeting: Greeting): Promise<string[]>;
  close(): Promise<void>;
}

export function createSender(parts: SenderParts): Sender {
  const { paths, exec, clock, log, signer, epoch } = parts;
  const [state, streams] = [createState(paths.state), createState(paths.streams)];
  const peer = openPeer(parts);
  const greeter = createGreeter({ peer, epoch, state, clock, log, introduced: parts.introduced });
  const delivery = createDelivery({
    epoch,
    peer,
    greet: greeter.greet,
    outbox: createOutbox(paths.outbox, signer),
    state: streams,
    signer,
    clock,
    log,
    ...{ origin: parts.origin, drops: createDropBook(paths.drops, () => clock.now()) },
  });
  return {
    delivery: askingAgainAfterErrors(delivery, greeter),
    peer,
    greet: greeter.greet,
    greetAnew: anew(greeter),
    news: ({ hello }) => streamsWithNews(streams, epoch, hello),
    close: peer.close,
  };

  function openPeer({ spare, bandwidthLimit, sockets }: SenderParts): Peer {
    const target: SshTarget = {
      ...spare,
      identity: paths.keys.transfer,
      knownHosts: paths.keys.knownHosts,
    };
    return createPeer({
      hot: createSshSession(exec, target, `${sockets}-hot`),
      bulk: createSshSession(exec, target, `${sockets}-bulk`),
      rsync: createRsyncPush(exec, parts.stillMs),
      host: spare.host,
      bandwidthLimit,
      ...{ known: () => knownPeer(state), signer },
    });
  }
}

const anew = (greeter: Greeter) => (signal: AbortSignal) => {
  greeter.forget();
  return greeter.greet(signal);
};

/**
 * What an error may have changed on the other side is learnt from its next greeting. Where the gate says that we were
 * overtaken it is asked at once: the greeting is signed, and throws `latched` if that is true.
 */
function askingAgainAfterErrors(delivery: Delivery, greeter: Greeter): Delivery {
  const asking = async <Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> => {
    try {
      return await work;
    } catch (error) {
      greeter.forget();
      if (error instanceof ClaimedOvertaken) await greeter.greet(signal);
      throw error;
    }
  };
  return {
    ...delivery,
    catchUp: (stream, signal) => asking(delivery.catchUp(stream, signal), signal),
    deliver: (goods, context) => asking(delivery.deliver(goods, context), context.signal),
  };
}
