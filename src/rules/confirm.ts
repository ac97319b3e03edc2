import { Failure } from '../errors.ts';
import { isEpoch, sameEpoch, type Epoch } from './epoch.ts';
import { fieldsOf } from './fields.ts';
import { isDigest, isStream } from './manifest.ts';

/** "Nothing new, and still here": keeps a stream fresh on the spare without a push. Signed by the active's root. */
export interface Confirmation {
  readonly format: 1;
  readonly stream: string;
  readonly epoch: Epoch;
  readonly digest: string;
  /** Certnames. */
  readonly source: string;
  readonly target: string;
  /** Sender's clock: comes back in the spare's greeting once root has taken it. */
  readonly at: string;
  /** `at` of the newest greeting that was heard, by the spare's clock: this confirmation is not older than that. */
  readonly greeting: string;
  /** Version of the program that wrote it; an older one does not say. */
  readonly program?: string;
}

/** The last confirmation of a stream that was taken: `state/streams/STREAM.confirmed.json`. */
export type TakenConfirmation = Pick<Confirmation, 'epoch' | 'digest' | 'at' | 'greeting'>;

/**
 * Is it about what is accepted here, and newer than the last one that was taken? A captured one, sent again, names an old
 * greeting. `now` by the spare's clock: a time that is still to come was noted before that clock was set back.
 */
export function isNews(
  words: Confirmation,
  accepted: { readonly epoch: Epoch; readonly digest: string } | undefined,
  taken: TakenConfirmation | undefined,
  now: Date,
): boolean {
  if (accepted === undefined || accepted.digest !== words.digest || !sameEpoch(accepted.epoch, words.epoch))
    return false;
  const counts =
    taken !== undefined && sameEpoch(taken.epoch, words.epoch) && Date.parse(taken.greeting) <= now.getTime();
  return !counts || Date.parse(words.greeting) > Date.parse(taken.greeting);
}

/** Throws `bad-data`. */
export function parseConfirmation(value: unknown): Confirmation {
  const refuse = (where: string, why: string): Failure => new Failure('bad-data', 'confirm refused', { where, why });
  const field = fieldsOf(value, 'confirm', refuse);
  if (field.number('format') !== 1) throw refuse('confirm.format', 'is not 1');
  const epoch = field.raw('epoch');
  if (!isEpoch(epoch)) throw refuse('confirm.epoch', 'is not {number, id}');
  return {
    format: 1,
    stream: field.matching('stream', isStream),
    epoch: { number: epoch.number, id: epoch.id },
    digest: field.matching('digest', isDigest),
    source: field.text('source', 255),
    target: field.text('target', 255),
    at: field.text('at', 40),
    greeting: field.text('greeting', 40),
    ...field.optionalText('program', 40),
  };
}
