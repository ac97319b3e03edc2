import { createHash } from 'node:crypto';
import type { HoldRule } from '../rules/hold-words.ts';
import type { DropReference } from '../rules/receipt.ts';
import { listDirectory } from '../system/files.ts';
import type { State } from '../system/state.ts';

/** Something that a brake stopped: what it is, in a sentence and a readable difference, until an admin releases it. */
export interface Hold {
  readonly rule: HoldRule;
  readonly stream: string;
  readonly sentence: string;
  readonly difference: readonly string[];
  readonly drop: DropReference;
}

export interface KeptHold extends Hold {
  readonly id: string;
  /** ISO 8601. */
  readonly raisedAt: string;
  readonly decision: 'open' | 'released' | 'discarded';
}

export interface Holds {
  /** Returns the hold's id; the same rule and difference have the same id. */
  raise(hold: Hold): Promise<string>;
  isReleased(id: string): Promise<boolean>;
  /** All that are not done with yet, oldest first. */
  list(): Promise<KeptHold[]>;
  /** `released`: what it shows may be done; `discarded`: it stays undone. Undefined: there is no such hold. */
  decide(id: string, decision: 'released' | 'discarded'): Promise<KeptHold | undefined>;
  /** What it showed is done, or no longer stands. */
  close(id: string): Promise<void>;
  /** Closes those of a stream that are not among these: a decision is for what it was shown, and not for the next time. */
  closeOthers(stream: string, standing: ReadonlySet<string>): Promise<void>;
}

/** Kept in a state directory of their own, one file a hold. */
export function createHolds(state: State, now: () => Date): Holds {
  const read = (id: string): Promise<KeptHold | undefined> =>
    /^[0-9a-f]{12}$/.test(id) ? state.read<KeptHold>(id) : Promise.resolve(undefined);
  const list = async (): Promise<KeptHold[]> => {
    const names = (await listDirectory(state.directory)).filter((name) => name.endsWith('.json'));
    const holds = await Promise.all(names.map((name) => read(name.slice(0, -'.json'.length))));
    return holds.filter((hold) => hold !== undefined).sort((a, b) => a.raisedAt.localeCompare(b.raisedAt));
  };
  return {
    raise: async (hold) => {
      const id = holdId(hold);
      const known = await read(id);
      const kept: KeptHold = { raisedAt: now().toISOString(), decision: 'open', ...known, ...hold, id };
      await state.write(id, kept);
      return id;
    },
    isReleased: async (id) => (await read(id))?.decision === 'released',
    list,
    decide: async (id, decision) => {
      const known = await read(id);
      if (known === undefined) return undefined;
      const decided = { ...known, decision };
      await state.write(id, decided);
      return decided;
    },
    close: (id) => state.remove(id),
    closeOthers: async (stream, standing) => {
      for (const hold of await list())
        if (hold.stream === stream && !standing.has(hold.id)) await state.remove(hold.id);
    },
  };
}

const holdId = ({ rule, stream, difference }: Hold): string =>
  createHash('sha256')
    .update(JSON.stringify([rule, stream, difference]))
    .digest('hex')
    .slice(0, 12);
