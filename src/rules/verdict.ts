import type { Freshness } from './freshness.ts';
import type { Gate } from './gate.ts';
import { spokenPause, type StreamPause } from './pause.ts';
import { counted, spokenDuration } from './spoken.ts';

/** One stream, as far as this master knows of it. Times in ISO 8601. */
export interface ComponentStatus extends Freshness {
  readonly stream: string;
  readonly captured?: string;
  readonly delivered?: string;
  readonly staged?: string;
  readonly applied?: string;
  readonly limitSeconds: number;
  readonly state: string;
  readonly why: string;
  /** What is loaded here waits too long to go live: why, since when, what to type. */
  readonly overdue?: string;
  /** An admin keeps it from being sent, or taken in. */
  readonly paused?: StreamPause;
  /** The pause is so young that nothing is to be expected. */
  readonly excused?: true;
}

export interface Situation {
  readonly role: 'active' | 'passive' | 'suspended' | 'not installed' | 'not started';
  readonly roleWhy: string;
  readonly agentRuns: boolean;
  readonly components: readonly ComponentStatus[];
  /** Jobs that do not do their work now: given up until an admin acts, or tried again and again. */
  readonly failing: readonly { readonly job: string; readonly latched: boolean; readonly why: string }[];
  /** Why the role that the fact names could not be entered. */
  readonly trouble: string | undefined;
  readonly openHolds: number;
  /** What is paused here, whatever stream it belongs to; in a sentence. */
  readonly paused?: string | undefined;
  /** A command that changes the pair, and was interrupted. */
  readonly interrupted?: string | undefined;
  /** What has too little room soon, in a sentence. */
  readonly nearlyFull?: string | undefined;
  readonly hasSpare: boolean;
  /** Why the spare lets nothing in, by its last greeting. */
  readonly spareTakesNothing: string | undefined;
}

/** As Nagios counts: 0 good, 1 warning, 2 critical, 3 unknown. */
export interface StatusVerdict {
  readonly code: 0 | 1 | 2 | 3;
  readonly text: string;
}

/** The first line of status: what an admin must know before all else, and what to type. */
export function judgeStatus(now: Situation): StatusVerdict {
  const idle = whyIdle(now);
  if (idle !== undefined) return idle;
  const latched = now.failing.find((one) => one.latched);
  if (latched !== undefined) return { code: 2, text: `CRITICAL: ${latched.job}: ${latched.why}` };
  if (now.spareTakesNothing !== undefined)
    return { code: 2, text: `CRITICAL: the spare takes nothing in: ${now.spareTakesNothing}` };
  const troubled = now.components.find(({ state }) => ['failed', 'refused', 'latched'].includes(state));
  if (troubled !== undefined) return { code: 2, text: `CRITICAL: ${troubled.stream}: ${troubled.why}` };
  const silent = now.components.find((one) => isStale(one) && one.excused !== true);
  if (silent !== undefined) return { code: 2, text: `CRITICAL: ${staleSentence(silent)}` };
  const paused = whatIsPaused(now);
  if (paused !== undefined) return { code: 1, text: `WARNING: ${paused}` };
  const waiting = now.components.find(({ overdue }) => overdue !== undefined);
  if (waiting?.overdue !== undefined) return { code: 1, text: `WARNING: ${waiting.overdue}` };
  const [failing] = now.failing;
  if (failing !== undefined)
    return { code: 1, text: `WARNING: ${failing.job} fails, and is tried again: ${failing.why}` };
  const told = now.interrupted ?? now.nearlyFull;
  if (told !== undefined) return { code: 1, text: `WARNING: ${told}` };
  if (now.role === 'active' && !now.hasSpare)
    return { code: 1, text: 'WARNING: active without a spare. Set pe_failover_passive_master in the fact' };
  if (now.openHolds > 0)
    return {
      code: 1,
      text: `WARNING: ${counted(now.openHolds, 'hold waits', 'holds wait')} for a decision. Type: pe-failover holds`,
    };
  const held = now.components.find(({ state }) => state === 'held');
  if (held !== undefined) return { code: 1, text: `WARNING: ${held.stream} is held on the spare: ${held.why}` };
  const oldest = Math.max(0, ...now.components.map(({ ageSeconds }) => ageSeconds ?? 0));
  const agreed =
    now.components.length === 0 ? '' : `; both masters agreed on everything within ${spokenDuration(oldest * 1000)}`;
  return { code: 0, text: `OK: ${now.role}${agreed}` };
}

/** Where no role is worked in at all. */
function whyIdle(now: Situation): StatusVerdict | undefined {
  if (now.role === 'not installed')
    return { code: 3, text: 'UNKNOWN: this master is not installed. Type: pe-failover install' };
  if (now.trouble !== undefined) return { code: 2, text: `CRITICAL: ${now.trouble}` };
  if (now.role === 'suspended') return { code: 2, text: `CRITICAL: all jobs are suspended: ${now.roleWhy}` };
  if (now.role === 'not started' && now.agentRuns)
    return { code: 1, text: 'WARNING: the agent is entering its first role' };
  if (now.role === 'not started')
    return { code: 2, text: 'CRITICAL: the agent has not run here yet. Type: systemctl enable --now pe-failover' };
  if (!now.agentRuns) return { code: 2, text: 'CRITICAL: the agent does not run. Type: systemctl start pe-failover' };
  return undefined;
}

export const isStale = ({ ageSeconds, limitSeconds }: ComponentStatus): boolean =>
  ageSeconds === undefined || ageSeconds > limitSeconds;

function whatIsPaused({ paused, components }: Situation): string | undefined {
  if (paused !== undefined) return `${paused}. To end it, type: pe-failover resume`;
  const found = components.find((one) => one.paused !== undefined);
  if (found?.paused === undefined) return undefined;
  return `${found.stream} is ${spokenPause(found.paused)} (on ${found.paused.on})`;
}

const staleSentence = ({ stream, ageSeconds, limitSeconds, why, doubt }: ComponentStatus): string =>
  ageSeconds === undefined
    ? `${stream}: ${doubt ?? `nothing was ever confirmed (${why})`}`
    : `${stream}: nothing was confirmed for ${spokenDuration(ageSeconds * 1000)}, the limit is ${spokenDuration(limitSeconds * 1000)} (${why})`;

/** What the gate of the spare says of itself; undefined: it is open. */
export function whyNotTaken({
  role,
  certname,
  closed,
}: Pick<Gate, 'role' | 'certname' | 'closed'>): string | undefined {
  if (role !== 'passive') return `${certname} is ${role}${closed === undefined ? '' : `: ${closed}`}`;
  return closed === undefined ? undefined : `${certname} is closed: ${closed}`;
}
