import { isStale, type ComponentStatus, type Situation, type StatusVerdict } from './verdict.ts';

/** Of the status report what tells whether a cycle was verified on the spare. */
export interface Reported {
  readonly verdict: Pick<StatusVerdict, 'code'>;
  readonly role: Situation['role'];
  readonly epoch: string | undefined;
  readonly agent: { readonly changing?: string };
  readonly components: readonly ComponentStatus[];
}

/** A cycle that was verified: in which role and epoch, and when the newest of its proofs is from, in ISO 8601. */
export interface Verified {
  readonly term: string;
  readonly newest: string;
}

export const termOf = ({ role, epoch, agent }: Reported): string | undefined =>
  (role === 'active' || role === 'passive') && agent.changing === undefined ? `${role} ${epoch ?? ''}` : undefined;

/**
 * The cycle to ping for: every stream was confirmed within its limit by what the other root signed, nothing is critical, and
 * there is a newer proof than at the last ping. Undefined: silence.
 */
export function verifiedSince(before: Verified | undefined, report: Reported): Verified | undefined {
  const { verdict, components } = report;
  const term = termOf(report);
  if (term === undefined || verdict.code >= 2 || components.length === 0) return undefined;
  const isBad = (one: ComponentStatus): boolean => isStale(one) || ['failed', 'refused'].includes(one.state);
  if (components.some(isBad)) return undefined;
  const newest = components.map(({ confirmed = '' }) => confirmed).reduce((one, other) => (other > one ? other : one));
  return before?.term === term && newest <= before.newest ? undefined : { term, newest };
}
