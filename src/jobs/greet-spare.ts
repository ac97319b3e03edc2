import type { Greeting } from '../drops/peer.ts';
import type { Job } from './job.ts';

/**
 * Asks the spare who it is, now and then: an active that was overtaken learns it before it has anything to send, status
 * knows what the spare's root last signed, and the connection is open when a certificate is signed.
 */
export function createGreetSpare(
  greet: (signal: AbortSignal) => Promise<Greeting>,
  note: (greeting: Greeting) => Promise<void>,
  everyMs: number,
): Job {
  return {
    name: 'greet-spare',
    role: 'active',
    triggers: [{ kind: 'start' }, { kind: 'every', ms: everyMs }],
    run: async ({ signal }) => {
      const greeting = await greet(signal);
      await note(greeting);
      const { gate } = greeting;
      const closed = gate.closed === undefined ? '' : `, closed: ${gate.closed}`;
      return { kind: 'unchanged', why: `${gate.certname} is ${gate.role}${closed}` };
    },
  };
}
