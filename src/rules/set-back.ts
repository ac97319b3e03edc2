import { Failure } from '../errors.ts';
import { formatEpoch, sameEpoch, type Epoch } from './epoch.ts';
import type { AcceptedDrop } from './hello.ts';

/** What an active knows of the drops of one stream that it made. */
export interface DropsMade {
  readonly epoch: Epoch;
  /** The last one given out. */
  readonly sequence: number;
  readonly acknowledged?: { readonly sequence: number };
  readonly setBack?: SetBack;
}

/** The spare had drops that were never given out here, up to this one; 0: of an earlier epoch. */
export interface SetBack {
  readonly to: number;
}

/**
 * The spare's root has accepted a drop of our own epoch that we never gave out: a number is on disk before it is used, so this
 * disk was set back, or somebody else has our state.
 */
export const isSetBack = ({ epoch, sequence }: DropsMade, accepted: AcceptedDrop | undefined): boolean =>
  accepted !== undefined && sameEpoch(accepted.epoch, epoch) && accepted.sequence > sequence;

/**
 * The number was given out here, for another content than the spare has under it: a copy of this master, or one that was set back,
 * has used it, too. `madeHere`: digest of that drop as it was packed here, where that is still known.
 */
export const isForked = (
  { epoch, sequence, setBack }: DropsMade,
  accepted: AcceptedDrop | undefined,
  madeHere: string | undefined,
): boolean =>
  accepted !== undefined &&
  madeHere !== undefined &&
  sameEpoch(accepted.epoch, epoch) &&
  accepted.sequence <= sequence &&
  accepted.sequence > (setBack?.to ?? 0) && // of those below it is known
  accepted.digest !== madeHere;

/** A CA can be united with the spare's and loses nothing by it. Of all else one of the two would be lost, and a person decides. */
export const isUnitable = (stream: string): boolean => stream === 'sync-certs';

/** Once in an epoch is an accident that mends itself; again is a copy of this master that goes on. */
export const mayUnite = (stream: string, { setBack }: DropsMade): boolean =>
  isUnitable(stream) && (setBack?.to ?? 0) === 0;

/** Until a drop is acknowledged that was made since: what the spare has and this master lacks was never removed here. */
export const unites = ({ setBack, acknowledged }: DropsMade): boolean =>
  setBack !== undefined && (acknowledged?.sequence ?? 0) <= setBack.to;

export function setBackFailure(stream: string, spare: string, made: DropsMade, accepted: AcceptedDrop): Failure {
  const epoch = formatEpoch(made.epoch);
  const last =
    made.sequence === 0
      ? 'none was made here'
      : made.sequence >= accepted.sequence
        ? 'the one of that number that was made here is another one'
        : `the last one made here is ${made.sequence}`;
  return new Failure('latched', 'the drops of this master are forked or rolled back', {
    where: stream,
    why: `${spare} has drop ${accepted.sequence} of epoch ${epoch}, and ${last}: this disk was set back to an earlier state, or a copy of this master pushes`,
    hint: `${keepTheirs(spare)}. ${keepOurs(spare)}`,
  });
}

const keepTheirs = (spare: string): string =>
  `To keep what ${spare} has, set pe_failover_mode: passive in the fact file of this one and active in that of ${spare}`;
const keepOurs = (spare: string): string =>
  `To replace what ${spare} has with what is here, set pe_failover_mode: passive in the fact file of this one, and active again once status says passive`;

/** What is said where the CA comes back by itself. */
export const unitedSentence = (spare: string, { sequence }: DropsMade, accepted: AcceptedDrop): string =>
  `This disk was set back to an earlier state: ${spare} has drop ${accepted.sequence} of the CA, and ${sequence >= accepted.sequence ? 'the one of that number that was made here is another one' : `the last one made here is ${sequence}`}. Nothing of the CA is removed there, and what this master lacks comes back from there by itself`;
