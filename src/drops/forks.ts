import { isForked, isSetBack, isUnitable, mayUnite, setBackFailure, unitedSentence } from '../rules/set-back.ts';
import type { DeliveryParts } from './delivery.ts';
import type { Greeting } from './peer.ts';
import { leapt, markSetBack, readStream } from './stream-state.ts';

/**
 * Throws `latched` where the spare has drops of this epoch that were never made here; of the CA both sides are united instead, once.
 * INVARIANT: asked after the greeting was heard: a number that was given out meanwhile is on disk by then.
 */
export async function demandUnforked(
  parts: DeliveryParts,
  stream: string,
  { hello, pairing }: Greeting,
): Promise<void> {
  const known = await readStream(parts.state, stream, parts.epoch);
  const accepted = hello.accepted[stream];
  if (accepted === undefined) return;
  const here = accepted.sequence <= known.sequence ? await parts.outbox.manifest(stream, accepted) : undefined;
  if (!isSetBack(known, accepted) && !isForked(known, accepted, here?.digest)) return;
  if (!mayUnite(stream, known)) {
    // For the next epoch, in which an admin lets this one go on.
    if (isUnitable(stream)) await parts.state.write(stream, markSetBack(known, accepted.sequence));
    throw setBackFailure(stream, pairing.certname, known, accepted);
  }
  await parts.state.write(stream, leapt(known, accepted.sequence, hello.receipts?.[stream]));
  parts.log.failure(unitedSentence(pairing.certname, known, accepted));
}
