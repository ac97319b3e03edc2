import { exitCodes, type Failure } from '../errors.ts';

/** What came of the pass of one job. */
export interface Applied {
  readonly job: string;
  readonly kind: 'done' | 'unchanged' | 'waiting' | 'held' | 'failed';
  readonly why: string;
}

/** What is paused, or runs already, waits: nothing is wrong with it. */
export const notApplied = (job: string, { class: errorClass, message: why }: Failure): Applied => ({
  ...{ job, why },
  kind: errorClass === 'refused' ? 'waiting' : 'failed',
});

/** The worst decides: 79 something failed, 76 is held, 75 waits, else 0. */
export function exitCodeOf(all: readonly Applied[]): number {
  const is = (kind: Applied['kind']): boolean => all.some((one) => one.kind === kind);
  if (is('failed')) return exitCodes.incomplete;
  if (is('held')) return 76;
  return is('waiting') ? exitCodes.refused : 0;
}
