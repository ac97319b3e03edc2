import { Failure } from '../errors.ts';
import { formatEpoch, isEpoch } from '../rules/epoch.ts';
import { isRival, rivalName, type Gate } from '../rules/gate.ts';
import { takeNote } from './gate-notes.ts';

/** What the gate noted about a peer that pushes as an active while we are active ourselves, as a Failure to be said. */
export async function findRival(inbox: string, gate: Gate | undefined): Promise<Failure | undefined> {
  if (gate?.role !== 'active') return undefined;
  const { epoch } = Object(await takeNote(inbox, rivalName)) as { epoch?: unknown };
  if (!isEpoch(epoch) || !isRival(gate, epoch)) return undefined; // an old note, or nonsense
  const peer = gate.peer ?? 'the other master';
  const why = `${peer} pushes in epoch ${formatEpoch(epoch)}, and this master is active in epoch ${formatEpoch(gate.epoch)}. Neither writes to the other, but both CAs sign`;
  return new Failure('refused', 'both masters are active', {
    why,
    hint: 'Demote one: set its pe_failover_mode: passive',
  });
}
