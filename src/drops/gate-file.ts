import { Failure } from '../errors.ts';
import { compareEpochs, formatEpoch, sameEpoch, type Epoch } from '../rules/epoch.ts';
import { isGate, type Gate } from '../rules/gate.ts';
import { readIfThere, writeFileAtomic, type Ownership } from '../system/files.ts';
import { inTurn } from '../system/in-turn.ts';
import { readSealed, seal, type Signer } from '../system/sign.ts';

/** What root tells the gate: role, epoch and peer of this master. Every transition ends with writing it. */
export interface GateFile {
  read(): Promise<Gate | undefined>;
  write(gate: GateWords): Promise<void>;
  /** Writes what `change` makes of it; nothing where there is no gate yet. One after the other, with `write`. */
  update(change: (gate: Gate) => Partial<Gate>): Promise<void>;
  /** Throws unless role and epoch are still those of the session. "closed" keeps them: pending drops may still be applied. */
  fence(role: 'active' | 'passive', epoch: Epoch): Promise<void>;
}

type GateWords = Omit<Gate, 'format' | 'certname' | 'since' | keyof Settled>;
/** What stands in each, whoever writes it. */
type Settled = Pick<Gate, 'machine' | 'quota'>;

export function createGateFile(
  path: string,
  signer: Signer,
  certname: string,
  ownership: Ownership,
  now: () => Date,
  settled: () => Promise<Settled> = () => Promise.resolve({}),
): GateFile {
  const read = async (): Promise<Gate | undefined> => {
    const line = await readIfThere(path);
    if (line === undefined) return undefined;
    const gate = readSealed(line, 'gate');
    if (isGate(gate)) return gate;
    throw new Failure('config', 'gate file is unreadable', {
      where: path,
      hint: `Type: rm ${path}, and restart the agent`,
    });
  };
  const write = async (words: GateWords): Promise<void> => {
    const gate: Gate = { format: 1, certname, since: now().toISOString(), ...words, ...(await settled()) };
    await writeFileAtomic(path, `${seal(signer, 'gate', gate)}\n`, ownership);
  };
  // Transitions, greetings and drops of a newer epoch all change the file: none may write what another has just replaced.
  const turn = inTurn();
  return {
    read,
    write: (words) => turn(() => write(words)),
    update: (change) =>
      turn(async () => {
        const gate = await read();
        if (gate !== undefined) await write({ ...gate, ...change(gate) });
      }),
    fence: async (role, epoch) => demandStill(await read(), role, epoch),
  };
}

function demandStill(gate: Gate | undefined, role: 'active' | 'passive', epoch: Epoch): void {
  if (gate !== undefined && gate.role === role && isStill(role, gate.epoch, epoch)) return;
  const is = gate === undefined ? 'without a role' : `${gate.role} in epoch ${formatEpoch(gate.epoch)}`;
  throw new Failure('refused', 'stopped before the irreversible step', {
    why: `this pass began as ${role} in epoch ${formatEpoch(epoch)}, and this master is now ${is}`,
  });
}

// A spare's epoch goes up in the middle of a session, with the first drop of a newer active.
const isStill = (role: 'active' | 'passive', now: Epoch, then: Epoch): boolean =>
  sameEpoch(now, then) || (role === 'passive' && compareEpochs(now, then) === 'higher');
