import type { Gate } from '../rules/gate.ts';
import type { AcceptedDrop } from '../rules/hello.ts';
import type { State } from '../system/state.ts';
import type { Greeting } from './peer.ts';

/** What the spare's root last said of itself, for status: `state/streams/greeting.json`. */
export interface GreetingNote {
  readonly gate: Pick<Gate, 'role' | 'certname' | 'closed'>;
  readonly accepted: Readonly<Record<string, AcceptedDrop>>;
}

const name = 'greeting';

export const notedGreeting = (state: State): Promise<GreetingNote | undefined> => state.read<GreetingNote>(name);

/** Writes only what is news: an active greets all the time. */
export async function noteGreeting(state: State, { gate, hello }: Greeting): Promise<void> {
  const { role, certname, closed } = gate;
  const note: GreetingNote = {
    gate: { role, certname, ...(closed === undefined ? {} : { closed }) },
    accepted: hello.accepted,
  };
  const known = await notedGreeting(state);
  if (JSON.stringify([known?.gate, known?.accepted]) === JSON.stringify([note.gate, note.accepted])) return;
  await state.write(name, note);
}
