import type { Verdict } from '../../drops/intake.ts';
import type { Applied } from '../../puppet/ca-pass.ts';
import { renewalSentence } from '../../rules/ca-renewal.ts';
import { letThrough } from '../../rules/hold-words.ts';
import { overlapKey, overlapSentence, type SerialOverlap } from '../../rules/serial-overlaps.ts';
import { counted } from '../../rules/spoken.ts';
import type { Outcome, PassContext } from '../job.ts';

/** The one line about an apply that the log gets. */
export function tell(verdict: Verdict, applied: Applied, { log }: PassContext): Outcome {
  const detail = { actions: applied.actions, bothSigned: applied.bothSigned.length, kept: applied.kept.length };
  if (verdict.state === 'held') {
    const text = `${applied.sentences.join('. ')}. ${letThrough(verdict.holdId ?? '')}`;
    if (applied.isGrown) log.warning(text);
    else log.failure(text);
    return { kind: 'held', why: verdict.why, detail };
  }
  if (verdict.state === 'failed') log.failure(verdict.why);
  else if (applied.actions > 0) log.success('Completed update of the CA directory');
  return { kind: 'done', why: verdict.why, detail };
}

const shown = 5;

export function tellWarnings(applied: Applied, { log }: PassContext): void {
  const { bad, bothSigned, kept, infraWaiting, renewed } = applied;
  if (renewed.length > 0) log.warning(renewalSentence(renewed));
  const skipped = [...bad].filter(([path]) => path !== 'ca_crl.pem');
  for (const [path, why] of skipped.slice(0, shown)) log.warning(`Skipped ${path}: ${why}`);
  if (skipped.length > shown) log.warning(`Skipped ${skipped.length - shown} more files`);
  if (bothSigned.length > 0) {
    log.warning(`Both masters signed ${some(bothSigned)}: the active's is live, this master's own is in the archive`);
  }
  if (infraWaiting > 0) {
    const count = counted(infraWaiting, 'revocation');
    log.warning(`${count} in infra_crl.pem can't be merged with this master's own without the CA key`);
  }
  if (kept.length > 0) log.warning(`Removed on the active, but made anew here and kept: ${some(kept)}`);
}

export const some = (paths: readonly string[]): string =>
  `${paths.slice(0, shown).join(', ')}${paths.length > shown ? ` and ${paths.length - shown} more` : ''}`;

/** Says each serial that was given out twice, unless it is `said`. */
export const tellingOverlaps = (said: Set<string>, { log }: PassContext) => ({
  onOverlaps: (overlaps: readonly SerialOverlap[]): void => {
    const news = overlaps.filter((overlap) => !said.has(overlapKey(overlap)));
    if (news.length > 0) log.failure(overlapSentence(news));
    for (const overlap of news) said.add(overlapKey(overlap));
  },
});
