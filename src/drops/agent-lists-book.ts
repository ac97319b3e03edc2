import type { GroupEdit } from '../rules/group-edits.ts';
import type { State } from '../system/state.ts';

/** `state/agent-lists.json`: what `enable` wrote into the node groups, so that `disable` takes out that and no more. */
export interface AgentListsNote {
  /** Certname of the master to which agents were told to go as well. */
  readonly host: string;
  /** What stands. */
  readonly edits: readonly GroupEdit[];
  /** What is being made now, noted before the first request. */
  readonly going?: readonly GroupEdit[];
}

export interface AgentListsBook {
  read(): Promise<AgentListsNote | undefined>;
  begin(host: string, edits: readonly GroupEdit[]): Promise<void>;
  /** They were taken back. */
  cancel(): Promise<void>;
  /** They stand; `edits` is what is to be taken out one day. Empty: nothing. */
  settle(edits: readonly GroupEdit[]): Promise<void>;
}

const name = 'agent-lists';

export function createAgentListsBook(state: State): AgentListsBook {
  const read = (): Promise<AgentListsNote | undefined> => state.read<AgentListsNote>(name);
  const write = async (note: AgentListsNote | undefined): Promise<void> => {
    const isEmpty = note === undefined || (note.edits.length === 0 && note.going === undefined);
    await (isEmpty ? state.remove(name) : state.write(name, note));
  };
  return {
    read,
    begin: async (host, going) => write({ host, edits: (await read())?.edits ?? [], going }),
    cancel: async () => {
      const known = await read();
      await write(known === undefined ? undefined : { host: known.host, edits: known.edits });
    },
    settle: async (edits) => {
      const known = await read();
      await write(known === undefined ? undefined : { host: known.host, edits });
    },
  };
}
