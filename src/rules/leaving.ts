/** The two ends of a pass. */
export interface Leaving {
  /** Ends with the role session: everything started in a pass runs under it. */
  readonly signal: AbortSignal;
  /** Fires when the role is about to be left: what only waits ends at once, work goes on to its next safe point. */
  readonly leaving?: AbortSignal;
}

/** Fires when what only waits shall end: the role is about to be left, or the pass is over. */
export const leavingOf = ({ signal, leaving }: Leaving): AbortSignal =>
  leaving === undefined ? signal : AbortSignal.any([signal, leaving]);
