import { failed, type Trouble } from './repeats.ts';
import { spokenDuration } from './spoken.ts';
import { isStale, type ComponentStatus } from './verdict.ts';

/** What is remembered from one look to the next. Times are monotonic milliseconds. */
export interface Listening {
  readonly role: 'active' | 'passive';
  /** Since when somebody listens: what came before was nobody's to hear. */
  readonly since: number;
  /** Of the wall clock before the monotonic one. */
  readonly ahead: number;
  /** When a stream was seen paused last: its limit begins anew then. */
  readonly paused: ReadonlyMap<string, number>;
  /** The streams whose silence was said. */
  readonly silent: ReadonlyMap<string, Silence>;
}

interface Silence extends Trouble {
  /** Since when it is confirmed within its limit again, without a gap. */
  readonly heardSince?: number;
}

/** What the agent sees at one look. */
export interface Look {
  /** Undefined: no job of a role runs, and nothing is expected. */
  readonly role: 'active' | 'passive' | undefined;
  readonly components: readonly ComponentStatus[];
  /** The other master, where its name is known. */
  readonly peer: string | undefined;
  /** Why nothing can be confirmed is said already, by the job that cannot reach the other master. */
  readonly isExplained: boolean;
  /** The wall clock, by which ages are reckoned, in milliseconds. */
  readonly wall: number;
}

/**
 * A silence is over when the stream was heard without a gap for longer than its limit, or for so long: one proof in each limit
 * and a bit is as good as none, and nobody wants to wait for hours.
 */
const steadyFor = ({ limitSeconds }: ComponentStatus): number => Math.min(limitSeconds * 1250, 20 * 60_000);

/** So much the two clocks may part from one look to the next. */
const stepMs = 60_000;

export interface Line {
  readonly status: 'FAILURE' | 'SUCCESS';
  readonly text: string;
  readonly stream: string;
  readonly limitSeconds: number;
}

/**
 * A stream that nobody confirms fails nowhere: no job runs that could say so. So each look compares, and says a silence
 * once, again after hours, and when it is over. A limit begins when somebody listens: after an outage of this master, or
 * of the way, the other one has as long as ever. So it has after a step of this clock, which makes every age wrong.
 */
export function listen(
  before: Listening | undefined,
  look: Look,
  now: number,
): { readonly listening: Listening | undefined; readonly lines: readonly Line[] } {
  const { role } = look;
  if (role === undefined) return { listening: undefined, lines: [] };
  const ahead = look.wall - now;
  const known: Listening =
    before?.role === role ? before : { role, since: now, ahead, silent: new Map(), paused: new Map() };
  const isStepped = Math.abs(ahead - known.ahead) > stepMs;
  const since = look.isExplained || isStepped ? now : known.since;
  const silent = new Map(known.silent);
  const paused = new Map(known.paused);
  // What comes a little late each time is one silence, not one after the other.
  const hear = (component: ComponentStatus, trouble: Silence): void => {
    const { heardSince = now, ...rest } = trouble;
    if (now - heardSince < steadyFor(component)) {
      silent.set(component.stream, { ...rest, heardSince });
      return;
    }
    silent.delete(component.stream);
    lines.push(heardAgain(component, heardSince - trouble.since));
  };
  const lines: Line[] = [];
  for (const component of look.components) {
    const { stream, limitSeconds } = component;
    if (component.excused === true) paused.set(stream, now);
    const trouble = silent.get(stream);
    if (!isStale(component)) {
      if (trouble !== undefined) hear(component, trouble);
    } else if (now - Math.max(since, paused.get(stream) ?? -Infinity) > limitSeconds * 1000) {
      const heard = failed(trouble, { class: 'unreachable', cause: stream }, now);
      silent.set(stream, heard.trouble);
      if (heard.say !== undefined) lines.push(silenceOf(component, look.peer));
    }
  }
  return { listening: { role, since, ahead, silent, paused }, lines };
}

function silenceOf({ stream, ageSeconds, limitSeconds, doubt }: ComponentStatus, peer = 'the other master'): Line {
  const limit = `the limit is ${spokenDuration(limitSeconds * 1000)}`;
  const what =
    ageSeconds === undefined
      ? `It is not known how old ${stream} is: ${doubt ?? `nothing of it was ever confirmed, ${limit}`}`
      : `Nothing of ${stream} was confirmed for ${spokenDuration(ageSeconds * 1000)}, ${limit}`;
  const text = `${what}. Here and on ${peer}, type: pe-failover status`;
  return { status: 'FAILURE', text, stream, limitSeconds };
}

const heardAgain = ({ stream, limitSeconds }: ComponentStatus, saidForMs: number): Line => ({
  status: 'SUCCESS',
  text: `${stream} is confirmed again after ${spokenDuration(limitSeconds * 1000 + saidForMs)}`,
  stream,
  limitSeconds,
});
