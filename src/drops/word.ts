import { Failure } from '../errors.ts';
import type { Receipt } from '../rules/receipt.ts';
import type { JobLog } from '../system/log.ts';
import type { Delivered } from './delivery.ts';

/** The sentences of one stream. */
export interface Sentences {
  /** Said when it is live on the spare. */
  readonly completed: string;
  readonly refused: string;
  readonly failed: string;
}

export interface Said {
  readonly kind: 'done' | 'unchanged' | 'waiting' | 'held';
  readonly why: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

/**
 * What a pass says by the spare's last word on what it has. Throws what is a FAILURE here too, as long as it is the last
 * word. `isNews`: no pass has said it yet.
 */
export function sayWord(receipt: Receipt, sentences: Sentences, log: JobLog, isNews: boolean): Said {
  const { state, why, sequence } = receipt;
  const detail = { sequence, receipt: state };
  switch (state) {
    case 'applied':
    case 'unchanged':
      if (isNews) log.success(sentences.completed);
      return isNews
        ? { kind: 'done', why: `applied there: ${why}`, detail }
        : { kind: 'unchanged', why: 'as the spare has it', detail };
    case 'staged':
      return { kind: isNews ? 'done' : 'unchanged', why: `staged there, not live yet: ${why}`, detail };
    case 'held':
      return { kind: 'held', why, detail };
    case 'superseded':
      return { kind: 'waiting', why: `superseded there: ${why}`, detail };
    case 'refused':
      throw new Failure('bad-data', sentences.refused, { why });
    case 'failed':
      throw new Failure('incomplete', sentences.failed, { why });
  }
}

/** What a pass says of a drop of its own; `late`: words that came since the last pass. */
export function sayDelivered(delivered: Delivered, late: readonly Receipt[], sentences: Sentences, log: JobLog): Said {
  const { kind, receipt } = delivered;
  if (kind === 'confirmed') return sayWord(receipt, sentences, log, isAmong(receipt, late));
  if (receipt !== undefined) return sayWord(receipt, sentences, log, true);
  const { sequence } = delivered;
  const why = `drop ${sequence} is published, not applied yet`;
  return { kind: 'done', why, detail: { sequence, receipt: 'published' } };
}

/** Of words that came after their pass had ended: is this one of them? */
export const isAmong = (receipt: Receipt | undefined, late: readonly Receipt[]): boolean =>
  late.some(({ n, at }) => n === receipt?.n && at === receipt.at);
