/** A connection to sshd, as one look at the processes shows it. */
export interface LoginSession {
  readonly pid: number;
  /** ms since the epoch. */
  readonly startedAt: number;
  /** For how long each look has seen that nothing runs in it; undefined: something does. */
  readonly idleMs: number | undefined;
}

/** Honest ones are two of an agent, and two of each command beside it. */
export const mostSessions = 50;

/**
 * Which ones are ended where there are more than `most`: of the idle ones those that were idle for longest, and of these the
 * youngest. The honest other master asks twice a minute, and does not open another one for that.
 */
export function surplusOf(sessions: readonly LoginSession[], most: number): LoginSession[] {
  const idle = sessions.filter(({ idleMs }) => idleMs !== undefined);
  const first = idle.sort((a, b) => (b.idleMs ?? 0) - (a.idleMs ?? 0) || b.startedAt - a.startedAt);
  return first.slice(0, Math.max(0, sessions.length - most));
}
