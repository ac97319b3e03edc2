import { enqueue, queueOf, type Happening } from '../rules/hooks.ts';
import type { Clock } from '../system/clock.ts';

/** What waits for its turn. */
export interface Due extends Happening {
  readonly id: string;
  /** ISO 8601. */
  readonly at: string;
  /** All of its hooks were run to their end. */
  readonly done?: () => Promise<void>;
}

export interface HookQueues {
  /** Returns at once. Of one queue, one runs at a time. */
  add(due: Due): void;
  /** Nothing new begins; what runs has a few seconds, then it is ended. */
  end(): Promise<void>;
}

export interface HookQueueParts {
  readonly clock: Pick<Clock, 'sleep'>;
  /** Never throws. */
  readonly run: (due: Due, signal: AbortSignal) => Promise<void>;
  /** So many of the queue of this one were given up. */
  readonly gaveUp: (due: Due, count: number) => void;
}

interface Queue {
  waiting: readonly Due[];
  /** How many were given up since it was last said. */
  lost: number;
  running: Promise<void>;
  isRunning: boolean;
}

const graceMs = 5_000;

export function createHookQueues({ clock, run, gaveUp }: HookQueueParts): HookQueues {
  const queues = new Map<string, Queue>();
  const over = new AbortController();
  let ending = false;
  const drain = async (queue: Queue): Promise<void> => {
    for (let [next, ...rest] = queue.waiting; next !== undefined && !ending; [next, ...rest] = queue.waiting) {
      queue.waiting = rest;
      await run(next, over.signal);
      if (queue.lost > 0) gaveUp(next, queue.lost);
      queue.lost = 0;
    }
    queue.isRunning = false;
  };
  return {
    add: (due) => {
      if (ending) return;
      const name = queueOf(due.event);
      const queue = queues.get(name) ?? { waiting: [], lost: 0, running: Promise.resolve(), isRunning: false };
      queues.set(name, queue);
      const { waiting, lost } = enqueue(queue.waiting, due);
      queue.waiting = waiting;
      queue.lost += lost;
      if (queue.isRunning) return;
      queue.isRunning = true;
      queue.running = drain(queue);
    },
    end: async () => {
      ending = true;
      const all = Promise.all([...queues.values()].map(({ running }) => running));
      const ended = new AbortController();
      await Promise.race([all, clock.sleep(graceMs, ended.signal).catch(() => undefined)]);
      ended.abort();
      over.abort();
      await all;
    },
  };
}
