import { Failure } from '../errors.ts';
import { formatEpoch } from '../rules/epoch.ts';
import { noRoleYet, peerKeysOf, StaleLogin, type Gate } from '../rules/gate.ts';
import { requestText } from '../rules/signed-request.ts';
import { fingerprint, verifySignature } from '../system/sign.ts';
import { demandOpen, enter, readGate, type Receiver } from './gate.ts';
import type { Request } from './request.ts';

/**
 * Throws unless the peer's root asks: whoever has its transfer key alone learns who we are, and nothing else. INVARIANT:
 * before this nothing is locked, written, started, or read from the caller.
 */
export async function admit(receiver: Receiver, request: Request): Promise<void> {
  if (request.verb === 'hello') return;
  const gate = await readGate(receiver.paths.gate);
  const unsigned = whyUnsigned(gate, receiver.peer, request.signature);
  const mayTalk = talk.includes(request.verb) && unsigned === undefined;
  if (receiver.helloOnly && !mayTalk) throw await narrowed(receiver, gate, request, unsigned === undefined);
  if (unsigned === undefined) return;
  if (request.verb === 'push') await demandOpen(receiver, request.epoch); // an overtaken active learns of its epoch first
  throw unsigned;
}

/** What an active is asked by the root of its spare, too: none of them brings data. */
const talk: readonly Request['verb'][] = ['message', 'reply', 'status'];

/** What a narrowed key hears. A push hears it of the gate, which tells an old active by whom it was overtaken. */
async function narrowed(
  receiver: Receiver,
  gate: Gate | undefined,
  request: Request,
  isSigned: boolean,
): Promise<Failure> {
  if (request.verb === 'push') await (isSigned ? enter : demandOpen)(receiver, request.epoch);
  const is = gate === undefined ? 'has no role' : `is ${gate.role} in epoch ${formatEpoch(gate.epoch)}`;
  if (gate?.role === 'passive') return new StaleLogin(`this master ${is}, and your connection is older than that`);
  return new Failure('refused', 'refused', { why: `this master ${is}: its key for you brings nothing` });
}

function whyUnsigned(gate: Gate | undefined, caller: string, signature: Request['signature']): Failure | undefined {
  const refused = (why: string, hint?: string): Failure =>
    new Failure('refused', 'refused', { why, ...(hint === undefined ? {} : { hint }) });
  if (gate === undefined) return refused(noRoleYet);
  const { certname, peer, peerKey } = gate;
  if (peer !== undefined && peer !== caller) return refused(`${certname} answers ${peer}, not ${caller}`);
  if (peerKey === undefined) {
    const hint = `On ${certname}, type: systemctl restart pe-failover. If it says this again, its fact has no pe_failover_key`;
    return refused(`${certname} does not know by which key ${caller} signs`, hint);
  }
  if (signature === undefined)
    return refused(
      `the request is not signed: an older pe-failover runs on ${caller}`,
      'Install the same version on both masters',
    );
  if (verifySignature(peerKeysOf(gate), 'request', requestText(signature.covers, certname), signature.value))
    return undefined;
  return refused(
    `the request is not signed by ${caller} for ${certname}: its signing key is known here as ${fingerprint(peerKey)}`,
    `If ${caller} was installed anew, type there: pe-failover install --active, and on ${certname}: pe-failover install --passive --auth-key "LINE", with the line that it prints`,
  );
}
