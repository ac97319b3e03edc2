import { watch as watchWithChokidar } from 'chokidar';
import { watch as watchFlat } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Failure, isErrno } from '../errors.ts';

/** What a watch tells. All of it is a hint: the kernel's queue overflows without a word. */
export interface WatchListener {
  /** Absolute paths, below the watched path as it was given. */
  readonly changed: (names: ReadonlySet<string>) => void;
  /** Events may be missing: compare everything. `gone`: nothing is there now. `anew`: it is there again, or was replaced. */
  readonly lost: (why: string, what: Loss) => void;
  /** No watch is possible now; said once, and tried again. */
  readonly failed: (failure: Failure) => void;
}

export type Loss = 'events' | 'gone' | 'anew';

export interface Watching {
  /** Resolves when the watch is on for the first time, or has failed. */
  readonly ready: Promise<void>;
  close(): Promise<void>;
}

export interface WatchOptions {
  /** How often the watched paths are looked at, to notice that one was replaced. */
  readonly pollMs?: number;
}

/** So many raw events in one second count as lost. */
export const maxRawEvents = 2000;

/** One flat directory, however large: its entries, not what lies below. A link to it is followed. */
export function watchDirectory(path: string, listener: WatchListener, options: WatchOptions = {}): Watching {
  return new KeptWatch([path], listener, options, async (batch, onError) => {
    const resolved = await realpath(path);
    const self = basename(resolved);
    const watcher = watchFlat(resolved, (type, name) => {
      batch.count();
      if (name === self && type === 'rename') return batch.gone();
      batch.add(join(path, name ?? ''));
      if (name === self) batch.look();
    });
    watcher.on('error', onError);
    return async () => watcher.close();
  });
}

/** Files and whole trees. Costs a read of the changed directory at each event: not for a directory that grows. */
export function watchTree(paths: readonly string[], listener: WatchListener, options: WatchOptions = {}): Watching {
  return new KeptWatch(paths, listener, options, async (batch, onError) => {
    const watcher = watchWithChokidar([...paths], { ignoreInitial: true, followSymlinks: false });
    watcher.on('raw', () => batch.count());
    watcher.on('all', (_type, name) => {
      batch.add(name);
      if (paths.includes(name)) batch.look();
    });
    await new Promise<void>((resolve, reject) => {
      watcher.once('ready', resolve);
      watcher.on('error', reject); // a tree watched in part is not watched: the interval does its work
    }).catch(async (error: unknown) => {
      await watcher.close();
      throw error;
    });
    watcher.on('error', onError);
    return () => watcher.close();
  });
}

type Open = (batch: Batch, onError: (error: unknown) => void) => Promise<() => Promise<void>>;

interface Batch {
  add(name: string): void;
  /** Something happened to the watched path itself. */
  look(): void;
  /** It was removed or moved: what stands there now may look the same, down to its inode number and time of birth. */
  gone(): void;
  count(): void;
}

/** INVARIANT: while it lives, either the watch is on for what stands at the paths now, or the next look opens it anew. */
class KeptWatch implements Watching {
  readonly ready: Promise<void>;
  readonly #paths: readonly string[];
  readonly #listener: WatchListener;
  readonly #open: Open;
  readonly #pollMs: number;
  readonly #batch: Batch & { end(): void };
  readonly #timer: NodeJS.Timeout;
  #shut: (() => Promise<void>) | undefined;
  #identity: string | undefined;
  #opened = false;
  #said: string | undefined;
  #notBefore = -Infinity;
  #looking = Promise.resolve();
  #closed = false;

  constructor(paths: readonly string[], listener: WatchListener, options: WatchOptions, open: Open) {
    this.#paths = paths;
    this.#listener = listener;
    this.#open = open;
    const gone = (): void => {
      this.#identity = undefined;
      void this.#look();
    };
    this.#batch = { ...createBatch(listener), look: () => void this.#look(), gone };
    this.#pollMs = options.pollMs ?? 1000;
    this.#timer = setInterval(() => void this.#look(), this.#pollMs);
    this.ready = this.#look();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#looking;
    this.#batch.end();
    await this.#shut?.();
  }

  #look(): Promise<void> {
    return (this.#looking = this.#looking.then(() => this.#lookOnce()));
  }

  async #lookOnce(): Promise<void> {
    const found = await identify(this.#paths);
    if (this.#closed || (found === this.#identity && this.#shut !== undefined)) return;
    if (performance.now() < this.#notBefore) return;
    try {
      await this.#openAnew(found);
    } catch (error) {
      this.#broke(error);
    }
  }

  async #openAnew(found: string): Promise<void> {
    await this.#shut?.();
    this.#shut = undefined;
    // Taken before the watch was opened: a replacement in between is seen by the next look.
    this.#identity = found;
    this.#shut = await this.#open(this.#batch, (error) => this.#broke(error));
    if (this.#opened || this.#said !== undefined)
      this.#listener.lost(`${this.#paths.join(', ')} is watched anew`, 'anew');
    this.#opened = true;
    this.#said = undefined;
  }

  // A missing directory is no failure: whoever needs it says so, and it is watched as soon as it is there.
  #broke(error: unknown): void {
    this.#identity = undefined;
    const failure = explain(error, this.#paths);
    const missing = isErrno(error, 'ENOENT', 'ENOTDIR');
    if (!missing) this.#notBefore = performance.now() + 30 * this.#pollMs; // a limit does not rise by itself
    if (this.#said === failure.message) return;
    this.#said = failure.message;
    if (!missing) this.#listener.failed(failure);
    else if (this.#opened) this.#listener.lost(`${this.#paths.join(', ')} was removed`, 'gone');
  }
}

/** Gathers what one turn of the event loop brings; so a hint waits for nothing, and a burst is few batches. */
function createBatch(listener: WatchListener): Pick<Batch, 'add' | 'count'> & { end(): void } {
  let names = new Set<string>();
  let pending: NodeJS.Immediate | undefined;
  let windowStart = -Infinity;
  let raw = 0;
  let over = false;
  const flush = (): void => {
    pending = undefined;
    const told = names;
    names = new Set();
    if (over) listener.lost(`over ${maxRawEvents} events within a second`, 'events');
    else if (told.size > 0) listener.changed(told);
    over = false;
  };
  const count = (): void => {
    const now = performance.now();
    if (now - windowStart > 1000) {
      windowStart = now;
      raw = 0;
    }
    raw += 1;
    if (raw <= maxRawEvents) return;
    over = true;
    pending ??= setImmediate(flush);
  };
  return {
    count,
    add: (name) => {
      names.add(name);
      pending ??= setImmediate(flush);
    },
    end: () => clearImmediate(pending),
  };
}

// Inode numbers are given away again at once; the time of birth tells two of the same number apart.
async function identify(paths: readonly string[]): Promise<string> {
  const found = await Promise.all(
    paths
      .map(async (path) => {
        const { dev, ino, birthtimeNs } = await stat(path, { bigint: true });
        return `${dev}:${ino}:${birthtimeNs}`;
      })
      .map((told) => told.catch((error: unknown) => (isErrno(error, 'ENOENT', 'ENOTDIR') ? 'missing' : String(error)))),
  );
  return found.join(' ');
}

function explain(error: unknown, paths: readonly string[]): Failure {
  const where = paths.join(', ');
  const limit = (name: string): string => `Type: sysctl -w fs.inotify.${name}=$((2 * $(sysctl -n fs.inotify.${name})))`;
  if (isErrno(error, 'ENOSPC'))
    return new Failure('config', 'no watch left', { where, hint: limit('max_user_watches'), cause: error });
  if (isErrno(error, 'EMFILE'))
    return new Failure('config', 'no inotify instance left', {
      where,
      hint: limit('max_user_instances'),
      cause: error,
    });
  const why = error instanceof Error ? error.message : String(error);
  return new Failure('dependency', 'cannot be watched', { where, why, cause: error });
}
