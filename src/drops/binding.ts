import type { Machine } from '../rules/machine.ts';
import type { State } from '../system/state.ts';

/** `state/machine.json`: the machine to which this state belongs. */
export interface Binding {
  read(): Promise<Machine | undefined>;
  /** `install` on the machine that takes the place of another; an agent where nothing stands yet. */
  bind(machine: Machine): Promise<void>;
}

export const createBinding = (state: State): Binding => ({
  read: () => state.read<Machine>('machine'),
  bind: ({ certname, id }) => state.write('machine', { certname, ...(id === undefined ? {} : { id }) }),
});
