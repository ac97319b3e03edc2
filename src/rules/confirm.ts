import { Failure } from '../errors.ts';
import { isEpoch, type Epoch } from './epoch.ts';
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
  /** Sender's clock, for display only. */
  readonly at: string;
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
    epoch,
    digest: field.matching('digest', isDigest),
    source: field.text('source', 255),
    target: field.text('target', 255),
    at: field.text('at', 40),
  };
}
