import { roleOfEvent } from '../rules/hooks.ts';
import { inTurn } from '../system/in-turn.ts';
import type { State } from '../system/state.ts';

/** A change of roles whose hooks have not run to their end. */
export interface DueRole {
  readonly id: string;
  readonly event: 'promoted' | 'demoted';
  readonly at: string;
  readonly text: string;
  readonly why: string;
}

export interface DueHooks {
  expect(event: DueRole['event'], words: Pick<DueRole, 'id' | 'text' | 'why'>): Promise<void>;
  /** What is due now that this role is entered. Of the other role nothing is due any more, or it was never settled. */
  of(role: 'active' | 'passive'): Promise<DueRole | undefined>;
  done(id: string): Promise<void>;
}

const file = 'hooks';

/**
 * `state/hooks.json`. INVARIANT: written before the role is settled, so that a crash loses none; one that was not settled then is
 * of another role than the one that is entered next.
 */
export function createDueHooks(state: State, now: () => Date): DueHooks {
  const turn = inTurn(); // the end of a hook and the next change of roles may come together
  const read = async (): Promise<readonly DueRole[]> =>
    (await state.read<{ due?: readonly DueRole[] }>(file))?.due ?? [];
  const write = (due: readonly DueRole[]): Promise<void> =>
    due.length === 0 ? state.remove(file) : state.write(file, { due });
  const keep = async (all: readonly DueRole[], kept: readonly DueRole[]): Promise<void> => {
    if (kept.length !== all.length) await write(kept);
  };
  return {
    // Of each event one: a promotion whose hooks wait is still due where the demotion after it is not settled.
    expect: (event, words) =>
      turn(async () => {
        const others = (await read().catch(() => [])).filter((one) => one.event !== event);
        await write([...others, { event, at: now().toISOString(), ...words }]);
      }),
    of: (role) =>
      turn(async () => {
        const all = await read();
        const due = all.filter(({ event }) => roleOfEvent(event) === role);
        await keep(all, due);
        return due.at(-1);
      }),
    done: (id) =>
      turn(async () => {
        const all = await read();
        await keep(
          all,
          all.filter((one) => one.id !== id),
        );
      }),
  };
}
