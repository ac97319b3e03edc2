import type { Greeting } from '../drops/peer.ts';
import type { Sender } from '../drops/sender.ts';
import type { Job } from './job.ts';

export interface GreetSpareTools extends Pick<Sender, 'greet'> {
  /** The jobs for which a greeting has something new. */
  readonly newsFor: (greeting: Greeting) => Promise<string[]>;
}

/**
 * Asks the spare who it is, now and then: an active that was overtaken learns it before it has anything to send, status
 * knows what the spare's root last signed, the connection is open when a certificate is signed, and what the spare finds
 * out between drops is heard: the job of a stream on which there is a new word gets a pass.
 */
export function createGreetSpare(
  { greet, newsFor }: GreetSpareTools,
  note: (greeting: Greeting, signal: AbortSignal) => Promise<void>,
  everyMs: number,
): Job {
  return {
    name: 'greet-spare',
    role: 'active',
    triggers: [{ kind: 'start' }, { kind: 'every', ms: everyMs }],
    run: async ({ signal, wake }) => {
      const greeting = await greet(signal);
      await note(greeting, signal);
      for (const job of await newsFor(greeting)) wake?.(job);
      const { gate } = greeting;
      const closed = gate.closed === undefined ? '' : `, closed: ${gate.closed}`;
      return { kind: 'unchanged', why: `${gate.certname} is ${gate.role}${closed}` };
    },
  };
}
