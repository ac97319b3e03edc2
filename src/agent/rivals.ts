import { Failure, toFailure } from '../errors.ts';
import { formatEpoch, isEpoch } from '../rules/epoch.ts';
import { isRival, rivalName, type Gate } from '../rules/gate.ts';
import { openHostileTree } from '../system/beneath.ts';

/**
 * What the gate noted about a peer that pushes as an active while we are active ourselves, as a Failure to be said.
 * The note is the unprivileged gate's: nothing but a well-formed epoch is taken from it. It is removed: each is told once.
 */
export async function findRival(inbox: string, gate: Gate | undefined): Promise<Failure | undefined> {
  if (gate?.role !== 'active') return undefined;
  try {
    await using tree = await openHostileTree(inbox);
    const text = await tree.readText(rivalName, 1024);
    await tree.remove(rivalName);
    const note = JSON.parse(text) as { epoch?: unknown };
    if (!isEpoch(note.epoch) || !isRival(gate, note.epoch)) return undefined; // an old note, or nonsense
    const peer = gate.peer ?? 'the other master';
    const why = `${peer} pushes in epoch ${formatEpoch(note.epoch)}, and this master is active in epoch ${formatEpoch(gate.epoch)}. Neither writes to the other, but both CAs sign`;
    return new Failure('refused', 'both masters are active', {
      why,
      hint: 'Demote one: set its pe_failover_mode: passive',
    });
  } catch (error) {
    if (toFailure(error).class === 'bad-data' || error instanceof SyntaxError) return undefined; // nobody tried, or no note of ours
    throw error;
  }
}
